"""What became of a remote microscope's frames on their way, in the latest seconds: is the network too slow?"""

from collections import deque
from typing import Final

from station.clock import NS_PER_S

SPAN_NS: Final = 10 * NS_PER_S
MOST_SHARE: Final = 0.1
FEWEST: Final = 5
"""So few may be missing without being worth a word."""


class RecentLosses:
    """Counts frames that were lost on the way, and that came too old; a cut is no concern of it."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[int, int, bool]] = deque()

    def note(self, t_ns: int, lost: int, *, too_old: bool) -> None:
        """Take in a frame that came at that time, and how many before it were lost."""
        self._arrivals.append((t_ns, lost, too_old))
        self._forget(t_ns)

    def notice(self, now_ns: int) -> str:
        """Return what people are to be told; empty where the network is good enough."""
        self._forget(now_ns)
        lost = sum(missing for _, missing, _ in self._arrivals)
        old = sum(too_old for _, _, too_old in self._arrivals)
        sent = lost + len(self._arrivals)
        if lost + old < max(FEWEST, MOST_SHARE * sent):
            return ""
        return (
            f"the network to the other machine is too slow: of {sent} frames in {SPAN_NS // NS_PER_S} s {lost} were "
            f"lost on the way and {old} came too old (docs/two-machines.md, When the network is bad)"
        )

    def _forget(self, now_ns: int) -> None:
        while self._arrivals and now_ns - self._arrivals[0][0] > SPAN_NS:
            self._arrivals.popleft()
