"""The interval from frame to frame, told from time stamps that are rounded and have gaps."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

ONE_FRAME: Final = 0.4
"""An interval that differs from the middle one by less than this share is one frame long; a longer one is a gap."""
COARSE_SHARE: Final = 0.1
"""With a coarse clock more than this share of the intervals, and more than one, differ by a whole tick (2, 3, 2, 3)."""


def frame_interval(intervals: NDArray[np.float64], tick: float = 0.0) -> float | None:
    """Return the mean of those (n,) intervals that are one frame long; None without any. ``tick``: the clock's."""
    if not len(intervals):
        return None
    middle = float(np.median(intervals))
    off = np.abs(intervals - middle)
    one_frame = off <= ONE_FRAME * middle
    if np.count_nonzero(~one_frame) > max(1.0, COARSE_SHARE * len(intervals)):
        one_frame |= off <= tick
    return float(intervals[one_frame].mean())
