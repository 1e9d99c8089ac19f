"""The receiving end of a link: three ways of reading a socket, one way of decoding and counting what it brings.

- :class:`ThreadedReceiver` drains the socket at once in a thread of its own, so that the policy of its buffer, and not
  the socket's queue, decides what a slow consumer misses: for live links.
- :class:`LosslessReceiver` reads the socket only when its buffer is empty, so that the queue fills and the sender
  waits: for offline runs and replays.
- :class:`PolledReceiver` has no thread, which every message would wake: messages wait in the socket until somebody
  looks. For a reader that runs in spare time.

ZeroMQ's high-water mark bounds a queue's length but not its age, and its CONFLATE option keeps one *part* of a
multipart message: hence the bounded buffers here.
"""

import threading
import time
from dataclasses import dataclass
from typing import Generic, Protocol, Self

import zmq

from station.clock import now_ns
from station.errors import MessageError
from station.transport.buffers import Buffer, Item, Received
from station.transport.bus import POLL_MS, QUEUE_LIVE, QUEUE_LOSSLESS, FromZero, Numbered
from station.transport.endpoints import Endpoint
from station.transport.hello import HelloHeader
from station.transport.inbox import Inbox
from station.transport.messages import EndHeader, FrameHeader, GradesHeader, Header, TracksHeader, WindowsHeader
from station.transport.seal import sender_of
from station.transport.wire import decode

KINDS: dict[str, tuple[type[Header], ...]] = {
    "frames": (FrameHeader, EndHeader),
    "windows": (WindowsHeader, EndHeader),
    "tracks": (TracksHeader, HelloHeader, EndHeader),
    "grades": (GradesHeader, HelloHeader, EndHeader),
}
"""What each link carries."""
MOST_LOST = 100_000_000
"""A hole of more numbers than that (a week at 165 frames/s) is no loss but a wrong number."""
MOST_AT_ONCE = 4096
"""Messages that one call moves from the socket to the buffer."""


@dataclass(slots=True)
class LinkCounters:
    """Messages of one link so far. Every one that is lost is counted."""

    received: int = 0
    """Valid ones that arrived, whatever became of them; the end of the link is none."""
    replaced: int = 0
    """Lost by the policy of the buffer."""
    lost: int = 0
    """Holes in the sequence numbers."""
    bad: int = 0
    """Dropped on arrival: damaged, of another kind than the link carries, not from this run, or sent before."""
    replayed: int = 0
    """Those of them that had been sent before, or by a sender that another has replaced."""


class Receiver(Protocol[Item]):
    """What every receiver offers its consumer; a context manager."""

    turned_away: int
    """Connections that were refused: none, as it binds nothing."""

    @property
    def counters(self) -> LinkCounters:
        """Messages so far."""
        ...

    @property
    def bad_messages(self) -> int:
        """Those that were dropped on arrival."""
        ...

    @property
    def ended(self) -> bool:
        """True once the sender has said that nothing more comes and ``receive`` has handed out all there was."""
        ...

    def receive(self, timeout_s: float) -> Item | None:
        """Return the next item, waiting at most ``timeout_s`` for one; None: nothing came, or the link has ended."""
        ...

    def close(self) -> None:
        """Close the socket; may be called more than once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


def open_receiver(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoint: Endpoint,
    buffer: Buffer[Item],
    *,
    lossless: bool,
    expected: Numbered | None = None,
) -> Receiver[Item]:
    """Return the receiver that a run needs: one that loses nothing (offline, replay), or one that never lags (live).

    ``expected``: number of the next message, of a reader that may be started again; None: from 0 on.
    """
    if lossless:
        return LosslessReceiver(context, endpoint, buffer, expected)
    return ThreadedReceiver(context, endpoint, buffer, expected)


class ThreadedReceiver(Generic[Item]):
    """Drains the socket in a thread of its own; the buffer's policy decides what goes."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: Endpoint,
        buffer: Buffer[Item],
        expected: Numbered | None = None,
    ) -> None:
        """``expected``: see ``open_receiver``."""
        self.turned_away = 0  # it binds nothing
        self._link = _Link(context, endpoint, buffer, QUEUE_LIVE, expected)
        self._taking = threading.Lock()
        """Of the buffer."""
        self._news = threading.Lock()
        """Open once something has been added; the consumer closes it. A condition would wake it while its lock is still
        held, to wait a second time."""
        self._news.acquire()
        self._drained = False
        self._closing = False
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._keep_reading, name=f"receiver {endpoint.address}")
        self._thread.start()

    @property
    def counters(self) -> LinkCounters:
        """Messages so far."""
        return self._link.counters

    @property
    def bad_messages(self) -> int:
        """Those that were dropped on arrival."""
        return self._link.counters.bad

    @property
    def ended(self) -> bool:
        """True once the sender has said that nothing more comes and ``receive`` has handed out all there was."""
        return self._drained

    def receive(self, timeout_s: float) -> Item | None:
        """Return the next item, waiting at most ``timeout_s`` for one; None: nothing came, or the link has ended."""
        if self._fault is not None:
            raise self._fault
        item = self._take()
        end_s = time.monotonic() + timeout_s
        while item is None and not self._drained and self._news.acquire(timeout=max(0.0, end_s - time.monotonic())):
            item = self._take()  # none: what was added has been taken before
        return item

    def close(self) -> None:
        """Stop the thread and close the socket; may be called more than once."""
        self._closing = True
        self._thread.join()
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _take(self) -> Item | None:
        with self._taking:
            item = self._link.buffer.take()
            self._drained = item is None and self._link.end_seen
        return item

    def _keep_reading(self) -> None:
        try:
            while not self._closing:
                message = self._link.read(POLL_MS / 1000)
                if message is not None:
                    with self._taking:
                        self._link.take_in(message)
                    if self._news.locked():  # nobody else opens it
                        self._news.release()
        except BaseException as error:  # a thread that dies unseen would look like a link on which nothing comes
            self._fault = error


class LosslessReceiver(Generic[Item]):
    """Reads the socket when the buffer is empty, so that the sender waits and nothing is lost."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: Endpoint,
        buffer: Buffer[Item],
        expected: Numbered | None = None,
    ) -> None:
        """``expected``: see ``open_receiver``."""
        self.turned_away = 0  # it binds nothing
        self._link = _Link(context, endpoint, buffer, QUEUE_LOSSLESS, expected)
        self._drained = False

    @property
    def counters(self) -> LinkCounters:
        """Messages so far."""
        return self._link.counters

    @property
    def bad_messages(self) -> int:
        """Those that were dropped on arrival."""
        return self._link.counters.bad

    @property
    def ended(self) -> bool:
        """True once the sender has said that nothing more comes and ``receive`` has handed out all there was."""
        return self._drained

    def receive(self, timeout_s: float) -> Item | None:
        """Return the next item, waiting at most ``timeout_s`` for one; None: nothing came, or the link has ended."""
        link = self._link
        item = link.buffer.take()
        deadline = time.monotonic() + timeout_s
        while item is None and not link.end_seen and link.poll(max(0.0, deadline - time.monotonic())):
            message = link.read(0)
            if message is not None:
                link.take_in(message)
            item = link.buffer.take()
            if time.monotonic() > deadline:
                break
        self._drained = item is None and link.end_seen
        return item

    def close(self) -> None:
        """Close the socket; may be called more than once."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class PolledReceiver(Generic[Item]):
    """Leaves messages in the socket until ``receive`` or ``drain`` is called, in any thread."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: Endpoint,
        buffer: Buffer[Item],
        *,
        queue: int,
        expected: Numbered | None = None,
    ) -> None:
        """``queue``: so many messages may wait in the socket. ``expected``: see ``open_receiver``."""
        self.turned_away = 0  # it binds nothing
        self._link = _Link(context, endpoint, buffer, queue, expected)
        self._reading = threading.Lock()
        """Of the socket: one thread at a time."""
        self._taking = threading.Lock()
        """Of the buffer."""
        self._drained = False

    @property
    def counters(self) -> LinkCounters:
        """Messages so far."""
        return self._link.counters

    @property
    def bad_messages(self) -> int:
        """Those that were dropped on arrival."""
        return self._link.counters.bad

    @property
    def ended(self) -> bool:
        """True once the sender has said that nothing more comes and ``receive`` has handed out all there was."""
        return self._drained

    def receive(self, timeout_s: float) -> Item | None:
        """Return the next item; where nothing has come yet, look again after ``timeout_s``."""
        self.drain()
        item = self._take()
        if item is None and timeout_s and not self._link.end_seen:
            time.sleep(timeout_s)  # and not in the socket, which another thread may want meanwhile
            self.drain()
            item = self._take()
        return item

    def drain(self) -> None:
        """Move all that waits in the socket to the buffer, whose policy applies from then on."""
        with self._reading:
            for _ in range(MOST_AT_ONCE):
                if not self._link.poll(0):
                    break
                message = self._link.read(0)
                if message is not None:
                    with self._taking:
                        self._link.take_in(message)

    def close(self) -> None:
        """Close the socket; may be called more than once."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _take(self) -> Item | None:
        with self._taking:
            item = self._link.buffer.take()
            self._drained = item is None and self._link.end_seen
        return item


class _Link(Generic[Item]):
    """What all receivers have in common: the socket, the decoder, the counters, the buffer. Takes no locks."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: Endpoint,
        buffer: Buffer[Item],
        queue: int,
        expected: Numbered | None,
    ) -> None:
        self.buffer = buffer
        self.counters = LinkCounters()
        self.end_seen = False
        self._expected: Numbered = expected if expected is not None else FromZero()
        self._kinds = KINDS[endpoint.link]
        self._key = endpoint.seal
        self._sender_ns = 0
        self._socket = context.socket(zmq.SUB)
        self._socket.rcvhwm = queue
        self._socket.linger = 0
        self._socket.subscribe(b"")
        self._inbox = Inbox(self._socket)
        endpoint.connect(self._socket)

    def poll(self, timeout_s: float) -> bool:
        """Return whether a message waits in the socket, after at most ``timeout_s``."""
        return bool(self._socket.poll(int(timeout_s * 1000), zmq.POLLIN))

    def read(self, timeout_s: float) -> Received | None:
        """Return the next message, decoded; None where none came in time or it was a bad one."""
        if not self.poll(timeout_s):
            return None
        frames = self._inbox.take()
        t_received_ns = now_ns()
        if frames is None:
            return None
        parts = [frame.buffer for frame in frames]
        try:
            sender_ns = sender_of(self._key, parts)
            header, pixels = decode(parts)
        except MessageError:
            self.counters.bad += 1
            return None
        if not self._is_next(header, sender_ns):
            self.counters.bad += 1
            return None
        return Received(header, pixels, t_received_ns)

    def take_in(self, message: Received) -> None:
        """Count a message and put it into the buffer."""
        if isinstance(message.header, HelloHeader):
            self.buffer.put(message)  # it has no number of its own
            return
        seq = message.header.seq
        self.counters.lost += max(0, seq - self._expected.value)
        self._expected.value = seq + 1
        if isinstance(message.header, EndHeader):
            self.end_seen = True
        else:
            self.counters.received += 1
            self.counters.replaced += self.buffer.put(message)

    def _is_next(self, header: Header, sender_ns: int) -> bool:
        """Return whether a valid message belongs here and now: of the link's kind, and newer than the one before."""
        if not isinstance(header, self._kinds):
            return False
        if sender_ns > self._sender_ns:  # the first one, or one that was started in another's place
            if self._sender_ns:
                self.end_seen = False
                self._expected.value = header.seq if header.seq < self._expected.value else self._expected.value
            self._sender_ns = sender_ns
        old = sender_ns < self._sender_ns or header.seq < self._expected.value
        self.counters.replayed += old
        return not old and header.seq - self._expected.value <= MOST_LOST

    def close(self) -> None:
        """Close the socket; may be called more than once."""
        self._socket.close()
