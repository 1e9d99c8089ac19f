"""Which windows go into the network next.

Live, only the newest window of each sperm waits and an older one is replaced: an old answer is worth less than none.
The sperm whose last answer is oldest goes first. Offline, every window counts and batches follow the messages, so that
two runs put the same windows together and give the same bits.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.artifact import MAX_BATCH
from station.bus import Received
from station.messages import Trace, WindowInfo, WindowsHeader


@dataclass(frozen=True, slots=True)
class PendingWindow:
    """A window that waits: ``pixels`` is a (T, H, W) uint8 view of its message."""

    info: WindowInfo
    trace: Trace
    pixels: NDArray[np.uint8]


Batch = list[PendingWindow]


class NewestPerSperm:
    """Live policy: one window waits per sperm, the newest."""

    def __init__(self, limit: int = MAX_BATCH) -> None:
        self.limit = limit
        self._waiting: dict[int, PendingWindow] = {}
        self._served: dict[int, int] = {}
        """When each sperm was last served, as the running number of its batch."""
        self._batches = 0

    def put(self, message: Received) -> int:
        """Take in the windows of a message; return how many older ones they replaced."""
        replaced = 0
        for window in split(message):
            replaced += window.info.sperm_id in self._waiting
            self._waiting[window.info.sperm_id] = window
        return replaced

    def take(self) -> Batch | None:
        """Return up to ``limit`` windows, longest unanswered sperm first, lower ids first among equals."""
        if not self._waiting:
            return None
        order = sorted(self._waiting, key=lambda sperm_id: (self._served.get(sperm_id, -1), sperm_id))[: self.limit]
        self._batches += 1
        self._served.update(dict.fromkeys(order, self._batches))
        return [self._waiting.pop(sperm_id) for sperm_id in order]


class EveryWindow:
    """Offline policy: all windows, in order, batched by message."""

    def __init__(self, limit: int = MAX_BATCH) -> None:
        self._limit = limit
        self._batches: deque[Batch] = deque()

    def put(self, message: Received) -> int:
        """Take in the windows of a message; nothing is ever replaced."""
        windows = split(message)
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
