"""What a recording asks of the disk: that bytes are really on it, and how much room there is.

Waiting for a disk can take seconds, so a thread of its own does it.
"""

import shutil
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self

RATE_SPAN_S: Final = 10.0
SCARCE_S: Final = 600.0
"""With less room than for so long at the present rate, people are told."""


class DiskThread:
    """Runs calls that wait for the disk, one after the other, in the order given."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="disk")
        self._executor.submit(lambda: None)  # now, with its maker's priority, not with that of the first to ask

    def submit(self, call: Callable[[], None]) -> "Future[None]":
        """Run ``call`` later; its OSError comes out of the future."""
        return self._executor.submit(call)

    def close(self) -> None:
        """Wait for everything; may be called more than once."""
        self._executor.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Room:
    """How much room a recording has, and for how long at its present rate."""

    def __init__(self, folder: Path, reserve_bytes: int, limit_bytes: int | None) -> None:
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        self._limit_bytes = limit_bytes
        self._history: deque[tuple[float, int]] = deque()
        self.left_bytes = 0
        """Until recording stops: what is free above the reserve, or what the limit leaves."""
        self.left_s: float | None = None
        """The same as time at the present rate; None while that is not known."""

    def look(self, now_s: float, written_bytes: int) -> str:
        """Take in how much has been written by now; return why recording must stop, empty where it need not."""
        free = shutil.disk_usage(self._folder).free
        self.left_bytes = max(0, free - self._reserve_bytes)
        if self._limit_bytes is not None:
            self.left_bytes = min(self.left_bytes, max(0, self._limit_bytes - written_bytes))
        history = self._history
        history.append((now_s, written_bytes))
        while len(history) > 2 and now_s - history[1][0] >= RATE_SPAN_S:
            history.popleft()
        span_s, grown = now_s - history[0][0], written_bytes - history[0][1]
        self.left_s = self.left_bytes * span_s / grown if span_s > 0 and grown > 0 else None
        if free <= self._reserve_bytes:
            return (
                f"the disk is almost full: {free / 1e9:.2f} GB free, {self._reserve_bytes / 1e9:.2f} GB are kept "
                "free ([record] reserve_mb)"
            )
        if self._limit_bytes is not None and written_bytes >= self._limit_bytes:
            return f"the session has reached {self._limit_bytes / 1e9:.2f} GB ([record] max_session_mb)"
        return ""

    @property
    def scarce(self) -> bool:
        """True where recording will have to stop soon."""
        return self.left_s is not None and self.left_s < SCARCE_S
