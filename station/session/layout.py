"""Where things lie in a session folder, and what ``session.json`` says.

No name of a person, a sample or a source file stands in any file name: sessions are called by their start and four
random digits, everything inside by number.
"""

import os
import secrets
import sys
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from station.errors import InputError, SessionError
from station.files import PRIVATE, read_bounded, write_atomically

FORMAT_VERSION: Final = 1
MANIFEST: Final = "session.json"
LOG: Final = "log.jsonl"
VIDEO: Final = "video"
TABLES: Final = "tables"
CHUNK_PATTERN: Final = r"^video/\d{6}\.mkv$"
MAX_MANIFEST_BYTES: Final = 1 << 20

RECORDING_S: Final = 20.0
"""A log that was written to so lately and has no end is one that is being recorded."""


class SessionState(StrEnum):
    """What ``session.json`` says of a session; where a run was cut off it stays at "recording"."""

    RECORDING = "recording"
    STOPPED = "stopped"
    """Recording ended before the run did (disk full, limit reached); what was recorded until then is whole."""
    COMPLETE = "complete"


class SessionOutcome(StrEnum):
    """How a session ended."""

    COMPLETE = "complete"
    STOPPED = "stopped"
    """Recording ended before the run, in good order: the disk was full, or a limit reached."""
    CUT_OFF = "cut off"
    """The recorder had no chance to end it: killed, power lost."""


class LogHead(BaseModel):
    """One event of the log and the chain up to it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    event: Annotated[int, Field(ge=0)]
    chain: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """``session.json``. Everything in it but the head also stands in the log."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Annotated[int, Field(ge=1)] = FORMAT_VERSION
    notice: str
    session: str
    """The session's name, the same as its folder's when it was made."""
    started_utc: str
    """ISO 8601."""
    program: str
    state: Annotated[SessionState, Field(strict=False)]
    head: LogHead | None = None
    """The newest event when this was written: at the end the last one, while recording one a few seconds back."""


def began_utc(started_utc: str) -> datetime | None:
    """Return when a session began by what its record says; None where that is no time at which one can have begun.

    Far from the calendar's ends: it is shown in local time, and times of its frames are added to it.
    """
    with suppress(ValueError, OverflowError):
        found = datetime.fromisoformat(started_utc)
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        return found if 1970 <= found.year < 9000 else None
    return None


def new_session(parent: Path, now: datetime | None = None) -> Path:
    """Make the folder of a new session in ``parent`` and return it. Raises SessionError where it cannot."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    folder = parent / f"{stamp}-{secrets.token_hex(2)}"
    shown = str(folder).encode(errors="replace").decode()
    if shown != str(folder):  # video and tables are written by libraries that take names in UTF-8
        raise SessionError(
            f"session folder {shown}: its name cannot be read in this locale; set LC_ALL=C.UTF-8, or give another "
            "folder with --session"
        )
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        (folder / VIDEO).mkdir()
    except OSError as error:
        raise SessionError(
            f"session folder {folder}: cannot be created ({error.strerror}); give a writable folder with "
            "--session, or --no-record"
        ) from error
    return folder


def chunk_name(number: int) -> str:
    """Return the path of a chunk inside its session."""
    return f"{VIDEO}/{number:06d}.mkv"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace ``session.json``, whole or not at all, and on disk when this returns. Raises OSError."""
    write_atomically(folder / MANIFEST, (manifest.model_dump_json(indent=2) + "\n").encode(), PRIVATE)


def read_manifest(folder: Path) -> Manifest:
    """Return what ``session.json`` says. Raises SessionError where it cannot be read or is of another version."""
    path = folder / MANIFEST
    try:
        raw = read_bounded(path, MAX_MANIFEST_BYTES)
    except OSError as error:
        raise SessionError(f"{path}: cannot be read ({error.strerror}); give the folder of a session") from error
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise SessionError(
            f"{path}: is not a session's manifest ({place}: {first['msg']}); it is damaged or of another program"
        ) from error


def sessions_folder(folder: str | None) -> Path:
    """Return the folder that holds the sessions: ``folder``, or "rostfine-station/sessions" where user data belong."""
    if folder is not None:
        try:
            return Path(folder).expanduser()
        except RuntimeError:
            raise SessionError(f"session folder {folder}: no such user; give the full path of the folder") from None
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "rostfine-station" / "sessions"


def require_outside_sessions(path: Path, what: str) -> None:
    """Raise InputError where a file or folder would be written into a session: it holds its record and nothing else.

    ``what``: the option, for the message.
    """
    for folder in {os.path.realpath(path.parent), os.path.dirname(os.path.realpath(path))}:
        if any(os.path.isfile(os.path.join(place, LOG)) for place in (folder, os.path.dirname(folder))):
            raise InputError(f"{what} {path}: lies in the folder of a recorded session; give a path outside it")
