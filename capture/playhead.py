"""Where a replay is and how fast it goes: what a reviewer asks of it, between the frames.

It stands in for the pacer (``capture.pacing``) of a replay at its own pace: paused, let on frame by frame, slowed, or
taken forward as fast as the tracker follows. Every frame still goes to the tracker, in order, so that what is seen is
what was recorded, to the last bit; that is why there is no way back but to begin again (``--from``,
``station.commands.going_back``).
"""

import time
from typing import Final

from capture.pacing import LONGEST_NAP_S
from capture.source import Frame
from station.clock import NS_PER_S, now_ns
from station.processes.process import ProcessContext
from station.transport.control_messages import Command, PlaybackInfo, PlayStep
from station.transport.messages import CommandName

PACES: Final = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the recorded pace."""
FORWARD_S: Final = 10.0


class Playhead:
    """Releases the frames of a replay when a reviewer wants them."""

    def __init__(self, length_s: float, from_s: float, pause_s: float | None = None, pace: float = 1.0) -> None:
        """Begin a replay.

        Args:
            length_s: Of the session.
            from_s: Seconds from its first frame to go to at once.
            pause_s: Where to pause behind that, having played there at the recorded pace; None: nowhere.
            pace: Afterwards.
        """
        self._length_s = length_s
        self._until_s = from_s or -1.0
        self._pause_s = pause_s
        self._pace = min(range(len(PACES)), key=lambda step: abs(PACES[step] - pace))
        self._paused_ns: int | None = None
        self._steps = 0
        self._obeyed: int | None = None
        self._first_ns: int | None = None
        self._anchor: tuple[int, int] | None = None
        self._resumptions = 0
        self._position_s = 0.0
        self._before_s: float | None = None
        self._frame_seq: int | None = None

    @property
    def info(self) -> PlaybackInfo:
        """Where it is, for everybody who shows it."""
        return PlaybackInfo(
            position_s=self._position_s,
            before_s=self._before_s,
            length_s=self._length_s,
            frame_seq=self._frame_seq or 0,
            pace=PACES[self._pace],
            paused_ns=self._paused_ns,
            going_to_s=self._going_to_s,
            command_seq=self._obeyed,
        )

    @property
    def _going_to_s(self) -> float | None:
        if self._pause_s is not None:
            return self._pause_s
        return self._until_s if self._position_s < self._until_s else None

    def hear(self, command: Command) -> None:
        """Take in what the reviewer asks for."""
        self._obeyed = command.seq
        if command.play in (PlayStep.PAUSE, PlayStep.STEP, PlayStep.FORWARD):
            self._pause_s = None
        if command.play is PlayStep.PAUSE:
            self._paused_ns = None if self._paused_ns is not None else now_ns()
        elif command.play is PlayStep.STEP:
            self._steps += self._paused_ns is not None
            self._paused_ns = now_ns()
        elif command.play is PlayStep.FORWARD:
            self._until_s = min(self._length_s, max(self._until_s, self._position_s) + FORWARD_S)
        elif command.play is not None:
            by = 1 if command.play is PlayStep.FASTER else -1
            self._pace = min(len(PACES) - 1, max(0, self._pace + by))
        self._anchor = None

    def wait(self, frame: Frame, context: ProcessContext) -> int:
        """Wait until the frame is wanted; return its exposure time on the station clock, ns."""
        control = context.control
        if self._first_ns is None:
            self._first_ns = frame.t_source_ns
        t_s = (frame.t_source_ns - self._first_ns) / NS_PER_S
        while True:
            for command in [one for one in control.commands if one.name is CommandName.PLAY]:
                control.commands.remove(command)
                self.hear(command)
            control.account.playback = self.info
            due_ns = self._due_ns(frame.t_source_ns, t_s, control.resumptions)
            left_s = LONGEST_NAP_S if due_ns is None else (due_ns - now_ns()) / NS_PER_S
            if control.stopped or (due_ns is not None and left_s <= 0):
                self._before_s = None if self._frame_seq is None else self._position_s
                self._position_s, self._frame_seq = t_s, frame.seq or 0
                control.account.playback = self.info
                return due_ns or now_ns()
            context.carry_on()
            time.sleep(min(left_s, LONGEST_NAP_S))

    def _due_ns(self, t_source_ns: int, t_s: float, resumptions: int) -> int | None:
        """Return when a frame is due; None while nobody wants it."""
        if t_s <= self._until_s:
            self._anchor = None
            return now_ns()
        if self._pause_s is not None and t_s > self._pause_s:
            self._paused_ns, self._pause_s = now_ns(), None
        if self._paused_ns is not None:
            if not self._steps:
                return None
            self._steps -= 1
            self._paused_ns = now_ns()
            return self._paused_ns
        if self._anchor is None or resumptions != self._resumptions:
            self._anchor, self._resumptions = (now_ns(), t_source_ns), resumptions
        begun_ns, from_ns = self._anchor
        pace = 1.0 if self._pause_s is not None else PACES[self._pace]
        return begun_ns + round((t_source_ns - from_ns) / pace)
