"""What a receiver keeps until its consumer takes it: where the policy of a link lives.

Each buffer is bounded, in messages or in bytes, and says how many messages had to go for a new one.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from station.transport.messages import Header


@dataclass(frozen=True, slots=True)
class Received:
    """A message and when it arrived. ``pixels`` is a read-only view that keeps the message's memory alive."""

    header: Header
    pixels: NDArray[np.uint8] | None
    t_received_ns: int


Item = TypeVar("Item", covariant=True)


class Buffer(Protocol[Item]):
    """Holds what has arrived until the consumer takes it. Never blocks."""

    def put(self, message: Received) -> int:
        """Take a message in; return how many items had to go for it."""
        ...

    def take(self) -> Item | None:
        """Return the next item, or None."""
        ...


class Fifo:
    """Messages in order; when full, the oldest goes. ``limit`` None: nothing goes."""

    def __init__(self, limit: int | None) -> None:
        self._messages: deque[Received] = deque(maxlen=limit)

    def put(self, message: Received) -> int:
        """Take a message in; return 1 where the oldest had to go for it."""
        full = len(self._messages) == self._messages.maxlen
        self._messages.append(message)
        return int(full)

    def take(self) -> Received | None:
        """Return the oldest message, or None."""
        return self._messages.popleft() if self._messages else None


class BriefFifo:
    """Messages in order, for a reader that may be held up for a moment.

    When there are more than ``limit`` the oldest goes once it has waited for ``wait_ns``; when there are more than
    ``most`` it goes in any case. So a fast sender's messages are kept for as long as a slow one's.
    """

    def __init__(self, limit: int, wait_ns: int, most: int) -> None:
        self._messages: deque[Received] = deque()
        self._limit, self._wait_ns, self._most = limit, wait_ns, most

    def put(self, message: Received) -> int:
        """Take a message in; return how many had to go for it."""
        messages = self._messages
        messages.append(message)
        gone = 0
        while len(messages) > self._limit and (
            len(messages) > self._most or message.t_received_ns - messages[0].t_received_ns > self._wait_ns
        ):
            messages.popleft()
            gone += 1
        return gone

    def take(self) -> Received | None:
        """Return the oldest message, or None."""
        return self._messages.popleft() if self._messages else None


class ByteFifo:
    """Messages in order; when their pixels take more than ``limit_bytes``, the oldest go.

    One message is always kept, however large.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._messages: deque[Received] = deque()
        self._limit_bytes = limit_bytes
        self.bytes = 0
        """Pixels that wait now."""

    def put(self, message: Received) -> int:
        """Take a message in; return how many had to go for it."""
        self._messages.append(message)
        self.bytes += _size(message)
        gone = 0
        while self.bytes > self._limit_bytes and len(self._messages) > 1:
            self.bytes -= _size(self._messages.popleft())
            gone += 1
        return gone

    def take(self) -> Received | None:
        """Return the oldest message, or None."""
        if not self._messages:
            return None
        message = self._messages.popleft()
        self.bytes -= _size(message)
        return message

    @property
    def fullness(self) -> float:
        """Share of the room that is taken."""
        return self.bytes / self._limit_bytes


def _size(message: Received) -> int:
    return message.pixels.nbytes if message.pixels is not None else 0
