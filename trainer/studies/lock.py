"""One at a time: a lock on a folder that ends with its process, however that ends. It knows files alone."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from station.errors import InputError

if sys.platform != "win32":
    import fcntl

LOOK_S: Final = 0.2


@contextmanager
def only_one(path: Path, doing: str, patience_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file.

    Args:
        path: The file; it is made where it is missing, and stays.
        doing: What is done under it, for the message.
        patience_s: How long to wait for another holder to end.

    Raises:
        InputError: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        until = time.monotonic() + patience_s
        while not _taken(file):
            if time.monotonic() > until:
                raise InputError(f"{path.parent}: another process {doing} already; wait for it, or end it")
            time.sleep(LOOK_S)
        yield
    finally:
        os.close(file)


def _taken(file: int) -> bool:
    """Take the lock, if nobody has it. On Windows there is none: two drivers of one study are the user's matter."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
