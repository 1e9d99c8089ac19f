"""The log of a training run: one entry per epoch, as checkpoints and ``log.jsonl`` hold it."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EpochEntry:
    """What the log says of one epoch."""

    epoch: int
    """How many are done with it."""
    step: int | None
    """Steps of the optimiser that are done; None in runs of early versions."""
    lr: float
    """Learning rate of its last step."""
    loss: float
    """Mean over the training clips."""
    mse_x100: float | None = None
    """On the validation clips; None where there are none."""
    js_x100: float | None = None
    top1: float | None = None
    """Balanced accuracy of the most voted grade on the validation clips, from 0 to 1."""
    cos_gs: float | None = None
    """Mean cosine of v_g and v_s on the validation clips, from -1 to 1; None where the network has not both."""
    cos_gt: float | None = None
    cos_st: float | None = None

    @property
    def steps_done(self) -> int:
        """Steps of the optimiser that are done, 0 where it is not known."""
        return self.step or 0

    def figures(self) -> dict[str, float]:
        """Return everything that can be drawn as a curve, by name."""
        return {name: value for name, value in self.to_dict().items() if name not in ("epoch", "step")}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as they are written; what is None is left out."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def entry_from(values: dict[str, Any]) -> EpochEntry:
    """Return the entry that plain values describe."""
    return EpochEntry(**({"step": None} | values))


def best_of(log: Sequence[EpochEntry]) -> EpochEntry:
    """Return the entry of least validation error (the first of equals), or the last where none is validated."""
    return min(log, key=lambda entry: -entry.epoch if entry.mse_x100 is None else entry.mse_x100)


def json_lines(log: Sequence[EpochEntry]) -> bytes:
    """Return ``log.jsonl``."""
    return "".join(json.dumps(entry.to_dict()) + "\n" for entry in log).encode()
