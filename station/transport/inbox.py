"""Takes messages out of a socket in small bites: neither a long message nor a flood holds its reader up.

ZeroMQ bounds the size of a part, not how many parts a message has. It knows nothing of what the messages say.
"""

import time
from collections.abc import Iterator
from typing import Final

import zmq

MOST_PARTS: Final = 8
"""Of a message with its envelope; none of ours has so many."""
MOST_AT_ONCE: Final = 256
"""Parts of such a message that are thrown away in one go."""
MOST_S: Final = 0.02
"""Time for one round of reading."""


class Inbox:
    """Of one socket."""

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        self._socket = socket
        self._within = False

    def take(self) -> list[zmq.Frame] | None:
        """Return the parts of the next message; of one with too many parts, the first, one more than ``MOST_PARTS``.

        None where there is none, or where the rest of such a message is being thrown away.
        """
        parts: list[zmq.Frame] = []
        for _ in range(MOST_AT_ONCE):
            try:
                part = self._socket.recv(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return None
            if self._within:
                self._within = part.more
                continue
            parts.append(part)
            if not part.more:
                return parts
            if len(parts) > MOST_PARTS:
                self._within = True
                return parts
        return None

    def round(self, most: int, seconds: float = MOST_S) -> Iterator[list[zmq.Frame]]:
        """Take what has arrived: at most so many messages, for at most so long."""
        end_s = time.monotonic() + seconds
        for _ in range(most):
            parts = self.take()
            if parts is not None:
                yield parts
            if time.monotonic() >= end_s or (parts is None and not self._within):
                return
