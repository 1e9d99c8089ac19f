"""The addresses of one session's sockets.

Unix sockets in a folder that only the user can enter, where the platform has them and the path is short enough for
the kernel; else TCP on the loopback interface, which every user of the same machine can reach.
"""

import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import zmq

LINKS = ("frames", "windows", "tracks", "grades", "control", "commands")
KEY_BYTES = 32
MAX_IPC_PATH = 90
"""Linux allows 107 bytes for a Unix socket's path, macOS 103."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """One ZeroMQ address per link, the folder for this run's logs, and the key of the command socket."""

    frames: str
    windows: str
    tracks: str
    grades: str
    control: str
    commands: str
    folder: Path
    key: str
    """What a request must carry; with it anyone may command this run."""


@contextmanager
def private_endpoints() -> Iterator[Endpoints]:
    """Make the addresses of a session; its folder is gone when the block is left."""
    folder = Path(tempfile.mkdtemp(prefix="rostfine-"))  # mode 0700
    try:
        if sys.platform != "win32" and zmq.has("ipc") and len(str(folder)) + len("/commands") <= MAX_IPC_PATH:
            addresses = {link: f"ipc://{folder}/{link}" for link in LINKS}
        else:
            ports = _free_ports(len(LINKS))
            addresses = {link: f"tcp://127.0.0.1:{port}" for link, port in zip(LINKS, ports, strict=True)}
        yield Endpoints(folder=folder, key=secrets.token_urlsafe(KEY_BYTES), **addresses)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, all different."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]
