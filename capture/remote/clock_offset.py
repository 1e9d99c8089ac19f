"""How far another machine's clock is from this one's, and how wrong that may be.

Each exchange gives four times: asked (here), heard and answered (there), received (here). The true offset lies within
half the time that the question and the answer were under way; the shortest exchange tells it best, and grows older and
less certain as the clocks drift apart. It knows times; it knows nothing of sockets.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

KEEP_NS: Final = 60_000_000_000
MOST: Final = 256
DRIFT: Final = 100e-6
"""Two quartz clocks part by at most so much."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answer; times in ns, the middle two on the other machine's clock."""

    asked_ns: int
    heard_ns: int
    answered_ns: int
    received_ns: int

    @property
    def offset_ns(self) -> int:
        """The other clock less this one, if both ways took equally long."""
        return (self.heard_ns - self.asked_ns + self.answered_ns - self.received_ns) // 2

    @property
    def error_ns(self) -> int:
        """By so much it may be wrong: half the time under way."""
        return max(0, self.received_ns - self.asked_ns - (self.answered_ns - self.heard_ns)) // 2 + 1


class ClockOffset:
    """Of one other machine."""

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=MOST)

    def add(self, exchange: Exchange) -> None:
        """Take in an exchange; one that cannot be (answered before it was heard) is left out."""
        if exchange.answered_ns >= exchange.heard_ns and exchange.received_ns >= exchange.asked_ns:
            self._exchanges.append(exchange)
        while self._exchanges and exchange.received_ns - self._exchanges[0].received_ns > KEEP_NS:
            self._exchanges.popleft()

    def forget(self) -> None:
        """Begin anew: the other clock is another one now."""
        self._exchanges.clear()

    def at(self, now_ns: int) -> tuple[int, int] | None:
        """Return offset and its largest error, ns; None before the first exchange."""
        if not self._exchanges:
            return None

        def error_ns(exchange: Exchange) -> int:
            return exchange.error_ns + round(max(0, now_ns - exchange.received_ns) * DRIFT)

        best = min(self._exchanges, key=error_ns)
        return best.offset_ns, error_ns(best)
