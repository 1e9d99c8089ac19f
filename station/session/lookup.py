"""Which session a word on the command line means: the path of a folder, or the session's id.

The id is the name of the session's folder; its first or last characters do where they leave one session. It knows
folder names; whether a session can be read is for its readers to say.
"""

import os
from pathlib import Path
from typing import Final

from station.errors import InputError
from station.session.layout import LOG, sessions_folder

SHORTEST: Final = 4
"""Characters of an id: its random digits at the end."""
SHOWN: Final = 3


def find_session(named: str, sessions: str | None = None) -> Path:
    """Return the folder of a session given by path or id.

    Args:
        named: What the user wrote.
        sessions: Folder of the sessions ([record] folder); None: the one in the user's data folder.

    Raises InputError where it is neither. A path that cannot be looked at is returned: its reader says why.
    """
    try:
        path = Path(named).expanduser()
    except RuntimeError:
        raise InputError(f"session {named}: no such user; give the full path of the folder") from None
    try:
        if path.name in ("", ".."):  # a folder that is named by where it is
            path = Path(os.path.realpath(path))
        if path.exists() or path.name != str(path):
            return path
        parent = sessions_folder(sessions)
        ids = sorted(entry.name for entry in parent.iterdir() if (entry / LOG).is_file()) if parent.is_dir() else []
    except OSError:
        return path
    if named in ids:
        return parent / named
    found = [one for one in ids if one.startswith(named) or one.endswith(named)] if len(named) >= SHORTEST else []
    if len(found) == 1:
        return parent / found[0]
    if found:
        raise InputError(f"session {named}: {len(found)} sessions in {parent} fit: {_list(found)}; give more of the id")
    newest = f" (newest there: {_list(ids)})" if ids else ""
    raise InputError(f"session {named}: no such folder, and no session of that id in {parent}{newest}")


def _list(ids: list[str]) -> str:
    shown = ids[: -SHOWN - 1 : -1]
    return ", ".join(shown) + (", ..." if len(ids) > SHOWN else "")
