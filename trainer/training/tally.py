"""What the losses and gradient norms of an epoch come to, as they arrive from the device, and whether they are numbers.

It tells the run's report and its folder, and knows no network.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from station.errors import InputError
from trainer.data.dataset import Clips
from trainer.training.epoch_log import EpochEntry
from trainer.training.readings import Readings
from trainer.training.run_folder import RunFolder


class TrainingError(InputError):
    """Training cannot go on: the loss, or its gradient, is no longer a number.

    The message names the batch. Lower the learning rate, limit the gradient norm, or look at the clips it names. The
    checkpoint of the last whole epoch is as it was.
    """


class ProgressReport(Protocol):
    """Told about the progress of a run."""

    def batch(self, epoch: int, done: int, of: int, loss: float) -> None:
        """Take note that ``done`` of an epoch's ``of`` batches are done; ``loss`` is the latest batch's."""

    def epoch(self, entry: EpochEntry, best: EpochEntry) -> None:
        """Take note that an epoch is done: its entry of the log, and the best one so far."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the optimiser: the batches whose gradients are averaged."""

    number: int
    """Counted from 0 over the whole run."""
    first: int
    """Place of its first batch in the epoch."""
    batches: Sequence[Sequence[int]]
    """Indices of the clips, of all processes together."""
    rate: float
    """Learning rate."""

    @property
    def clips(self) -> int:
        """Clips of all its batches."""
        return sum(len(batch) for batch in self.batches)


class Tally:
    """Of one epoch. ``loss`` and ``norm`` may come to their error up to ``in_flight`` batches later."""

    def __init__(
        self, clips: Clips, epoch: int, batches: int, report: ProgressReport, folder: RunFolder | None, in_flight: int
    ) -> None:
        """Begin.

        Args:
            clips: That are trained on.
            epoch: From 0.
            batches: Of the epoch.
            report: Told of every batch.
            folder: Told of every step; None: nobody is.
            in_flight: Batches that may be under way before one is looked at.
        """
        self.total = 0.0
        """Sum of the losses of all clips so far."""
        self._clips, self._epoch, self._batches = clips, epoch, batches
        self._report, self._folder = report, folder
        self._readings = Readings(2 * in_flight)  # a loss and a norm
        self._of_step = 0.0

    def loss(self, value: Tensor, step: Step, place: int) -> None:
        """Take the mean loss of the batch at a place of the epoch. Raises TrainingError where it is not finite."""

        def then(loss: float) -> None:
            whole = step.batches[place - step.first]
            if not math.isfinite(loss):
                raise self._not_finite("loss", loss, place, [whole])
            self._of_step += loss * len(whole)
            self._report.batch(self._epoch, place + 1, self._batches, loss)

        self._readings.add(value, then)

    def norm(self, value: Tensor, step: Step) -> None:
        """Take the gradient's norm of a step whose losses were given. Raises TrainingError where it is not finite."""

        def then(norm: float) -> None:
            if not math.isfinite(norm):
                raise self._not_finite("gradient", norm, step.first + len(step.batches) - 1, step.batches)
            if self._folder:
                loss = self._of_step / step.clips
                self._folder.step(step.number, loss=loss, lr=step.rate, gradient_norm=norm)
            self.total += self._of_step
            self._of_step = 0.0

        self._readings.add(value, then)

    def settle(self) -> None:
        """Look at everything that is still under way. Raises TrainingError."""
        self._readings.settle()

    def _not_finite(self, what: str, value: float, place: int, batches: Sequence[Sequence[int]]) -> TrainingError:
        names = ", ".join(self._clips.rows[index].id for batch in batches for index in batch)
        return TrainingError(
            f"the {what} became {value} in epoch {self._epoch + 1}, batch {place + 1} (clips {names}); the "
            f"checkpoint after epoch {self._epoch} is whole; lower --lr, set --clip-norm, or look at these clips"
        )
