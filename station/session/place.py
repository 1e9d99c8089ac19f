"""Where recordings go when nobody says otherwise: the user's data folder, as each system has it."""

import os
import sys
from pathlib import Path

from station.errors import SessionError


def sessions_folder(folder: str | None) -> Path:
    """Return the folder that holds the sessions: ``folder``, or "rostfine-station/sessions" where user data belong."""
    if folder is not None:
        try:
            return Path(folder).expanduser()
        except RuntimeError:
            raise SessionError(f"session folder {folder}: no such user's home; give the folder's whole path") from None
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "rostfine-station" / "sessions"
