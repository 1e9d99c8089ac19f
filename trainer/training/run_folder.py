"""What a training run leaves on disk, and in which order, so that it can be killed at any moment.

- ``last.pt``: the checkpoint of the last whole epoch; it alone decides where a resumed run continues;
- ``best.pt``: that of the epoch of least validation error;
- ``log.jsonl``: one line per epoch;
- ``tensorboard/``: curves per step and per epoch (``tensorboard --logdir RUN``).

``last.pt`` is written first and holds the log, so the others can lag behind it by one epoch at most, and are brought up
to it when the run is resumed. Only one process writes.
"""

from pathlib import Path
from types import TracebackType
from typing import Final, Self

from torch.utils.tensorboard import SummaryWriter

from station.files import write_atomically
from trainer.training.epoch_log import json_lines
from trainer.training.recipe import BEST, LAST
from trainer.training.state import Training

LOG: Final = "log.jsonl"
CURVES: Final = "tensorboard"


class RunFolder:
    """The folder of a run under way: a context that closes the curves."""

    def __init__(self, path: Path, training: Training) -> None:
        """Open the folder for a training that is fresh, or was loaded from its ``last.pt``."""
        self.path = path
        done = training.log[-1].steps_done if training.log else 0
        # Points from here on are of an epoch that was cut off: the reader drops them for those that come.
        self._curves = SummaryWriter(str(path / CURVES), purge_step=done or None)
        if not training.log:
            training.save(path / LAST)
        else:
            self._follow(training)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._curves.close()

    def step(self, number: int, **values: float) -> None:
        """Add a point for a step of the optimiser, counted from 0 over the whole run."""
        for name, value in values.items():
            self._curves.add_scalar(f"step/{name}", value, number)

    def keep(self, training: Training) -> None:
        """Save an epoch that is done."""
        self._curves.flush()  # points of a saved epoch do not come again
        training.save(self.path / LAST)
        self._follow(training)

    def _follow(self, training: Training) -> None:
        """Bring everything else up to the checkpoint."""
        entry = training.log[-1]
        if training.best is entry:
            training.save(self.path / BEST)
        write_atomically(self.path / LOG, json_lines(training.log))
        for name, value in entry.figures().items():
            self._curves.add_scalar(f"epoch/{name}", value, entry.steps_done)
        self._curves.flush()
