"""The first moments of the program: what can go wrong before its packages are there.

It uses the standard library alone, in words that Pythons older than the program's own still read.
"""

import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from station.output import complain

OLDEST_PYTHON = (3, 11)
INSTALL = "python3 -m venv .venv && .venv/bin/pip install --quiet . && .venv/bin/python run_station.py"
"""The README's first command, on one line."""
INTERRUPTED = 130
"""Exit code after Ctrl-C, as of a shell's own commands."""


@contextmanager
def guarded_imports() -> "Iterator[None]":
    """Import the program's packages inside: a missing one ends the program with one line that says how to install it.

    Ctrl-C meanwhile ends it without a word, as the system does it: Python would tell of the import it broke into.
    """
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(str(part) for part in sys.version_info[:2])
        complain(f"rostfine: needs Python 3.11 or later, this is {found} ({sys.executable})")
        sys.exit(1)
    # Else pydantic, in every process, looks through all installed packages for plugins: time, and foreign code.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # Else pyarrow has an allocator of its own, which keeps what a session's tables have left: 10 MB and more.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    handled = signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_DFL)
    handled = handled and threading.current_thread() is threading.main_thread()
    if handled:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()  # nothing of what is imported can go: looking for it takes a tenth of the time
    try:
        yield
    except ModuleNotFoundError as error:
        if _is_ours(error.name or ""):
            raise
        complain(f"rostfine: {_cure(error.name or '')}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        gc.enable()
        if handled:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def keep_to_one_thread() -> None:
    """Call before NumPy is imported: its linear algebra begins threads at once, and no copy of those is sound.

    What the station computes with NumPy is too small for them. Who has set their number keeps it.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _is_ours(module: str) -> bool:
    """Return whether a missing module is one of this program's own: a defect, which no installation cures."""
    root = Path(__file__).resolve().parent.parent
    return (root / module.partition(".")[0]).is_dir()


def _cure(module: str) -> str:
    root = Path(__file__).resolve().parent.parent
    missing = f"the package {module} is not installed for this Python ({sys.executable})"
    for python in (Path(".venv/bin/python"), Path(".venv/Scripts/python.exe")):
        if (root / python).exists() and Path(sys.prefix).resolve() != (root / ".venv").resolve():
            return f"{missing}; start the program with {python} run_station.py"
    return f"{missing}; install the station, in its folder: {INSTALL}"
