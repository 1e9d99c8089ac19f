"""When the frames of a film or a simulation are due, and which of them are left out because they would be too late.

A machine that can't draw or decode them in time would fall behind without bound. So where a frame is late by more than
0.4 s, those that are late by now are left out in one go and counted: after a hiccup windows become complete again.
Where that happens again and again, frames are left out evenly (``station.thinning``). A film that can't even be read so
fast is played slower, and says so. Cameras pace themselves. It knows frames and clocks, not links.
"""

import math
import time
from dataclasses import replace
from typing import Final

from capture.source import Frame, Skipping, Source
from station.clock import NS_PER_S, now_ns
from station.processes.process import ProcessContext
from station.thinning import Thinning

LONGEST_NAP_S: Final = 0.05
LATE_S: Final = 0.4
"""A frame that is later than this makes those behind it be left out: any later, and the sperm would be lost with them
(``StateParams.lost_after_s``)."""
TRIAL_LATE_S: Final = 0.15
"""The same while more frames are tried than could be carried before."""
CATCH_UP_S: Final = 1.0
"""So long at most nothing but late frames is read."""
IN_TIME_S: Final = 5.0
"""A film that was in time for so long is no longer played slower."""
SLOWER: Final = "this machine can't read the film at its own pace: it is played slower"


class Pacer:
    """Releases the frames of a file or a simulation when a camera would have delivered them."""

    def __init__(self, *, live: bool, interval_ns: int) -> None:
        self._live = live
        self._interval_ns = interval_ns
        self._zero_ns: int | None = None
        self._resumptions = 0

    def wait(self, frame: Frame, context: ProcessContext) -> int:
        """Wait until the frame is due; return its exposure time on the station clock, ns.

        For a file or a simulation that is the moment it was due, so that running late counts as latency.
        """
        if frame.t_exposure_ns is not None:
            return frame.t_exposure_ns
        if not self._live:
            return now_ns()
        control = context.control
        while True:
            if self._zero_ns is None or control.resumptions != self._resumptions:
                # At first, and after a suspension (Ctrl-Z, fg): the source goes on from here, with nothing to catch up.
                self._zero_ns = now_ns() - frame.t_source_ns
                self._resumptions = control.resumptions
            due_ns = self._zero_ns + frame.t_source_ns
            left_s = (due_ns - now_ns()) / NS_PER_S
            if left_s <= 0 or control.stopped:
                return due_ns
            if left_s > LONGEST_NAP_S:
                context.carry_on()
            time.sleep(min(left_s, LONGEST_NAP_S))

    def is_late(self, late_ns: int, every: int = 1) -> bool:
        """Return whether a live frame, one in ``every``, that was sent so long after its exposure came late."""
        return self._live and late_ns > self._interval_ns * every

    def source_time_ns(self) -> int:
        """Return the source time of a frame that would be due now."""
        return now_ns() - (self._zero_ns or 0)

    def begin_again(self) -> None:
        """Let the next frame be due at once, with nothing to catch up."""
        self._zero_ns = None


class LateFrames:
    """Leaves out what is too late, of a source that does not pace itself."""

    def __init__(self, pacer: Pacer, *, drops: bool, interval_ns: int, stride: int = 1) -> None:
        """``drops`` False: nothing is left out, as in a replay. ``stride``: of the windows, in frames."""
        self._pacer = pacer
        self._drops = drops
        self._interval_ns = interval_ns
        self._since_ns: int | None = None
        """When catching up began."""
        self._left_out = 0
        """Since the last frame that was let through, what the source had lost itself included."""
        self._thinning = Thinning(stride)
        self._noted = 0
        """Of those that were left out in one go, how many it knows of."""
        self.skipped = 0
        """In all."""
        self.thinned = 0
        """Those of them that were left out evenly."""
        self.slowed = False
        """The film is played slower: nothing more is left out, as reading takes longer than showing."""
        self._late_at_ns = 0
        """When a frame was late last."""

    def judge(self, frame: Frame, due_ns: int, source: Source, end_ns: float = math.inf) -> Frame | None:
        """Return the frame as it is to be sent, None where it is left out; the run ends at ``end_ns`` of the source."""
        if not self._drops or frame.t_exposure_ns is not None:
            return frame
        self._thinning.pass_time(now_ns())
        late_ns = now_ns() - due_ns
        if late_ns > self._interval_ns:
            self._late_at_ns = now_ns()
        elif now_ns() - self._late_at_ns > IN_TIME_S * NS_PER_S:
            self.slowed = False
        if self._since_ns is not None and late_ns > self._interval_ns:
            if now_ns() - self._since_ns < CATCH_UP_S * NS_PER_S:
                self.skipped += 1
                self._left_out += 1 + frame.lost_before
                return None
            self.slowed = True
        self._since_ns = None
        step, every = self._left_out + frame.lost_before + 1, self._thinning.every
        if step < every:
            self._left_out = step
            self._count_thinned(1)
            return None
        self._left_out = 0
        self._thinning.take()
        if self.skipped - self.thinned > self._noted:
            self._thinning.lose(now_ns(), self.skipped - self.thinned - self._noted)
            self._noted = self.skipped - self.thinned
        if late_ns > (TRIAL_LATE_S if self._thinning.trying(now_ns()) else LATE_S) * NS_PER_S:
            if isinstance(source, Skipping):
                self._left_out = source.skip_to(round(min(self._pacer.source_time_ns(), end_ns)))
                self.skipped += self._left_out
            elif self.slowed:
                self._pacer.begin_again()
            else:
                self._since_ns = now_ns()
        if self._thinning.every > 1 and isinstance(source, Skipping):
            next_ns = frame.t_source_ns + (self._thinning.every - 0.5) * self._interval_ns
            thinned = source.skip_to(round(min(next_ns, end_ns)))
            self._left_out += thinned
            self._count_thinned(thinned)
        return replace(frame, lost_before=step - every, every=every)

    @property
    def every(self) -> int:
        """One in so many frames is let through."""
        return self._thinning.every

    def _count_thinned(self, frames: int) -> None:
        self.skipped += frames
        self.thinned += frames
