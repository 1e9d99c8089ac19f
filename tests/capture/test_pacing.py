"""Late frames of films and simulations: left out in one go, counted, and never for ever."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from capture import pacing
from capture.pacing import CATCH_UP_S, LATE_S, LateFrames, Pacer
from capture.source import Condition, Frame
from station.clock import NS_PER_S
from station.transport.control_messages import SourceInfo
from tracker.params import DEFAULT_PARAMS

STEP_NS = NS_PER_S // 20
PIXELS = np.zeros((4, 6), np.uint8)


@dataclass
class Clock:
    """Stands still until it is moved."""

    ns: int = 10 * NS_PER_S

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pacing, "now_ns", clock)
    return clock


class Film:
    """A source without end, each frame of which takes ``read_ns``; it can't skip."""

    info = SourceInfo(name="film", width=6, height=4, fps=20.0)
    condition = Condition()

    def __init__(self, clock: Clock, read_ns: int) -> None:
        self.clock, self.read_ns, self.next = clock, read_ns, 0

    def read(self) -> Frame:
        self.clock.ns += self.read_ns
        self.next += 1
        return Frame(PIXELS, (self.next - 1) * STEP_NS)

    def close(self) -> None:
        """Nothing to release."""

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Simulation(Film):
    """It can leave frames out without drawing them."""

    def skip_to(self, t_source_ns: int) -> int:
        first = self.next
        self.next = max(first, -(-t_source_ns // STEP_NS))
        return self.next - first


class Jerky(Film):
    """Read in half an interval, but for every tenth second, when it takes 2.5."""

    def read(self) -> Frame:
        self.read_ns = 5 * STEP_NS // 2 if self.clock.ns // NS_PER_S % 10 == 9 else STEP_NS // 2
        return super().read()


class Slow(Film):
    """Read in 1.1 intervals for a minute, then in half of one."""

    def read(self) -> Frame:
        self.read_ns = STEP_NS * 11 // 10 if self.clock.ns < 70 * NS_PER_S else STEP_NS // 2
        return super().read()


class Context:
    """Of a process that is neither stopped nor suspended."""

    class Control:
        resumptions = 0
        stopped = True  # a frame that is early is not waited for: the clock of this test stands still

    control = Control()


def play(source: Film, clock: Clock, seconds: float, stride: int = 1) -> Iterator[tuple[Frame, float, LateFrames]]:
    """Yield what is sent, how old it is, s, and the judge."""
    pacer = Pacer(live=True, interval_ns=STEP_NS)
    late = LateFrames(pacer, drops=True, interval_ns=STEP_NS, stride=stride)
    end_ns = clock.ns + round(seconds * NS_PER_S)
    while clock.ns < end_ns:
        frame = source.read()
        due_ns = pacer.wait(frame, Context())  # type: ignore[arg-type]
        clock.ns = max(clock.ns, due_ns)
        sent = late.judge(frame, due_ns, source)
        if sent is not None:
            yield sent, (clock.ns - due_ns) / NS_PER_S, late


def runs(frames: list[Frame]) -> list[int]:
    """How many frames came in a row without a gap, but for the last row."""
    lengths, length = [], 0
    for frame in frames:
        if frame.lost_before:
            lengths.append(length)
            length = 0
        length += 1
    return lengths


def test_a_source_in_time_loses_nothing(clock: Clock) -> None:
    found = list(play(Simulation(clock, STEP_NS // 2), clock, 20.0))
    assert 400 <= len(found) <= 401
    assert found[-1][2].skipped == 0


@pytest.mark.parametrize("kind", [Simulation, Jerky])
def test_a_slow_source_keeps_up_by_leaving_out_whole_stretches(clock: Clock, kind: type[Film]) -> None:
    """Drawn in 1.3 intervals, or a film on a machine that is taken away now and then."""
    source = kind(clock, STEP_NS * 13 // 10)
    found = list(play(source, clock, 60.0))
    frames = [frame for frame, _, _ in found]
    late = found[-1][2]
    assert max(age_s for _, age_s, _ in found) < LATE_S + 0.2
    assert sum(frame.lost_before for frame in frames) <= late.skipped
    assert sum(frame.lost_before for frame in frames) >= late.skipped - CATCH_UP_S * 20
    assert late.skipped > 0
    assert not late.slowed
    assert min(runs(frames)) >= 16, "a window can become complete in between"
    assert [f.t_source_ns for f in frames] == sorted(f.t_source_ns for f in frames)


def test_a_film_that_cannot_be_read_in_time_at_all_is_played_slower_and_says_so(clock: Clock) -> None:
    found = list(play(Film(clock, STEP_NS * 2), clock, 60.0))
    assert found[-1][2].slowed
    assert max(age_s for _, age_s, _ in found) < LATE_S + CATCH_UP_S + 0.5
    assert len(found) > 300, "most of it is shown"


def test_a_film_that_is_a_little_too_slow_loses_one_stretch_only_and_recovers(clock: Clock) -> None:
    found = [(frame, late.slowed, clock.ns / NS_PER_S) for frame, _, late in play(Slow(clock, 0), clock, 70.0)]
    assert sum(frame.lost_before > 0 for frame, _, _ in found) == 1
    assert all(slowed for _, slowed, t_s in found if 20 < t_s < 70)
    assert not found[-1][1]


def test_a_replay_loses_nothing(clock: Clock) -> None:
    pacer = Pacer(live=True, interval_ns=STEP_NS)
    late = LateFrames(pacer, drops=False, interval_ns=STEP_NS)
    frame = Frame(PIXELS, 0)
    assert late.judge(frame, clock.ns - 9 * NS_PER_S, Film(clock, 0)) is frame


@pytest.mark.parametrize("kind", [Simulation, Film])
def test_a_source_that_stays_too_fast_is_thinned_evenly(clock: Clock, kind: type[Film]) -> None:
    """Drawing, or reading and sending, takes too long for every frame, and not for every second."""
    source, sent = kind(clock, 0), []
    for frame, age_s, late in play(source, clock, 60.0, stride=4):
        clock.ns += STEP_NS * 16 // 10  # what is sent costs 1.6 intervals, what is only read nothing
        sent.append((frame, age_s, late.thinned))
    calm = sent[len(sent) // 4 :]
    assert max(age_s for _, age_s, _ in sent) < LATE_S + CATCH_UP_S + 0.2
    whole = [frame for frame, _, _ in calm if frame.every == 2 and not frame.lost_before]
    assert len(whole) > 0.8 * len(calm), "but for attempts to send all"
    longest_s = max(frame.every + frame.lost_before for frame, _, _ in calm) * STEP_NS / NS_PER_S
    assert longest_s < DEFAULT_PARAMS.state.lost_after_s, "an attempt loses no sperm"
    for (before, _, _), (frame, _, _) in itertools.pairwise(calm):
        left_out = round((frame.t_source_ns - before.t_source_ns) / STEP_NS) - 1
        assert left_out == frame.every - 1 + frame.lost_before, "nothing is left out unsaid"
    assert late.skipped == sum(frame.every - 1 + frame.lost_before for frame, _, _ in sent) + (
        source.next - 1 - round(sent[-1][0].t_source_ns / STEP_NS)
    )
    assert 0 < late.thinned <= late.skipped


def test_what_the_source_loses_itself_is_no_gap_where_it_would_have_been_left_out(clock: Clock) -> None:
    late = LateFrames(Pacer(live=True, interval_ns=STEP_NS), drops=True, interval_ns=STEP_NS, stride=4)
    for ago_s in (2, 1):
        late._thinning.lose(clock.ns - ago_s * NS_PER_S, 1)
    source = Film(clock, 0)
    numbers = [(0, 0), (1, 0), (3, 1), (4, 0), (5, 0), (8, 2), (9, 0), (10, 0)]  # each with how many were lost before
    sent = [late.judge(Frame(PIXELS, n * STEP_NS, lost_before=lost), clock.ns, source) for n, lost in numbers]
    assert [(f.t_source_ns // STEP_NS, f.lost_before) for f in sent if f] == [(1, 0), (3, 0), (5, 0), (8, 1), (10, 0)]
