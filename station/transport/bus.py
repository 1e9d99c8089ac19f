"""Sockets and link policies: how messages move between the processes, and what is given up when a reader is slow.

A Publisher never waits for a consumer (live), or waits and loses nothing (lossless, for offline runs). A Receiver
drains its socket at once in a thread of its own and keeps messages in a bounded Buffer, which is where the policy of
the link lives: ZeroMQ's high-water mark bounds a queue's length but not its age, and its CONFLATE option keeps one
*part* of a multipart message. Every message that is lost is counted: as ``replaced`` (by policy), ``lost`` (holes in
the sequence numbers) or ``bad`` (not a valid message).
"""

import math
import threading
import time
from collections.abc import Callable
from typing import Generic, Self

import numpy as np
import zmq
from numpy.typing import NDArray

from station.clock import now_ns
from station.errors import MessageError
from station.transport.buffers import Buffer, Item, Received
from station.transport.messages import EndHeader, Header
from station.transport.wire import decode, encode

POLL_MS = 20
RETRY_S = 0.001
OTHERS_S = 2.0
LINGER_MS = 200
"""How long a sender that closes may still wait for readers to take what they have been sent."""
QUEUE_LIVE = 64
QUEUE_LOSSLESS = 2
"""Messages in flight on a lossless link, on either side: enough to overlap two stages, few enough to bound memory."""


class Publisher:
    """The sending end of a link. Binds; readers may come and go."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, *, lossless: bool = False) -> None:
        self._lossless = lossless
        self._seq = 0
        self._socket = context.socket(zmq.XPUB)
        self._socket.sndhwm = QUEUE_LOSSLESS if lossless else QUEUE_LIVE
        self._socket.linger = LINGER_MS
        if lossless:
            # Without this a full queue would silently swallow the message; with it the send says "try again".
            self._socket.setsockopt(zmq.XPUB_NODROP, 1)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # else a second reader of the same would not be heard of
        self._socket.bind(endpoint)

    @property
    def next_seq(self) -> int:
        """Sequence number that the next header must carry."""
        return self._seq

    def skip_to(self, seq: int) -> None:
        """Leave numbers out up to ``seq``: readers count those messages as lost. Never goes back."""
        self._seq = max(self._seq, seq)

    def wait_for_readers(self, count: int, keep_waiting: Callable[[], bool]) -> bool:
        """Return True once so many readers have subscribed, False when ``keep_waiting`` says so first.

        Waits without end for the first alone: one of the others may have died since it was counted.
        """
        here, deadline = 0, math.inf
        while keep_waiting() and time.monotonic() < deadline:
            if self._socket.poll(POLL_MS, zmq.POLLIN):
                here += 1 if self._socket.recv().startswith(b"\x01") else -1
                deadline = time.monotonic() + OTHERS_S if here else math.inf
                if here >= count:
                    return True
        return here > 0 and keep_waiting()

    def send(
        self, header: Header, pixels: NDArray[np.uint8] | None = None, keep_waiting: Callable[[], bool] | None = None
    ) -> bool:
        """Send one message; ``pixels`` belongs to the socket from now on and must not be written to again.

        Live: never waits. Lossless: waits for room as long as ``keep_waiting`` allows; False means not sent.
        """
        parts = encode(header, pixels)
        while True:
            try:
                self._socket.send_multipart(parts, zmq.DONTWAIT, copy=False)
            except zmq.Again:
                if keep_waiting is None or not keep_waiting():
                    return False
                time.sleep(RETRY_S)  # a publisher's socket always polls as writable
            else:
                self._seq += 1
                return True

    def close(self) -> None:
        """Close the socket; may be called more than once."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Receiver(Generic[Item]):
    """The receiving end of a link, with the policy of its buffer.

    Live: a thread drains the socket. Lossless: the socket is read only when the buffer is empty, so that its queue
    fills and the sender waits. ``queue``: live, but without a thread, which every message would wake: so many wait in
    the socket until ``receive`` or ``drain`` is called, in any thread.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        buffer: Buffer[Item],
        *,
        lossless: bool = False,
        queue: int | None = None,
    ) -> None:
        self.received = 0
        self.replaced = 0
        self.lost = 0
        self.bad = 0
        self._buffer = buffer
        self._expected_seq = 0
        self._end_seen = False
        self._drained = False
        self._arrived = threading.Condition()
        """Of the buffer."""
        self._reading = threading.Lock()
        """Of the socket, where several threads may read."""
        self._patient = queue is not None
        self._closing = False
        self._fault: BaseException | None = None
        self._socket = context.socket(zmq.SUB)
        self._socket.rcvhwm = queue or (QUEUE_LOSSLESS if lossless else QUEUE_LIVE)
        self._socket.linger = 0
        self._socket.subscribe(b"")
        self._socket.connect(endpoint)
        self._thread: threading.Thread | None = None
        if not lossless and queue is None:
            self._thread = threading.Thread(target=self._keep_reading, name=f"receiver {endpoint}")
            self._thread.start()

    def receive(self, timeout_s: float) -> Item | None:
        """Return the next item, waiting at most ``timeout_s`` for one; None: nothing came, or the link has ended.

        With ``queue`` the whole time where nothing has come yet.
        """
        if self._patient:
            self.drain()
            item = self._take()
            if item is None and timeout_s and not self._end_seen:
                time.sleep(timeout_s)  # and not in the socket, which another thread may want meanwhile
                self.drain()
                item = self._take()
            return item
        if self._thread is None:
            item = self._buffer.take()
            deadline = time.monotonic() + timeout_s
            while item is None and not self._end_seen and self._read(max(0.0, deadline - time.monotonic())):
                item = self._buffer.take()
            self._drained = item is None and self._end_seen
            return item
        if self._fault is not None:
            raise self._fault
        with self._arrived:
            item = self._buffer.take()
            if item is None and not self._end_seen:
                self._arrived.wait(timeout_s)
                item = self._buffer.take()
            self._drained = item is None and self._end_seen
            return item

    def drain(self) -> None:
        """Move all that waits in the socket to the buffer, whose policy applies from then on (with ``queue``)."""
        with self._reading:
            while self._read(0):
                pass

    @property
    def ended(self) -> bool:
        """True once the sender has said that nothing more comes and ``receive`` has handed out all there was."""
        return self._drained

    def close(self) -> None:
        """Stop the thread and close the socket; may be called more than once."""
        self._closing = True
        if self._thread is not None:
            self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _take(self) -> Item | None:
        with self._arrived:
            item = self._buffer.take()
            self._drained = item is None and self._end_seen
        return item

    def _keep_reading(self) -> None:
        try:
            while not self._closing:
                self._read(POLL_MS / 1000)
        except BaseException as error:  # a thread that dies unseen would look like a link on which nothing comes
            self._fault = error

    def _read(self, timeout_s: float) -> bool:
        """Move one message from socket to buffer; False: none came in time."""
        if not self._socket.poll(int(timeout_s * 1000), zmq.POLLIN):
            return False
        frames = self._socket.recv_multipart(copy=False)
        t_received_ns = now_ns()
        try:
            header, pixels = decode([frame.buffer for frame in frames])
        except MessageError:
            self.bad += 1
            return True
        with self._arrived:
            self._take_in(Received(header, pixels, t_received_ns))
            self._arrived.notify()
        return True

    def _take_in(self, message: Received) -> None:
        seq = message.header.seq
        self.lost += max(0, seq - self._expected_seq)
        self._expected_seq = seq + 1
        if isinstance(message.header, EndHeader):
            self._end_seen = True
        else:
            self.received += 1
            self.replaced += self._buffer.put(message)
