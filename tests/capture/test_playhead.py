"""A replay goes on as a reviewer asks: paused, frame by frame, at another pace, forward."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from capture.playhead import FORWARD_S, Playhead
from capture.source import Frame
from station.processes.control import Account
from station.transport.control_messages import Command, PlaybackInfo, PlayStep
from station.transport.messages import CommandName

S = 1_000_000_000
PIXELS = np.zeros((2, 2), np.uint8)


@dataclass
class Control:
    """What a playhead sees of its process."""

    account: Account = field(default_factory=Account)
    commands: deque[Command] = field(default_factory=deque)
    stopped: bool = False
    resumptions: int = 0


@dataclass
class Context:
    control: Control = field(default_factory=Control)

    def carry_on(self) -> bool:
        return True


def ask(control: Control, *steps: PlayStep) -> None:
    control.commands += [Command(seq=n, name=CommandName.PLAY, play=step) for n, step in enumerate(steps, 3)]


def frame(t_s: float, seq: int = 0) -> Frame:
    return Frame(PIXELS, round(t_s * S), seq=seq)


def waited_s(playhead: Playhead, context: Any, shown: Frame) -> float:
    start = time.monotonic()
    playhead.wait(shown, context)
    return time.monotonic() - start


def info(context: Context) -> PlaybackInfo:
    found = context.control.account.playback
    assert found is not None
    return found


def test_it_goes_to_the_moment_asked_for_without_waiting_and_then_at_its_pace() -> None:
    playhead, context = Playhead(30.0, 20.0), Context()
    assert sum(waited_s(playhead, context, frame(5 + t, t)) for t in range(20)) < 1.0, "twenty seconds in no time"
    assert (info(context).position_s, info(context).going_to_s) == (19.0, 20.0)
    playhead.wait(frame(25.0, 20), context)
    playhead.wait(frame(25.1, 21), context)  # its pace begins here
    assert info(context).going_to_s is None
    assert waited_s(playhead, context, frame(25.4, 22)) >= 0.25


def test_it_plays_the_last_moments_at_their_pace_and_pauses_at_the_very_frame() -> None:
    playhead, context = Playhead(30.0, 10.0, pause_s=10.4, pace=0.125), Context()
    assert sum(waited_s(playhead, context, frame(0.1 * k, k)) for k in range(101)) < 1.0
    assert info(context).going_to_s == 10.4
    played_s = sum(waited_s(playhead, context, frame(0.1 * k, k)) for k in range(101, 105))
    assert played_s >= 0.25, "not at once, and not at an eighth of its pace"
    found = info(context)
    assert (found.position_s, found.before_s, found.frame_seq) == (10.4, 0.1 * 103, 104)
    next_one = threading.Thread(target=playhead.wait, args=(frame(10.5, 105), context))
    next_one.start()
    next_one.join(0.3)
    assert next_one.is_alive()
    assert (info(context).paused_ns is not None, info(context).going_to_s) == (True, None)
    ask(context.control, PlayStep.STEP)
    next_one.join(10)
    assert (info(context).frame_seq, info(context).before_s) == (105, 10.4)


def test_paused_it_lets_on_as_many_frames_as_are_asked_for() -> None:
    playhead, context = Playhead(30.0, 0.0), Context()
    playhead.wait(frame(0.0), context)
    ask(context.control, PlayStep.PAUSE, PlayStep.STEP, PlayStep.STEP)
    playhead.wait(frame(0.1, 1), context)
    playhead.wait(frame(0.2, 2), context)
    assert (info(context).frame_seq, info(context).paused_ns is not None, info(context).command_seq) == (2, True, 5)
    third = threading.Thread(target=playhead.wait, args=(frame(0.3, 3), context))
    third.start()
    third.join(0.3)
    assert third.is_alive(), "nobody asked for it"
    ask(context.control, PlayStep.PAUSE)
    third.join(20)
    assert (info(context).frame_seq, info(context).paused_ns) == (3, None)


def test_a_step_pauses_first() -> None:
    playhead, context = Playhead(30.0, 0.0), Context()
    ask(context.control, PlayStep.STEP)
    waiting = threading.Thread(target=playhead.wait, args=(frame(0.0), context))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    assert info(context).paused_ns is not None
    context.control.stopped = True
    waiting.join(20)
    assert not waiting.is_alive(), "the run can end while it is paused"


@pytest.mark.parametrize(("steps", "pace"), [(5, 0.125), (1, 0.5), (-1, 2.0), (-9, 4.0)])
def test_its_pace_is_halved_and_doubled_within_bounds(steps: int, pace: float) -> None:
    playhead, context = Playhead(30.0, 0.0), Context()
    ask(context.control, *[PlayStep.SLOWER if steps > 0 else PlayStep.FASTER] * abs(steps))
    playhead.wait(frame(0.0), context)
    assert info(context).pace == pace
    if pace == 0.5:
        assert waited_s(playhead, context, frame(0.1, 1)) >= 0.19


def test_forward_goes_on_from_where_it_is() -> None:
    playhead, context = Playhead(12.0, 0.0), Context()
    playhead.wait(frame(0.0), context)
    ask(context.control, PlayStep.FORWARD, PlayStep.FORWARD)
    playhead.wait(frame(1.0), context)
    assert info(context).going_to_s == 12.0, "not beyond the end"
    assert FORWARD_S == 10.0
