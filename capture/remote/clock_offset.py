"""How far another machine's clock is from this one's, and how wrong that may be.

Each exchange gives four times: asked (here), heard and answered (there), received (here). The true offset lies within
half the time that the question and the answer were under way; the shortest exchange tells it best, and grows older and
less certain as the clocks drift apart. Where a new exchange contradicts that, a clock has jumped (a machine slept), and
what was known before is forgotten. It knows times; it knows nothing of sockets.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

KEEP_NS: Final = 60_000_000_000
MOST: Final = 256
DRIFT: Final = 600e-6
"""Two clocks part by at most so much: quartz by 100 ppm, and one that is being set by 500 ppm more."""


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
        """Take in an exchange and forget what contradicts it. One that cannot be is left out.

        That is one answered before it was heard, or held for longer than it took: a machine slept meanwhile.
        """
        held_ns, took_ns = exchange.answered_ns - exchange.heard_ns, exchange.received_ns - exchange.asked_ns
        if not 0 <= held_ns <= took_ns:
            return
        known = self.at(exchange.received_ns)
        if known is not None and abs(exchange.offset_ns - known[0]) > exchange.error_ns + known[1]:
            self.forget()
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
