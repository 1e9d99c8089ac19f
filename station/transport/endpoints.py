"""The addresses of one run's sockets, who may connect to them, and what a socket must be set to before it does.

Unix sockets in a folder that only the user can enter, where the platform has them and a folder with a short enough path
is found; else TCP on the loopback interface, encrypted, since every user of the machine can reach that. Every socket is
bound and connected here, so that none is without its bounds.
"""

import os
import re
import shutil
import socket as sockets
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

import zmq

from station.errors import InputError, StationError
from station.files import PRIVATE
from station.transport.control_messages import ProcessName
from station.transport.far_listener import listening_socket
from station.transport.gatekeeper import Door, Gatekeeper
from station.transport.keys import GUEST, STATION, KeyPair, Pass, RunKeys

LinkName = Literal["frames", "windows", "tracks", "grades", "control", "commands"]
LINKS: Final[tuple[LinkName, ...]] = get_args(LinkName)
PREFIX: Final = "rostfine-"
"""Of the name of a run's folder."""
LOCK: Final = "lock"
"""File in it that is locked for as long as any process of the run lives."""
NEW_S: Final = 60.0
"""So young a folder may be one that is being made."""
MAX_IPC_PATH: Final = 90
"""Linux allows 107 bytes for a Unix socket's path, macOS 103."""
MAX_HEADER_BYTES: Final = 1 << 20
"""A header is far smaller; anything larger is no message of ours."""
MAX_PIXELS_BYTES: Final = 1 << 28
"""Of one message: a frame of 16,384 x 16,384 px, or 745 windows."""
MAX_UPSTREAM_BYTES: Final = 1 << 12
"""What a reader sends to a data link: subscriptions, and its part of the handshake."""
UPSTREAM_QUEUE: Final = 8
"""So few of these wait in a socket: its reader is then held up, not the sender."""
HANDSHAKE_MS: Final = 2000
"""Whoever has not shown a pass by then is cut off."""
FAR_BEAT_MS: Final = 500
FAR_PATIENCE_MS: Final = 2000
FAR_RETRY_MS: Final = 200
Socket = zmq.Socket[bytes]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of one link, with what is needed to bind it or to connect to it."""

    link: LinkName
    address: str
    passes: tuple[Pass, ...] = ()
    """Of all who may connect; to connect, one with its secrets is enough. Empty: anybody, which TCP refuses."""
    server: KeyPair = field(default=KeyPair(""))
    """Of the bound socket, on TCP; its secret only where it is bound."""
    seal: bytes = field(default=b"", repr=False)
    """Key that marks this run's messages; empty: they are not marked (``station.transport.wire``)."""
    far: bool = False
    """The other end is another machine: a link that is cut is noticed and made anew."""

    @property
    def is_tcp(self) -> bool:
        """True where other users, or other machines, can reach the address."""
        return self.address.startswith("tcp://")

    def bind(self, context: zmq.Context[Socket], socket: Socket) -> Door | None:
        """Bind a socket; the door that is returned is to be closed with it. None: it has no lock.

        Raises StationError, the socket closed, for TCP without passes or without CURVE, or an address in use;
        InputError where that is one of a link between machines.
        """
        socket.handshake_ivl = HANDSHAKE_MS
        self._watch(socket)
        if socket.type == zmq.XPUB:
            socket.maxmsgsize = MAX_UPSTREAM_BYTES
            socket.rcvhwm = UPSTREAM_QUEUE
        self._require_lock(socket)
        door = None
        if self.passes:
            if self.is_tcp:
                socket.curve_server = True
                socket.curve_publickey, socket.curve_secretkey = (
                    self.server.public.encode(),
                    self.server.secret.encode(),
                )
            else:
                socket.plain_server = True
            door = Gatekeeper.guard(context, socket, self.address, self.passes)
        try:
            if self.far and (listener := listening_socket(self.address)) is not None:
                socket.setsockopt(zmq.USE_FD, listener)  # which belongs to the socket from here on
            socket.bind(self.address)
        except (zmq.ZMQError, OSError) as error:
            if door is not None:
                door.close()
            socket.close(0)
            if self.far:  # somebody gave the address
                raise InputError(
                    f"{self.address}: cannot be opened ({error.strerror}); give an address of this machine (0.0.0.0: "
                    "all that it has) and a port that is free"
                ) from error
            raise StationError(
                f"{self.address}: cannot be opened ({error}); another program may be using it"
            ) from error
        return door

    def connect(self, socket: Socket, name: str = STATION) -> None:
        """Connect a socket with the pass of that name, or the only one there is.

        Raises StationError, the socket closed, for TCP without keys and for what is no address or no key.
        """
        if socket.type == zmq.SUB:
            socket.maxmsgsize = MAX_PIXELS_BYTES
        self._require_lock(socket)
        self._watch(socket)
        try:
            self._connect(socket, name)
        except zmq.ZMQError as error:
            socket.close(0)
            raise StationError(
                f"{self.address}: cannot be connected to ({error.strerror}); start the station anew"
            ) from error

    def _connect(self, socket: Socket, name: str) -> None:
        shown = next((entry for entry in self.passes if entry.name == name), self.passes[0] if self.passes else None)
        if shown is not None and self.is_tcp:
            socket.curve_serverkey = self.server.public.encode()
            _show(socket, shown.pair)
        elif shown is not None:
            socket.plain_username, socket.plain_password = shown.name.encode(), shown.word.encode()
        socket.connect(self.address)

    def _watch(self, socket: Socket) -> None:
        if self.far:  # else a cut is noticed when the kernel gives up, after minutes
            socket.heartbeat_ivl, socket.heartbeat_timeout = FAR_BEAT_MS, FAR_PATIENCE_MS
            socket.connect_timeout, socket.reconnect_ivl = FAR_PATIENCE_MS, FAR_RETRY_MS

    def _require_lock(self, socket: Socket) -> None:
        if self.is_tcp and not (self.passes and self.server.public):
            socket.close(0)
            raise StationError(f"{self.address}: TCP is used with keys only; this ZeroMQ may lack CURVE (libsodium)")


def _show(socket: Socket, pair: KeyPair) -> None:
    socket.curve_publickey, socket.curve_secretkey = pair.public.encode(), pair.secret.encode()


@dataclass(frozen=True, slots=True)
class Endpoints:
    """One endpoint per link, and the folder for this run's logs."""

    frames: Endpoint
    windows: Endpoint
    tracks: Endpoint
    grades: Endpoint
    control: Endpoint
    commands: Endpoint
    folder: Path
    guest: Pass
    """What the user's other programs show; it stands in the run's file."""

    @property
    def key(self) -> str:
        """What a request on the command socket must carry."""
        return self.guest.word

    @property
    def notice(self) -> str:
        """What people should know about these addresses; empty for Unix sockets."""
        return TCP_NOTICE if self.frames.is_tcp else ""


TCP_NOTICE: Final = (
    "the links of this run are TCP ports on this machine, encrypted with keys of the run: no folder for Unix sockets "
    "has a short enough path (set XDG_RUNTIME_DIR, or a shorter TMPDIR)"
    if sys.platform != "win32"
    else "the links of this run are TCP ports on this machine, encrypted with keys of the run"
)


@contextmanager
def private_endpoints() -> Iterator[Endpoints]:
    """Make the addresses of a run; its folder is gone when the block is left."""
    folder = _private_folder()
    lock = _lock(folder)
    try:
        if _holds_sockets(folder):
            addresses = {link: f"ipc://{folder}/{link}" for link in LINKS}
        else:
            ports = _free_ports(len(LINKS))
            addresses = {link: f"tcp://127.0.0.1:{port}" for link, port in zip(LINKS, ports, strict=True)}
        keys = RunKeys.new()
        ours, guest = keys.pass_for(STATION), keys.pass_for(GUEST)
        processes = tuple(keys.pass_for(f"{name.value}") for name in ProcessName)
        server = keys.pair("server")
        made = {
            link: Endpoint(link, address, processes if link == "control" else (ours, guest), server, keys.seal)
            for link, address in addresses.items()
        }
        yield Endpoints(folder=folder, guest=guest, **made)
    finally:
        if lock is not None:
            os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def remove_left(folder: Path) -> None:
    """Remove the folder of a run that was killed with all its processes; nothing else, and of this user alone."""
    with suppress(OSError):
        found = folder.lstat()
        own = sys.platform == "win32" or found.st_uid == os.getuid()
        ours = own and stat.S_ISDIR(found.st_mode) and re.fullmatch(f"{PREFIX}[a-z0-9_]{{8}}", folder.name)
        if ours and not _is_locked(folder) and not any(map(_answers, folder.iterdir())):
            shutil.rmtree(folder, ignore_errors=True)


def remove_all_left() -> None:
    """Remove the folders of runs that were killed, of which nothing else may know: before they were registered."""
    for place in _places():
        for folder in Path(place).glob(f"{PREFIX}*") if place is not None else ():
            with suppress(OSError):
                if (folder / LOCK).is_file() and time.time() - folder.lstat().st_mtime > NEW_S:
                    remove_left(folder)


def _lock(folder: Path) -> int | None:
    """Lock a run's folder for this process and those that are forked from it; None where there are no such locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError:  # no room: what needs some says so
        return None
    with suppress(OSError):  # a file system without locks
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def _is_locked(folder: Path) -> bool:
    """Return whether a process of the run lives, in whatever container; False where it has no lock."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        file = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _answers(path: Path) -> bool:
    """Return whether somebody listens at a Unix socket, whose process may be one of another container."""
    if sys.platform == "win32" or not stat.S_ISSOCK(path.lstat().st_mode):
        return False
    with sockets.socket(sockets.AF_UNIX) as trial:
        trial.settimeout(1.0)
        return trial.connect_ex(str(path)) == 0


def _private_folder() -> Path:
    """Make a folder of mode 0700: in the temporary folder, else where its path is short enough for Unix sockets."""
    for place in _places():
        if place is None or not _holds_sockets(Path(place) / "rostfine-xxxxxxxx"):
            continue
        try:
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        except OSError:  # not there, or closed to this user
            continue
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def _places() -> list[str | None]:
    """Return where a run's folder may be, the best place first."""
    first = tempfile.gettempdir()
    return [first, os.environ.get("XDG_RUNTIME_DIR"), "/tmp"] if sys.platform != "win32" else [first]


def _holds_sockets(folder: Path) -> bool:
    try:
        longest = max(len(str(folder / link).encode()) for link in LINKS)
    except UnicodeEncodeError:  # a name that is no text here; ZeroMQ takes addresses in UTF-8
        return False
    return sys.platform != "win32" and zmq.has("ipc") and longest <= MAX_IPC_PATH


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, all different. Who takes one meanwhile has no key and is not believed."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(sockets.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]
