"""Lets the recorder stand back behind those that must not wait, and come forward where frames would be lost."""

import contextlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

STEP = 10
"""Of niceness: enough that tracker and network come first, little enough that a busy machine still records."""


def stand_back() -> None:
    """Run with lower priority than the other stages from now on, in this thread and those it starts."""
    if sys.platform == "win32":
        import ctypes

        below_normal = 0x4000
        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), below_normal)
    else:
        os.nice(STEP)
        if hasattr(os, "SCHED_BATCH"):  # Linux: waking up never interrupts another process
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _take_what_is_left() -> None:
    """Give this thread only what no other process wants, where there is such a thing (Linux)."""
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


class BackSeat:
    """A thread that does the heavy work in what time is left over, one piece at a time, while its caller waits.

    Whoever has once gone to the lowest class may not leave it again without privilege, so that work that must not wait
    any longer is done by the caller itself.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="back seat", initializer=_take_what_is_left)

    def run(self, work: Callable[[], None], *, hurry: bool) -> None:
        """Do ``work`` and return when it is done; with ``hurry`` at once. Raises what it raises."""
        if hurry:
            work()
        else:
            self._thread.submit(work).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.shutdown()
