"""Which of the frames that were sent are tracked, and how far each is from the one before.

Where frames are lost before the tracker again and again, one in so many is tracked (``station.thinning``). A frame
before which the source lost others is always tracked, so that a replay, which has the tracked frames alone, finds every
gap. It knows frames' numbers and moments; no pixels.
"""

from dataclasses import dataclass

from station.thinning import Thinning
from station.transport.messages import FrameHeader


@dataclass(frozen=True, slots=True)
class Step:
    """From the frame that was tracked before to this one."""

    of_sent: int
    """One in so many of the frames that are sent is tracked."""
    every: int
    """That is one in so many of the source's."""
    lost: int
    """Frames of the source that are missing in between beside those; 0: no gap."""


class Spacing:
    """Of one run of the tracker."""

    def __init__(self, stride: int, next_seq: int = 0) -> None:
        """``stride``: every how many frames of the source one enters a window. ``next_seq``: the first to come."""
        self._stride = stride
        self._next_seq = next_seq
        self._every_sent = 1
        self._thinning = Thinning(stride)
        self._missed = 0
        self.left_out = 0
        """Frames that were left out evenly."""

    @property
    def of_sent(self) -> int:
        """One in so many of the frames that are sent is to be tracked now."""
        return self._thinning.every

    def takes(self, header: FrameHeader, missed: int, t_ns: int) -> bool:
        """Return whether a frame is to be tracked. ``missed``: how many never came, or had to go, in all, by now."""
        if header.every != self._every_sent:
            self._every_sent = header.every
            self._thinning.limit(self._stride // header.every if self._stride % header.every == 0 else 1)
        if missed != self._missed:
            self._thinning.lose(t_ns, missed - self._missed)
            self._missed = missed
        self._thinning.pass_time(t_ns)
        early = header.seq - self._next_seq + 1 < self._thinning.every
        if early and not header.lost_before:
            self.left_out += 1
            return False
        self._thinning.take()
        return True

    def step_to(self, header: FrameHeader, of_sent: int | None = None) -> Step:
        """Return the way to a frame that is tracked. ``of_sent``: as recorded, in a replay."""
        of_sent = self._thinning.every if of_sent is None else of_sent
        every = of_sent * header.every
        passed = (max(0, header.seq - self._next_seq) + 1) * header.every + header.lost_before
        self._next_seq = header.seq + 1
        return Step(of_sent, every, max(passed - every, header.lost_before))
