"""Lets a process stand back behind those that must not wait."""

import os
import sys

STEP = 5


def stand_back() -> None:
    """Run with lower priority than the other stages from now on."""
    if sys.platform == "win32":
        import ctypes

        below_normal = 0x4000
        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), below_normal)
    else:
        os.nice(STEP)
