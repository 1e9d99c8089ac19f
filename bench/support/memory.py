"""How much memory a process has held at most, and how much a program with all its processes takes now."""

import contextlib
import sys
from pathlib import Path


def peak_mb() -> float:
    """Return the most memory that this process has held so far, MB; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss, which starts at the parent process's memory.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1.024e-3
    if sys.platform == "win32":
        return 0.0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def together_mb(pid: int) -> float:
    """Return what a process and all that it started take, MB, what they share counted once; 0 where not on Linux."""
    found = 0.0
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                found += int(line.split()[1]) * 1.024e-3
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += sum(together_mb(int(child)) for child in (task / "children").read_text().split())
    return found
