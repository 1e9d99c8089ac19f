"""Every how many frames one is taken, where all of them are more than the machine can carry.

A frame that is lost now and then breaks every window. Where that goes on, frames are left out evenly instead, so that
windows become complete: one in k is taken, k a divisor of the window's stride, so that the network sees crops of the
very spacing it would have seen. Each change breaks all windows once. So one loss changes nothing, a second soon after
it does; and back to more frames it goes by trying, after a calm time that doubles with every attempt that failed.

It knows moments of loss and the stride; no frames, queues or clocks.
"""

from typing import Final

from station.clock import NS_PER_S
from station.transport.messages import MOST_EVERY

BURST_S: Final = 0.5
"""What is lost within this time is lost once: a hiccup."""
AGAIN_S: Final = 5.0
"""Lost again within this time, it is no hiccup."""
BIG_STEP: Final = 2
"""More than so many times fewer frames, and than what seems needed, are a high price (11 is a prime)."""
MANY_BURSTS: Final = 4
"""So often frames must be lost within ``AGAIN_S`` for that price: then hardly a window becomes complete."""
SETTLE_S: Final = 1.0
"""What is lost so soon after a change was waiting before it."""
CALM_S: Final = 10.0
"""After so long without a loss more frames are tried."""
MOST_CALM_S: Final = 320.0
HELD_S: Final = 30.0
"""After so long an attempt has held, and those that failed before count for nothing."""
CAUTION: Final = 0.8
"""A share of what seems needed, from so few losses: one step more is soon taken."""
TRIAL_S: Final = 10.0
"""For so long a single loss ends the attempt."""


class Thinning:
    """Decides ``every``: one in so many frames is to be taken."""

    def __init__(self, stride: int) -> None:
        """``stride``: every how many frames one enters a window."""
        self.every = 1
        self._stride = stride
        self._changed_ns: int | None = None
        self._tried_ns: int | None = None
        """When more frames were tried last."""
        self._begun_ns: int | None = None
        """When the latest spell of losses began."""
        self._taken = self._lost = 0
        """Frames since then, or since the latest change."""
        self._bursts = 0
        """Of these losses."""
        self._burst_ns: int | None = None
        self._lost_ns: int | None = None
        self._calm_s = CALM_S

    def limit(self, stride: int) -> None:
        """Take another stride: somebody before has begun, or ceased, to leave frames out."""
        self._stride = stride
        if stride % self.every:
            self.every = 1

    def take(self) -> None:
        """Take in that a frame was taken."""
        self._taken += 1

    def lose(self, t_ns: int, frames: int) -> None:
        """Take in that so many frames were lost at a time, beside those left out evenly."""
        self._lost_ns = t_ns
        self._lost += frames
        if _within(SETTLE_S, self._changed_ns, t_ns):
            return
        if not _within(AGAIN_S, self._begun_ns, t_ns):
            self._begin(t_ns)
        if not _within(BURST_S, self._burst_ns, t_ns):
            self._bursts += 1
            self._burst_ns = t_ns
        fewer = self._divisors(above=True)
        if not fewer or not (self._bursts > 1 or self.trying(t_ns)):
            return
        needed = CAUTION * (self.every + self._lost / max(1, self._taken)) if self._bursts > 1 else 0.0
        every = next((every for every in fewer if every >= needed), fewer[-1])
        if every > BIG_STEP * max(self.every, needed) and self._bursts < MANY_BURSTS:
            return
        failed = _within(HELD_S, self._tried_ns, t_ns)
        self._change(every, t_ns)
        self._calm_s = min(2 * self._calm_s, MOST_CALM_S) if failed else CALM_S

    def trying(self, t_ns: int) -> bool:
        """Return whether more frames are being tried than could be carried before."""
        return _within(TRIAL_S, self._tried_ns, t_ns)

    def pass_time(self, t_ns: int) -> None:
        """Take in what time it is: after a calm time more frames are tried, however long ago an attempt failed."""
        if self._tried_ns is not None and not _within(HELD_S, self._tried_ns, t_ns):
            self._calm_s = CALM_S
        if self.every == 1 or _within(self._calm_s, self._changed_ns, t_ns) or _within(AGAIN_S, self._lost_ns, t_ns):
            return
        self._change(self._divisors(above=False)[-1], t_ns)
        self._tried_ns = t_ns

    def _divisors(self, *, above: bool) -> list[int]:
        """Return the divisors of the stride that are above, or below, the present one, rising."""
        found = (every for every in range(1, min(self._stride, MOST_EVERY) + 1) if self._stride % every == 0)
        return [every for every in found if (every > self.every if above else every < self.every)]

    def _change(self, every: int, t_ns: int) -> None:
        self.every, self._changed_ns = every, t_ns
        self._begin(None)
        self._tried_ns = None

    def _begin(self, t_ns: int | None) -> None:
        """Begin a spell of losses, or end it."""
        self._begun_ns, self._taken, self._lost = t_ns, 0, 0
        self._bursts, self._burst_ns = 0, None


def _within(span_s: float, since_ns: int | None, t_ns: int) -> bool:
    return since_ns is not None and t_ns - since_ns < span_s * NS_PER_S


def thinned_notice(every: int, fps: float, what: str) -> str:
    """Return what people are told while one frame in ``every`` of a source of ``fps`` is "sent", or "tracked"."""
    return f"this machine can't carry {fps:g} frames/s: one in {every} is {what}, at even distances"
