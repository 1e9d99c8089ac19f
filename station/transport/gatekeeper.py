"""Decides who gets through to the bound sockets of a ZeroMQ context, and counts who does not.

ZeroMQ asks it once for each connection (RFC 27, ZAP) before any message is read. It knows passes and connections; what
is said on them is not its business.
"""

import contextlib
import hmac
import threading
from collections.abc import Sequence
from typing import Any, Final

import zmq
from zmq.utils import z85

from station.transport.keys import Pass

ZAP: Final = "inproc://zeromq.zap.01"
REFUSALS: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
MOST_PER_ROUND: Final = 64


class Door:
    """One bound socket's entrance. Close it with the socket."""

    def __init__(self, keeper: "Gatekeeper", socket: "zmq.Socket[bytes]", domain: str, passes: Sequence[Pass]) -> None:
        self.passes = {entry.name: entry for entry in passes}
        self.shut_out: set[str] = set()
        """Names that are let in no longer."""
        self.turned_away = 0
        """Connections that were refused: without a pass, with a wrong one, or with no handshake of ours."""
        # Strangers that never get as far as showing a pass are heard of by these events alone.
        self.monitor: zmq.Socket[Any] = socket.get_monitor_socket(REFUSALS)
        self._socket = socket
        self._keeper = keeper
        self._domain = domain

    def close(self) -> None:
        """Let nobody through any more; may be called more than once."""
        if self._keeper.forget(self, self._domain):
            self._socket.disable_monitor()


class Gatekeeper:
    """One for each context, from its first locked socket to its last; a thread that sleeps unless somebody connects."""

    _open: Final[dict[int, "Gatekeeper"]] = {}
    _opening: Final = threading.Lock()

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._context = context
        self._lock = threading.Lock()
        """Guards the doors."""
        self._doors: dict[str, Door] = {}
        self._gone: list[zmq.Socket[Any]] = []
        """Of doors that are closed: the thread, which may be listening to them, lets go of them."""
        self._closing = False
        self._zap = context.socket(zmq.ROUTER)
        self._zap.linger = 0
        self._zap.bind(ZAP)
        self._wake = context.socket(zmq.DEALER)
        self._wake.linger = 0
        self._wake.connect(ZAP)
        self._thread = threading.Thread(target=self._keep, name="gatekeeper")
        self._thread.start()

    @classmethod
    def guard(
        cls, context: zmq.Context[zmq.Socket[bytes]], socket: "zmq.Socket[bytes]", domain: str, passes: Sequence[Pass]
    ) -> Door:
        """Let through to ``socket``, which is to be bound, those with one of the passes. ``domain``: its address."""
        with cls._opening:
            keeper = cls._open.get(id(context))
            if keeper is None:
                keeper = cls._open[id(context)] = cls(context)
            socket.zap_domain = domain.encode()
            door = Door(keeper, socket, domain, passes)
            with keeper._lock:
                keeper._gone += [keeper._doors[domain].monitor] if domain in keeper._doors else []
                keeper._doors[domain] = door
            keeper._look_up()
            return door

    def forget(self, door: Door, domain: str) -> bool:
        """Close a door and return whether it was open; with the last one the thread ends."""
        with self._opening:
            with self._lock:
                if self._doors.get(domain) is not door:
                    return False
                del self._doors[domain]
                self._gone.append(door.monitor)
                self._closing = last = not self._doors
            self._look_up()
            if last:
                del self._open[id(self._context)]
                self._thread.join()
                self._wake.close()
            return True

    def _look_up(self) -> None:
        """Wake the thread. It may have looked up by itself and ended: a send that waits would then wait without end."""
        with contextlib.suppress(zmq.Again):
            self._wake.send(b"", zmq.DONTWAIT)

    def _keep(self) -> None:
        """Answer until the last door is closed."""
        poller = zmq.Poller()
        poller.register(self._zap, zmq.POLLIN)
        watched: dict[zmq.Socket[Any], Door] = {}
        while True:
            with self._lock:
                doors = {door.monitor: door for door in self._doors.values()}
                gone, self._gone, closing = self._gone, [], self._closing
            for monitor in gone:
                if monitor in watched:
                    poller.unregister(monitor)
                monitor.close(0)
            for monitor in doors.keys() - watched.keys():
                poller.register(monitor, zmq.POLLIN)
            watched = doors
            if closing:
                break
            for socket, _ in poller.poll():
                if socket is self._zap:
                    self._answer(self._zap.recv_multipart())
                elif socket in watched:
                    _count(watched[socket])
        self._zap.unbind(ZAP)  # at once, so that a next one can have the name
        self._zap.close()

    def _answer(self, parts: list[bytes]) -> None:
        """Answer ZeroMQ's question whether one connection may be made; what is no question only woke the thread."""
        if len(parts) < 8:
            return
        envelope, (version, number, domain, _address, _identity, mechanism, *shown) = parts[:2], parts[2:]
        with self._lock:
            door = self._doors.get(domain.decode(errors="replace"))
        name = _name(door, mechanism, shown) if door is not None else None
        status = [b"200", b"OK", name.encode()] if name is not None else [b"400", b"no pass for this run", b""]
        self._zap.send_multipart([*envelope, version, number, *status, b""])


def _name(door: Door, mechanism: bytes, shown: Sequence[bytes]) -> str | None:
    """Return whose pass was shown; None where it is nobody's."""
    if mechanism == b"PLAIN" and len(shown) == 2:
        entry = door.passes.get(shown[0].decode(errors="replace"))
        found = entry if entry is not None and hmac.compare_digest(entry.word.encode(), shown[1]) else None
    elif mechanism == b"CURVE" and len(shown) == 1 and len(shown[0]) == 32:
        public = z85.encode(shown[0]).decode()
        found = next((entry for entry in door.passes.values() if entry.pair.public == public), None)
    else:
        found = None
    if found is None or found.name in door.shut_out:
        return None
    return found.name


def name_of(part: zmq.Frame) -> str:
    """Return whose pass the connection showed on which a message has come; empty for a socket without a lock."""
    try:
        return str(part.get("User-Id"))
    except zmq.ZMQError:
        return ""


def _count(door: Door) -> None:
    for _ in range(MOST_PER_ROUND):
        try:
            door.monitor.recv_multipart(zmq.DONTWAIT)  # only counted: each is one refusal
        except zmq.ZMQError:
            return
        door.turned_away += 1
