"""What became of a remote microscope's frames on their way, in the latest seconds: is the network too slow?"""

from collections import deque
from typing import Final

from station.clock import NS_PER_S

SPAN_NS: Final = 10 * NS_PER_S
MOST_SHARE: Final = 0.1
FEWEST: Final = 5
"""So few may be missing without being worth a word."""


class RecentLosses:
    """Counts frames that were lost on the way, and that were under way for too long; a cut is no concern of it."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[int, int, bool]] = deque()
        self._lost = self._old = 0

    def note(self, t_ns: int, lost: int, *, too_old: bool) -> None:
        """Take in a frame that came at that time, and how many before it were lost."""
        self._arrivals.append((t_ns, lost, too_old))
        self._lost += lost
        self._old += too_old
        self._forget(t_ns)

    def notice(self, now_ns: int) -> str:
        """Return what people are to be told; empty where the network is good enough."""
        self._forget(now_ns)
        sent = self._lost + len(self._arrivals)
        if self._lost + self._old < max(FEWEST, MOST_SHARE * sent):
            return ""
        return (
            f"the network to the other machine is too slow: of {sent} frames in {SPAN_NS // NS_PER_S} s {self._lost} "
            f"were lost on the way and {self._old} came too old (docs/two-machines.md, When the network is bad)"
        )

    def _forget(self, now_ns: int) -> None:
        while self._arrivals and now_ns - self._arrivals[0][0] > SPAN_NS:
            _, lost, too_old = self._arrivals.popleft()
            self._lost -= lost
            self._old -= too_old
