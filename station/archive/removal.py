"""Taking a session off the disk, so that what cannot be removed is no session any more and can still be found.

Its folder gets another name, then loses its log: from then on no reader takes it for a session. Where that fails the
session is as it was. It asks nobody; the command does.
"""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from station.errors import SessionError
from station.session.layout import LOG

REMOVING: Final = ".removing-"
"""Before the id, in the name of a folder that is being removed, or could not be removed whole."""


def is_leftover(folder: Path) -> bool:
    """Return whether a folder is what is left of a session."""
    return folder.name.startswith(REMOVING) and folder.is_dir() and not folder.is_symlink()


def leftovers(parent: Path) -> list[Path]:
    """Return what is left of sessions that could not be removed whole."""
    with suppress(OSError):
        return sorted(folder for folder in parent.iterdir() if is_leftover(folder))
    return []


def remove_session(folder: Path) -> None:
    """Remove a session, or what is left of one. Raises SessionError, saying what is still there."""
    doomed = folder if is_leftover(folder) else folder.with_name(f"{REMOVING}{folder.name}")
    try:
        if doomed != folder:
            folder.rename(doomed)
        try:
            (doomed / LOG).unlink(missing_ok=True)
        except OSError:
            if doomed != folder:
                doomed.rename(folder)
            raise
    except OSError as error:
        raise SessionError(
            f"session {folder}: cannot be removed ({error.strerror}: {error.filename}), and is as it was; make its "
            "folder writable and remove it again"
        ) from error
    try:
        shutil.rmtree(doomed)
    except OSError as error:
        raise SessionError(
            f"session {folder}: was removed in part ({error.strerror}: {error.filename}), the rest is in {doomed}; "
            f"make that folder writable and give `sessions remove {doomed}`"
        ) from error
