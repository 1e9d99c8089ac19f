"""Is a process that makes no progress suspended: by Ctrl-Z, by SIGSTOP, by a debugger?

A suspended process has done nothing wrong and goes on when it is continued; one that hangs does not. It knows the
system's word for a process; what follows from it is the supervisor's business.
"""

import subprocess
import sys
from pathlib import Path


def is_suspended(pid: int) -> bool:
    """Return whether the system says that a process is stopped or traced; False where it does not say."""
    if sys.platform == "win32":
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        return stat.rpartition(b") ")[2][:1] in (b"T", b"t")
    except OSError:  # not Linux, or the process is gone
        return _state_by_ps(pid).startswith("T")


def _state_by_ps(pid: int) -> str:
    try:
        done = subprocess.run(
            ["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, timeout=1.0, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
