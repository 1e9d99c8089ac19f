"""How long one round of the tracker may take before it counts as hung: measured, as the engine's is.

A usual frame takes milliseconds. One of 8192 x 8192 px takes longer than a process is given by default, and selecting
in it several times as long. So where frames are large, some rounds are tried on noise before the first frame comes.
"""

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from station.config import TrackerSettings
from station.processes.control import PATIENCE_S
from tracker.tracker import Tracker
from tracker.window import WindowShape

LARGE_PX: Final = 4_000_000
"""Smaller frames never come near the usual patience."""
TIMES: Final = 5
"""The patience beside the longest round that was tried."""
TRIALS: Final = 3


def measured_patience_s(
    settings: TrackerSettings, window: WindowShape, height: int, width: int, beat: Callable[[], object]
) -> float:
    """Return the patience for frames of this size, s; ``beat`` is called between the rounds."""
    if height * width < LARGE_PX:
        return PATIENCE_S
    tracker, longest_s = Tracker(settings, window, height, width), 0.0
    frame = np.random.default_rng(0).integers(110, 130, (height, width), np.uint8)
    tracker.select(width / 2, height / 2)
    for seq in range(TRIALS):
        beat()
        start_s = time.perf_counter()
        tracker.update(frame, frame_seq=seq, t_source_ns=seq * 10**8)
        longest_s = max(longest_s, time.perf_counter() - start_s)
    return max(PATIENCE_S, TIMES * longest_s)
