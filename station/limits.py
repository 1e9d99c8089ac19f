"""What the system lets a run's processes have: too few open files are refused before anything has begun.

ZeroMQ ends a process at once where it may open no more. It knows limits, not who opens what.
"""

import sys
from typing import Final

from station.errors import InputError

LEAST_FILES: Final = 64
"""Open at once in a process, with all that can be asked of a run."""
ENOUGH_FILES: Final = 1024


def require_open_files() -> None:
    """Raise this process's limit of open files as far as it needs and may. Raises InputError where that is too little.

    Those that it starts have it as well.
    """
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= ENOUGH_FILES:
        return
    files = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_FILES)
    if files > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    if files < LEAST_FILES:
        raise InputError(
            f"a process may open {files} files at once here, a run needs {LEAST_FILES}; raise the limit (ulimit -n "
            f"{ENOUGH_FILES})"
        )
