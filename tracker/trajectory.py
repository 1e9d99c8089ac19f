"""Where a sperm has been: a buffer of positions with their true times, for kinematics.

It is longer than the window of pixels (16 frames are too short for motion) and lives on through frames that are not
locked: those are missing samples, not a reason to begin again. Positions are kept relative to the field, so that a
move of the stage is not a movement of the sperm. This module keeps; ``tracker.kinematics`` reckons.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from station.clock import NS_PER_S


class Trajectory:
    """Positions of one sperm over the last ``seconds``."""

    def __init__(self, seconds: float = 2.0) -> None:
        """``seconds``: how much is kept."""
        self._keep_ns = round(seconds * NS_PER_S)
        self._points: deque[tuple[int, float, float]] = deque()

    def clear(self) -> None:
        """Forget: what follows is another sperm, or nobody knows."""
        self._points.clear()

    def add(self, t_source_ns: int, x_px: float, y_px: float) -> None:
        """Take a locked position in px, relative to the field; a time that does not rise begins again."""
        if self._points and t_source_ns <= self._points[-1][0]:
            self.clear()
        self._points.append((t_source_ns, x_px, y_px))
        while self._points[0][0] < t_source_ns - self._keep_ns:
            self._points.popleft()

    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return times (T,) in s from the first sample, and positions (T, 2) in px."""
        if not self._points:
            return np.zeros(0), np.zeros((0, 2))
        first = self._points[0][0]
        table = np.array([((t - first) / NS_PER_S, x, y) for t, x, y in self._points])
        return table[:, 0], table[:, 1:]
