"""Lets a process stand back behind those that must not wait."""

import contextlib
import os
import sys

STEP = 10
"""Of niceness: enough that tracker and network come first, little enough that a busy machine still records."""


def stand_back() -> None:
    """Run with lower priority than the other stages from now on."""
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
