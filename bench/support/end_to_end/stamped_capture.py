"""The station's capture process with a camera that stamps its pictures: for ``bench end-to-end``.

The camera exposes by its own clock, whatever the station does, and keeps a few pictures for a reader that is late; what
does not fit is lost and counted, as with a real one. It shows a short film forwards and backwards, so that heads swim
on without a jump. Everything behind the camera is the station's own. The film comes in through the environment, which
child processes inherit.
"""

import os
import time
from collections.abc import Callable
from typing import Final, Self

import numpy as np

from bench.support.end_to_end.stamp import Stamp, stamped
from capture import process
from capture.source import LONGEST_READ_S, Condition, Frame, Pending
from station.clock import NS_PER_S, now_ns
from station.config import Config
from station.processes.process import ProcessContext
from station.transport.control_messages import SourceInfo

FILM: Final = "ROSTFINE_BENCH_FILM"
"""Environment variable: a file of (N, H, W) uint8 in numpy's own format, the lowest bits 0."""
RATE: Final = "ROSTFINE_BENCH_RATE"
"""Environment variable: frames a second."""
BUFFERS: Final = 16
"""Pictures that the camera keeps for a late reader."""


class StampingCamera:
    """A Source (see ``capture.source``)."""

    def __init__(self, path: str, fps: float, um_per_px: float) -> None:
        self._film = np.load(path, mmap_mode="r")
        _, height, width = self._film.shape
        self.info: Final = SourceInfo(name="stamping camera", height=height, width=width, fps=fps, um_per_px=um_per_px)
        self.condition: Final = Condition()
        self._zero_ns: int | None = None
        self._next = 0

    def read(self) -> Frame | Pending:
        """Return the next picture that is not lost, as soon as it is exposed."""
        if self._zero_ns is None:
            self._zero_ns = now_ns()
        exposed = int((now_ns() - self._zero_ns) * self.info.fps / NS_PER_S)
        lost = max(0, exposed - BUFFERS - self._next)
        number = self._next + lost
        t_exposure_ns = self._zero_ns + self._source_ns(number)
        left_s = (t_exposure_ns - now_ns()) / NS_PER_S
        if left_s > LONGEST_READ_S:
            time.sleep(LONGEST_READ_S)
            return Pending.NOTHING_YET
        time.sleep(max(0.0, left_s))
        self._next = number + 1
        turn = number % (2 * len(self._film) - 2)
        picture = self._film[min(turn, 2 * len(self._film) - 2 - turn)]
        return Frame(
            pixels=stamped(picture, Stamp(number, t_exposure_ns)),
            t_source_ns=self._source_ns(number),
            t_exposure_ns=t_exposure_ns,
            lost_before=lost,
        )

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _source_ns(self, number: int) -> int:
        return round(number * NS_PER_S / self.info.fps)


def run(context: ProcessContext) -> None:
    """Run the station's capture process on the stamping camera."""

    def open_source(config: Config, _beat: Callable[[], object]) -> StampingCamera:
        return StampingCamera(os.environ[FILM], float(os.environ[RATE]), config.simulated.um_per_px)

    setattr(process, "open_source", open_source)  # noqa: B010 (the name that the process looks up)
    process.run(context)
