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
from station.transport.hello import HelloHeader
from station.transport.messages import EndHeader
from station.transport.wire import decode


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
    """Not a valid message."""


class Receiver(Protocol[Item]):
    """What every receiver offers its consumer; a context manager."""

    @property
    def counters(self) -> LinkCounters:
        """Messages so far."""
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
    endpoint: str,
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
        endpoint: str,
        buffer: Buffer[Item],
        expected: Numbered | None = None,
    ) -> None:
        """``expected``: see ``open_receiver``."""
        self._link = _Link(context, endpoint, buffer, QUEUE_LIVE, expected)
        self._arrived = threading.Condition()
        """Guards the buffer, and tells the consumer that it has been added to."""
        self._drained = False
        self._closing = False
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._keep_reading, name=f"receiver {endpoint}")
        self._thread.start()

    @property
    def counters(self) -> LinkCounters:
        """Messages so far."""
        return self._link.counters

    @property
    def ended(self) -> bool:
        """True once the sender has said that nothing more comes and ``receive`` has handed out all there was."""
        return self._drained

    def receive(self, timeout_s: float) -> Item | None:
        """Return the next item, waiting at most ``timeout_s`` for one; None: nothing came, or the link has ended."""
        if self._fault is not None:
            raise self._fault
        with self._arrived:
            item = self._link.buffer.take()
            if item is None and not self._link.end_seen:
                self._arrived.wait(timeout_s)
                item = self._link.buffer.take()
            self._drained = item is None and self._link.end_seen
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

    def _keep_reading(self) -> None:
        try:
            while not self._closing:
                message = self._link.read(POLL_MS / 1000)
                if message is not None:
                    with self._arrived:
                        self._link.take_in(message)
                        self._arrived.notify()
        except BaseException as error:  # a thread that dies unseen would look like a link on which nothing comes
            self._fault = error


class LosslessReceiver(Generic[Item]):
    """Reads the socket when the buffer is empty, so that the sender waits and nothing is lost."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        buffer: Buffer[Item],
        expected: Numbered | None = None,
    ) -> None:
        """``expected``: see ``open_receiver``."""
        self._link = _Link(context, endpoint, buffer, QUEUE_LOSSLESS, expected)
        self._drained = False

    @property
    def counters(self) -> LinkCounters:
        """Messages so far."""
        return self._link.counters

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
        endpoint: str,
        buffer: Buffer[Item],
        *,
        queue: int,
        expected: Numbered | None = None,
    ) -> None:
        """``queue``: so many messages may wait in the socket. ``expected``: see ``open_receiver``."""
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
            while self._link.poll(0):
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
        endpoint: str,
        buffer: Buffer[Item],
        queue: int,
        expected: Numbered | None,
    ) -> None:
        self.buffer = buffer
        self.counters = LinkCounters()
        self.end_seen = False
        self._expected: Numbered = expected if expected is not None else FromZero()
        self._socket = context.socket(zmq.SUB)
        self._socket.rcvhwm = queue
        self._socket.linger = 0
        self._socket.subscribe(b"")
        self._socket.connect(endpoint)

    def poll(self, timeout_s: float) -> bool:
        """Return whether a message waits in the socket, after at most ``timeout_s``."""
        return bool(self._socket.poll(int(timeout_s * 1000), zmq.POLLIN))

    def read(self, timeout_s: float) -> Received | None:
        """Return the next message, decoded; None where none came in time or it was a bad one."""
        if not self.poll(timeout_s):
            return None
        frames = self._socket.recv_multipart(copy=False)
        t_received_ns = now_ns()
        try:
            header, pixels = decode([frame.buffer for frame in frames])
        except MessageError:
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

    def close(self) -> None:
        """Close the socket; may be called more than once."""
        self._socket.close()
