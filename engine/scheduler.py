"""Which windows go into the network next.

Live, only the newest window of each sperm waits and replaces an older one: a late grade is worth less than none. The
sperm with the oldest grade goes first, and none is graded more often than a person can read (``[engine]
grades_per_s``): consecutive windows share nearly all their frames, and without a GPU they take processor time from the
tracker. Offline, every window counts and batches follow the messages, so that two runs form the same batches and give
the same bits.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.artifact import MAX_BATCH
from station.clock import NS_PER_S
from station.transport.buffers import Received
from station.transport.messages import Trace, WindowInfo, WindowsHeader


@dataclass(frozen=True, slots=True)
class PendingWindow:
    """A window waiting to be graded; ``pixels`` is a (T, H, W) uint8 view of its message."""

    info: WindowInfo
    trace: Trace
    pixels: NDArray[np.uint8]


Batch = list[PendingWindow]

GONE_S: Final = 5.0
"""A sperm that has sent no window for so long is as good as new if it comes back."""
EARLY: Final = 0.1
"""Share of the interval between two grades by which the next may come early, to allow for exposure jitter."""


class NewestPerSperm:
    """Live policy: of each sperm the newest window waits, and is graded when the sperm's next grade is due."""

    def __init__(self, limit: int = MAX_BATCH, grades_per_s: float = 0.0) -> None:
        """``grades_per_s``: upper limit per sperm, by its windows' exposure times; 0: every window is due."""
        self.limit = limit
        self._interval_ns = (1 - EARLY) * NS_PER_S / grades_per_s if grades_per_s else 0.0
        self._waiting: dict[int, PendingWindow] = {}
        self._graded_ns: dict[int, int] = {}
        """Exposure time of each sperm's last graded window."""
        self._served: dict[int, int] = {}
        """Number of the batch in which each sperm was last graded."""
        self._batches = 0
        self._newest_ns = 0

    def put(self, message: Received) -> int:
        """Take in the windows of a message; return how many older ones they replaced that were due."""
        replaced = 0
        for window in split(message):
            older = self._waiting.get(window.info.sperm_id)
            replaced += older is not None and self._due(older)
            self._waiting[window.info.sperm_id] = window
            self._newest_ns = max(self._newest_ns, window.trace.t_exposure_ns)
        self._forget_gone()
        return replaced

    def take(self) -> Batch | None:
        """Return up to ``limit`` windows that are due; longest ungraded sperm first, lower ids first on a tie."""
        due = [sperm_id for sperm_id, window in self._waiting.items() if self._due(window)]
        if not due:
            return None
        order = sorted(due, key=lambda sperm_id: (self._served.get(sperm_id, -1), sperm_id))[: self.limit]
        self._batches += 1
        self._served.update(dict.fromkeys(order, self._batches))
        batch = [self._waiting.pop(sperm_id) for sperm_id in order]
        self._graded_ns.update({window.info.sperm_id: window.trace.t_exposure_ns for window in batch})
        return batch

    def _forget_gone(self) -> None:
        """Drop what is kept of sperm that send no windows any more: the last one of a lost sperm may never be due."""
        limit_ns = self._newest_ns - GONE_S * NS_PER_S
        for sperm_id in [s for s, w in self._waiting.items() if w.trace.t_exposure_ns < limit_ns and not self._due(w)]:
            del self._waiting[sperm_id]
        for sperm_id in [s for s, ns in self._graded_ns.items() if ns < limit_ns and s not in self._waiting]:
            del self._graded_ns[sperm_id]
            self._served.pop(sperm_id, None)

    def _due(self, window: PendingWindow) -> bool:
        before_ns = self._graded_ns.get(window.info.sperm_id)
        return before_ns is None or window.trace.t_exposure_ns - before_ns >= self._interval_ns


class EveryWindow:
    """Offline policy: all windows, in order, batched by message."""

    def __init__(self, limit: int = MAX_BATCH, first: int = 0) -> None:
        """``first``: number of the frame before which no window ends that counts."""
        self._limit, self._first = limit, first
        self._batches: deque[Batch] = deque()

    def put(self, message: Received) -> int:
        """Take in the windows of a message; nothing is ever replaced."""
        windows = [window for window in split(message) if window.info.frame_seqs[-1] >= self._first]
        self._batches.extend(windows[i : i + self._limit] for i in range(0, len(windows), self._limit))
        return 0

    def take(self) -> Batch | None:
        """Return the next batch in order of arrival."""
        return self._batches.popleft() if self._batches else None


def split(message: Received) -> Batch:
    """Return the windows of a message, each with its pixels."""
    header, pixels = message.header, message.pixels
    if not isinstance(header, WindowsHeader) or pixels is None:
        raise TypeError(f"the window link carried a {type(header).__name__}")
    trace = header.trace.model_copy(update={"t_engine_in_ns": message.t_received_ns})
    return [PendingWindow(info, trace, pixels[i]) for i, info in enumerate(header.windows)]
