"""The sending end of a link: it never waits for a consumer (live), or waits and loses nothing (lossless, offline).

What a slow reader misses is decided at its own end (``station.transport.receivers``). Readers have nothing to say but
what they subscribe to: a program that says more, or subscribes without end, is shut out and the link opened anew.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import zmq
from numpy.typing import NDArray

from station.clock import AwakeClock
from station.errors import StationError
from station.transport.endpoints import Endpoint
from station.transport.gatekeeper import name_of
from station.transport.hello import HelloHeader
from station.transport.keys import GUEST
from station.transport.messages import Header
from station.transport.seal import Seal
from station.transport.wire import encode

POLL_MS = 20
RETRY_S = 0.001
OTHERS_S = 2.0
LINGER_MS = 200
"""How long a sender that closes may still wait for readers to take what they have been sent."""
FREE_AGAIN_S = 2.0
"""So long at most a sender tries to open its link anew."""
QUEUE_LIVE = 64
QUEUE_LOSSLESS = 2
"""Messages in flight on a lossless link, on either side: enough to overlap two processes, few enough for memory."""
MOST_HEARD = 64
"""Words of readers that are taken in with one message sent."""
MOST_SAID = 1000
"""So many words of guests, and the link is opened anew: no memory of a sender grows by what its readers say."""
SHUT_OUT_S = 60.0
"""Guests who have said so much within so short a time are not let in again."""


class Numbered(Protocol):
    """Holds the number of the next message."""

    value: int


@dataclass(slots=True)
class FromZero:
    """Of a link that begins with its sender; the ledger of a process holds one that outlives it."""

    value: int = 0


class Publisher:
    """The sending end of a link. Binds; readers may come and go."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: Endpoint,
        *,
        lossless: bool = False,
        number: Numbered | None = None,
        queue: int = QUEUE_LIVE,
    ) -> None:
        """``number``: of the next message, for a sender that may be started again; None: from 0 on.

        ``queue``: so many messages may wait for a reader of a live link.
        """
        self.bad_messages = 0
        """What readers said that is no subscription."""
        self._turned_away_before = 0
        self._context = context
        self._endpoint = endpoint
        self._queue = queue
        self._lossless = lossless
        self._number: Numbered = number if number is not None else FromZero()
        self._seal = Seal(endpoint.seal)
        self._shut_out: set[str] = set()
        self._open()

    def _open(self) -> None:
        self._said = 0
        self._opened_s = time.monotonic()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.sndhwm = QUEUE_LOSSLESS if self._lossless else self._queue
        self._socket.linger = LINGER_MS
        if self._lossless:
            # Without this a full queue would silently swallow the message; with it the send says "try again".
            self._socket.setsockopt(zmq.XPUB_NODROP, 1)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # else a second reader of the same would not be heard of
        self._door = self._endpoint.bind(self._context, self._socket)
        if self._door is not None:
            self._door.shut_out = self._shut_out

    @property
    def turned_away(self) -> int:
        """Connections that were refused."""
        return self._turned_away_before + (self._door.turned_away if self._door is not None else 0)

    @property
    def shut_out(self) -> bool:
        """True once other programs have said so much that they are not let in any more."""
        return bool(self._shut_out)

    @property
    def next_seq(self) -> int:
        """Sequence number that the next header must carry."""
        return self._number.value

    def skip_to(self, seq: int) -> None:
        """Leave numbers out up to ``seq``: readers count those messages as lost. Never goes back."""
        self._number.value = max(self._number.value, seq)

    def wait_for_readers(self, count: int, keep_waiting: Callable[[], bool]) -> bool:
        """Return True once so many readers have subscribed, False when ``keep_waiting`` says so first.

        Waits without end for the first alone: one of the others may have died since it was counted.
        """
        clock, here, deadline_s = AwakeClock(), 0, math.inf
        while keep_waiting() and clock.seconds() < deadline_s:
            if self._socket.poll(POLL_MS, zmq.POLLIN):
                here += self._hear()
                deadline_s = clock.seconds() + OTHERS_S if here else math.inf
                if here >= count:
                    return True
        return here > 0 and keep_waiting()

    def send(
        self, header: Header, pixels: NDArray[np.uint8] | None = None, keep_waiting: Callable[[], bool] | None = None
    ) -> bool:
        """Send one message; ``pixels`` belongs to the socket from now on and must not be written to again.

        Live: never waits. Lossless: waits for room as long as ``keep_waiting`` allows; False means not sent.
        """
        parts = encode(header, pixels, self._seal)
        self._heed_readers()
        number = self._number.value
        if not isinstance(header, HelloHeader):  # which takes no number
            self._number.value += 1  # beforehand: killed in between, a message is missing, and none comes twice
        while True:
            try:
                self._socket.send_multipart(parts, zmq.DONTWAIT, copy=False)
            except zmq.Again:
                if keep_waiting is None or not keep_waiting():
                    self._number.value = number
                    return False
                time.sleep(RETRY_S)  # a publisher's socket always polls as writable
                self._heed_readers()
            else:
                return True

    def send_to_all(self, header: Header, keep_waiting: Callable[[], bool]) -> bool:
        """Send one message late rather than lose it to a reader that is behind, on a live link too.

        Waits as long as ``keep_waiting`` allows; False means not sent.
        """
        self._socket.setsockopt(zmq.XPUB_NODROP, 1)
        try:
            return self.send(header, None, keep_waiting)
        finally:
            if not self._lossless:
                self._socket.setsockopt(zmq.XPUB_NODROP, 0)

    def close(self) -> None:
        """Close the socket; may be called more than once."""
        if self._door is not None:
            self._door.close()
            self._turned_away_before, self._door = self.turned_away, None
        self._socket.close()

    def _heed_readers(self) -> None:
        """Take in what readers say; a guest who says too much is cut off, with all others for a moment."""
        for _ in range(MOST_HEARD):
            if not self._socket.poll(0, zmq.POLLIN):
                break
            self._hear()
        if self._said > MOST_SAID:
            if time.monotonic() - self._opened_s < SHUT_OUT_S:
                self._shut_out.add(GUEST)
            self._socket.linger = 0
            self.close()
            self._open_again()

    def _open_again(self) -> None:
        """Open the link at its address, which on a busy machine is free only a moment after the socket was closed."""
        end_s = time.monotonic() + FREE_AGAIN_S
        while True:
            try:
                self._open()
            except StationError:
                if time.monotonic() > end_s:
                    raise
                time.sleep(RETRY_S)
            else:
                return

    def _hear(self) -> int:
        """Take in one word of a reader; return 1 for a subscription by a process of this run, -1 for its end."""
        word = self._socket.recv(copy=False)
        kind = word.bytes[:1]
        self.bad_messages += kind not in (b"\x00", b"\x01")
        if name_of(word) == GUEST:
            self._said += 1
            return 0
        return {b"\x01": 1, b"\x00": -1}.get(kind, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
