"""What the machine is; never what it is called."""

import os
import platform
from typing import Any


def usable_cores() -> int:
    """Return how many cores this process may use, which a container or ``taskset`` may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Return system, architecture, cores and Python version, as a session records them."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
