"""A bad network between two machines, in one process: it delays, stalls, cuts, and keeps what it has carried.

TCP connections are passed on byte for byte. Packets that are lost on a real network come late, since TCP sends them
again: so a share of what passes is held up for a moment. A cut carries nothing and says nothing, as a pulled cable.
"""

import queue
import random
import socket
import threading
import time
from collections.abc import Sequence
from typing import Final, Self

CHUNK: Final = 1 << 16
STALL_S: Final = 0.06
"""How much later a packet comes that TCP had to send again: a round trip of 40 ms and a little."""
UNDER_WAY: Final = 64
"""Pieces in the network at once, each way."""
POLL_S: Final = 0.05


class LinkProxy:
    """Passes a few ports of this machine on to others of it."""

    def __init__(self, targets: Sequence[int], *, delay_s: float = 0.0, lost: float = 0.0, seed: int = 0) -> None:
        """``targets``: ports; ``ports`` are those to connect to, each one above the one before."""
        self.carried = bytearray()
        """What went through, in either direction."""
        self._delay_s, self._lost, self._random = delay_s, lost, random.Random(seed)
        self._closing, self._cut = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._listeners = _listeners(len(targets))
        self.ports = [listener.getsockname()[1] for listener in self._listeners]
        for listener, target in zip(self._listeners, targets, strict=True):
            self._start(self._accept, listener, target)

    def cut(self) -> None:
        """Carry nothing from now on."""
        self._cut.set()

    def restore(self) -> None:
        """Carry again; connections of before are gone."""
        self._cut.clear()

    def close(self) -> None:
        """End all connections; may be called more than once."""
        self._closing.set()
        for listener in self._listeners:
            listener.close()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="link proxy")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, target: int) -> None:
        listener.settimeout(POLL_S)
        while not self._closing.is_set():
            try:
                near, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", target), timeout=1.0)
            except OSError:
                near.close()
                continue
            ended = threading.Event()
            for source, sink in ((near, far), (far, near)):
                source.settimeout(POLL_S)
                under_way: queue.Queue[tuple[float, bytes]] = queue.Queue(UNDER_WAY)
                self._start(self._take, source, under_way, ended)
                self._start(self._deliver, under_way, sink, ended)

    def _take(
        self, source: socket.socket, under_way: "queue.Queue[tuple[float, bytes]]", ended: threading.Event
    ) -> None:
        """Take what comes from one side, until that side or the link ends."""
        interrupted = False
        try:
            while not self._closing.is_set() and not ended.is_set():
                if self._cut.is_set():
                    interrupted = True
                    time.sleep(POLL_S)
                    continue
                if interrupted:
                    break
                try:
                    data = source.recv(CHUNK)
                except TimeoutError:
                    continue
                if not data:
                    break
                self.carried += data
                held_s = STALL_S if self._random.random() < self._lost else 0.0
                item = (time.monotonic() + self._delay_s + held_s, data)
                while not self._closing.is_set() and not ended.is_set():
                    try:
                        under_way.put(item, timeout=POLL_S)
                        break
                    except queue.Full:
                        continue
        except OSError:
            pass
        finally:
            ended.set()
            source.close()

    def _deliver(
        self, under_way: "queue.Queue[tuple[float, bytes]]", sink: socket.socket, ended: threading.Event
    ) -> None:
        """Hand over what has been under way for long enough, in order."""
        while not self._closing.is_set() and not ended.is_set():
            try:
                due_s, data = under_way.get(timeout=POLL_S)
            except queue.Empty:
                continue
            time.sleep(max(0.0, due_s - time.monotonic()))
            try:
                sink.settimeout(10.0)
                sink.sendall(data)
                sink.settimeout(POLL_S)
            except OSError:
                ended.set()


def _listeners(count: int) -> list[socket.socket]:
    """Return listeners on neighbouring ports."""
    while True:
        made: list[socket.socket] = []
        try:
            for number in range(count):
                listener = socket.socket()
                made.append(listener)
                listener.bind(("127.0.0.1", made[0].getsockname()[1] + number if number else 0))
                listener.listen()
        except OSError:
            for listener in made:
                listener.close()
        else:
            return made


def free_ports(count: int) -> list[int]:
    """Return neighbouring ports that are free now."""
    listeners = _listeners(count)
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
