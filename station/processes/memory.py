"""How a process's memory is managed: what a frame has left is kept for the next one, until many have gone."""

import ctypes
import sys
import time
from typing import Final

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Numbers of the parameters in mallopt(3)."""
LARGEST_BYTES: Final = 32 << 20
"""Blocks up to this size come from the heap: the most that the GNU C library allows."""
SPARE_BYTES: Final = 128 << 20
"""So much free memory may stay with each of a process's arenas, of which frames use one or two."""

TIDY_S: Final = 60.0


def keep_freed_memory() -> None:
    """Have the C library hand freed memory out again instead of giving it back to the system at once.

    A frame of 1.4 MB would come as 340 fresh pages each time, at a fault each: up to 20,000 a second, a twentieth of a
    core. Does nothing where the C library is not GNU's.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGEST_BYTES)
        mallopt(TRIM_THRESHOLD, SPARE_BYTES)


def give_back_freed_memory() -> None:
    """Have the C library give what is free back to the system, such as that of a long queue which is empty again.

    Takes some milliseconds. Does nothing where the C library is not GNU's.
    """
    if not sys.platform.startswith("linux"):
        return
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


class Tidying:
    """Gives what is free back to the system once in a while: else a process stays as large as it was at its busiest."""

    def __init__(self, every_s: float = TIDY_S) -> None:
        self._every_s = every_s
        self._due_s = time.monotonic() + every_s

    def attend(self, *, calm: bool) -> None:
        """Give back if it is due and nothing waits for the process; called once a round of its loop."""
        if calm and time.monotonic() >= self._due_s:
            give_back_freed_memory()
            self._due_s = time.monotonic() + self._every_s
