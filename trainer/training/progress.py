"""How a run looks while it trains: bars on a terminal, now and then a line elsewhere. It knows no file and no torch."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from trainer.training.epoch_log import EpochEntry


class TrainingProgress:
    """Shows one run; ``trainer.training.tally.ProgressReport``."""

    LINE_EVERY_S = 30.0

    def __init__(self, console: Console, done: int, of: int) -> None:
        """Show a run of which ``done`` of ``of`` epochs are done."""
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._epochs = self._bars.add_task("epochs ", total=of, completed=done, note="")
        self._batches = self._bars.add_task("batches", total=None, note="")
        self._recent: list[float] = []
        self._said_s = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def batch(self, epoch: int, done: int, of: int, loss: float) -> None:
        """See ``trainer.training.tally.ProgressReport``."""
        self._recent.append(loss)
        if done == 1:
            self._bars.reset(self._batches, total=of)
        self._bars.update(self._batches, completed=done, note=f"loss {loss:.4f}")
        if time.monotonic() - self._said_s > self.LINE_EVERY_S:
            if not self._console.is_terminal:
                mean = sum(self._recent) / len(self._recent)
                self._say(f"epoch {epoch + 1:3}  {done}/{of} batches, loss {mean:.5f}")
            self._recent, self._said_s = [], time.monotonic()

    def epoch(self, entry: EpochEntry, best: EpochEntry) -> None:
        """See ``trainer.training.tally.ProgressReport``."""
        self._recent, self._said_s = [], time.monotonic()
        line = f"epoch {entry.epoch:3}  loss {entry.loss:.4f}"
        if entry.mse_x100 is not None:  # accuracy: the balanced one of the most-voted grade
            line += f"  held out x100: MSE {entry.mse_x100:.3f}  JS {entry.js_x100:.2f}"
            line += f"  accuracy {100 * (entry.top1 or 0):.1f}{'  best' if best is entry else ''}"
        self._say(line)
        note = f"best: epoch {best.epoch}" if best.mse_x100 is not None else ""
        self._bars.update(self._epochs, completed=entry.epoch, note=note)

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)
        sys.stdout.flush()
