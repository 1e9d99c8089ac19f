"""Where running stations are found: one file for each, in a folder that the user alone can read.

The file holds the addresses of the links, the key of the command socket, and what the run works with, so that a
script or another program needs no guessing. A file whose run is gone is removed by the next program that looks. This
module knows files; what the addresses are good for is in ``docs/wire.md``.
"""

import contextlib
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from station.build_info import version
from station.errors import InputError, StationError
from station.files import open_regular
from station.output import complain
from station.transport.endpoints import Endpoint, Endpoints, remove_all_left, remove_left
from station.transport.keys import GUEST, KeyPair, Pass

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,39}$"
DEFAULT_NAME: Final = "station"
MOST_STATIONS: Final = 99
MAX_FILE_BYTES: Final = 1 << 16
SUFFIX: Final = ".json"
Address = Annotated[str, Field(pattern=r"^(ipc://[^\x00]{1,90}|tcp://127\.0\.0\.1:[0-9]{1,5})$")]
CurveKey = Annotated[str, Field(min_length=40, max_length=40)]
ShownWord = Annotated[str, Field(min_length=1, max_length=255)]
"""What ZeroMQ takes as a user's name or password."""
OutsideLink = Literal["frames", "windows", "tracks", "grades", "commands"]
"""What other programs may connect to."""


class RunningStation(BaseModel):
    """One running station, as its file says."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    pid: Annotated[int, Field(ge=1, lt=1 << 31)]
    """Of its main process."""
    started_utc: str
    program: str
    frames: Address
    """Of the link, as those below."""
    windows: Address
    tracks: Address
    grades: Address
    commands: Address
    user: ShownWord = GUEST
    """Name to show when connecting to a Unix socket (ZeroMQ's PLAIN), with ``key`` as the password."""
    key: ShownWord
    """Every request must carry it as well."""
    server_public_key: CurveKey | None = None
    """Where the addresses are TCP (ZeroMQ's CURVE): the key of the station's sockets, as text (Z85)."""
    public_key: CurveKey | None = None
    """The pair with which to connect to them."""
    secret_key: CurveKey | None = None
    folder: Annotated[str, Field(pattern=r"^[^\x00]{1,4096}$")]
    """Of the run's sockets; gone when the run is."""
    source: str | None = None
    """None, as what follows, until it is open."""
    fps: float | None = None
    um_per_px: float | None = None
    model: str | None = None
    model_sha256: str | None = None
    session: str | None = None
    """Folder of the recorded session; None where nothing is recorded."""

    def endpoint(self, link: OutsideLink) -> Endpoint:
        """Return what is needed to connect to a link."""
        pair = KeyPair(self.public_key or "", self.secret_key or "")
        shown = Pass(self.user, self.key, pair)
        return Endpoint(link, getattr(self, link), (shown,), KeyPair(self.server_public_key or ""))


def runtime_folder() -> Path:
    """Return the folder with the files of running stations, made if need be. Raises StationError where it is unsafe."""
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "rostfine-station" / "run"
    elif (given := os.environ.get("XDG_RUNTIME_DIR")) and Path(given).is_dir():
        folder = Path(given) / "rostfine"
    else:
        folder = Path(tempfile.gettempdir()) / f"rostfine-run-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=sys.platform == "win32", exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StationError(f"folder {folder}: cannot be created ({error.strerror}); set XDG_RUNTIME_DIR") from error
    if sys.platform != "win32" and (
        not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077
    ):
        raise StationError(f"folder {folder}: is not this user's alone; remove it, or set XDG_RUNTIME_DIR")
    return folder


class Registration:
    """The file of this run, from its start to its end. Raises OSError where it cannot be written."""

    def __init__(self, path: Path, entry: RunningStation) -> None:
        self._path = path
        self.entry = entry
        self._write()

    def update(self, entry: RunningStation) -> None:
        """Write what has become known since; does nothing where that is nothing."""
        if entry != self.entry:
            self.entry = entry
            with contextlib.suppress(OSError):  # the addresses are there already
                self._write()

    def _write(self) -> None:
        partial = self._path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.entry.model_dump_json(indent=2).encode() + b"\n")
        partial.replace(self._path)


@contextmanager
def registered(endpoints: Endpoints, name: str | None = None) -> Iterator[Registration]:
    """Write the file of a run; it is gone when the block is left.

    Args:
        endpoints: Of the run.
        name: To be known by; None: "station", or "station-2" where that runs already.

    Raises InputError where a station of that name runs already, StationError where no file can be written.
    """
    if name is not None and not re.fullmatch(NAME_PATTERN, name):
        raise InputError(f"--name {name}: expected up to 40 small letters, digits, - and _, such as left-microscope")
    folder = runtime_folder()
    running_stations()  # removes the files of those that are gone
    tcp = endpoints.commands.is_tcp
    names = [name] if name is not None else [DEFAULT_NAME, *(f"{DEFAULT_NAME}-{n}" for n in range(2, MOST_STATIONS))]
    for candidate in names:
        path = folder / f"{candidate}{SUFFIX}"
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            continue
        except OSError as error:
            raise StationError(f"{path}: cannot be written ({error.strerror}); set XDG_RUNTIME_DIR") from error
        entry = RunningStation(
            name=candidate,
            pid=os.getpid(),
            started_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            program=f"rostfine-station {version()}",
            frames=endpoints.frames.address,
            windows=endpoints.windows.address,
            tracks=endpoints.tracks.address,
            grades=endpoints.grades.address,
            commands=endpoints.commands.address,
            key=endpoints.key,
            server_public_key=endpoints.commands.server.public if tcp else None,
            public_key=endpoints.guest.pair.public if tcp else None,
            secret_key=endpoints.guest.pair.secret if tcp else None,
            folder=str(endpoints.folder),
        )
        try:
            registration = Registration(path, entry)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise StationError(f"{path}: cannot be written ({error.strerror}); set XDG_RUNTIME_DIR") from error
        try:
            yield registration
        finally:
            path.unlink(missing_ok=True)
            path.with_suffix(".partial").unlink(missing_ok=True)
        return
    raise InputError(f"a station named {name or DEFAULT_NAME} is running already; give another name with --name")


@contextmanager
def registered_if_possible(endpoints: Endpoints, name: str | None = None) -> Iterator[Registration | None]:
    """Do as ``registered``; where no file can be written, say so: the run goes on, and no command finds it.

    Raises InputError where a station of that name runs already.
    """
    with ExitStack() as stack:
        try:
            registration: Registration | None = stack.enter_context(registered(endpoints, name))
        except InputError:
            raise
        except StationError as error:
            complain(f"rostfine: {error}; until then no command finds this run")
            registration = None
        yield registration


def running_stations() -> list[RunningStation]:
    """Return the stations of this user that run now, by name; removes the files and folders of those that do not."""
    found: list[RunningStation] = []
    left: list[str] = []
    for path in runtime_folder().glob(f"*{SUFFIX}"):
        try:
            with open_regular(path) as file:
                entry = RunningStation.model_validate_json(file.read(MAX_FILE_BYTES))
        except ValidationError:
            if _older_than_a_minute(path):  # else it is being written at this moment
                path.unlink(missing_ok=True)
            continue
        except OSError:
            continue
        if _runs(entry):
            found.append(entry)
        else:
            path.unlink(missing_ok=True)
            left.append(entry.folder)
    for folder in set(left) - {entry.folder for entry in found}:
        remove_left(Path(folder))
    remove_all_left()
    return sorted(found, key=lambda entry: entry.name)


def find_station(name: str | None) -> RunningStation:
    """Return the station of that name; None: the only one there is. Raises InputError."""
    running = running_stations()
    names = ", ".join(entry.name for entry in running)
    if not running:
        raise InputError("no station is running; start one first")
    if name is None:
        if len(running) > 1:
            raise InputError(f"several stations are running: {names}; say which with --station NAME")
        return running[0]
    for entry in running:
        if entry.name == name:
            return entry
    raise InputError(f"no station named {name} is running; running: {names}")


def _runs(entry: RunningStation) -> bool:
    """Return whether the process of a file is there, and its sockets: a number alone may be another program's now."""
    try:
        if not Path(entry.folder).is_dir():
            return False
    except OSError:  # a name that no folder can have
        return False
    if sys.platform == "win32":
        return True
    try:
        os.kill(entry.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process has taken the number
        return False
    return True


def _older_than_a_minute(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return datetime.now(UTC).timestamp() - path.stat().st_mtime > 60
    return False
