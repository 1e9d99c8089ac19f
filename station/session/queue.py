"""The recorder's queue: deep, but bounded in bytes, for completeness beats age and memory is not endless."""

from collections import deque

from station.bus import Received


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
