"""Which complete windows are sent on: live, only as many of a sperm as anybody could use.

A window is complete with every frame of a locked sperm, and at 60 frames/s four of them are as much data as the frames
themselves. Neighbouring windows share all but one of their frames, so only some are sent, each as soon as its newest
frame has been followed. Knows times and numbers alone.
"""

from collections.abc import Sequence
from typing import Final

from station.clock import NS_PER_S
from tracker.results import WindowResult

WINDOWS_PER_S: Final = 30.0
"""Of one sperm, live. Far more than are graded: an engine that was busy finds a newest window that is hardly old."""
EARLY: Final = 0.1
"""Share of the interval by which a window may come early: exposures are not quite even."""


class WindowPace:
    """Chooses the windows to send on."""

    def __init__(self, per_s: float | None = WINDOWS_PER_S) -> None:
        """``per_s``: windows of one sperm a second at most; None: all of them."""
        self._interval_ns = (1 - EARLY) * NS_PER_S / per_s if per_s else 0.0
        self._sent_ns: dict[int, int] = {}

    def due(self, windows: Sequence[WindowResult], t_exposure_ns: int) -> tuple[WindowResult, ...]:
        """Return those to send of the windows that the frame exposed at ``t_exposure_ns`` has completed."""
        due = tuple(
            window
            for window in windows
            if t_exposure_ns - self._sent_ns.get(window.sperm_id, -NS_PER_S) >= self._interval_ns
        )
        self._sent_ns.update((window.sperm_id, t_exposure_ns) for window in due)
        return due
