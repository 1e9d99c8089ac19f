"""Which frames are tracked where they come too fast, and what counts as a gap."""

from station.clock import NS_PER_S
from station.transport.messages import FrameHeader
from tracker.spacing import Spacing, Step


def header(seq: int, every: int = 1, lost_before: int = 0) -> FrameHeader:
    return FrameHeader(
        seq=seq, t_exposure_ns=seq, t_source_ns=seq, t_sent_ns=seq, height=1, width=1, every=every,
        lost_before=lost_before,
    )  # fmt: skip


def test_missing_frames_are_a_gap_and_those_left_out_at_the_source_are_none() -> None:
    spacing = Spacing(8)
    assert spacing.step_to(header(0)) == Step(1, 1, 0)
    assert spacing.step_to(header(3)) == Step(1, 1, 2)
    assert spacing.step_to(header(4, every=2)) == Step(1, 2, 0)
    assert spacing.step_to(header(6, every=2, lost_before=3)) == Step(1, 2, 5), "each message stands for two frames"


def overloaded(spacing: Spacing) -> list[Step]:
    """Feed 20 s of 60 frames/s; the tracker takes every frame that it is asked to, and keeps up with 40 a second."""
    steps, behind, missed = [], 0.0, 0
    for seq in range(1200):
        behind = max(0.0, behind - 40 / 60)
        if behind > 8:
            missed += 1
        elif spacing.takes(header(seq), missed, seq * NS_PER_S // 60):
            steps.append(spacing.step_to(header(seq)))
            behind += 1
    return steps


def test_a_tracker_that_stays_too_slow_tracks_every_second_frame_without_a_gap() -> None:
    spacing = Spacing(4)
    steps = overloaded(spacing)
    assert [step.lost > 0 for step in steps[100:]].count(True) <= 40, "gaps at first, and while more is tried"
    assert steps[150:300] == [Step(2, 2, 0)] * 150
    assert spacing.left_out > 300


def test_where_the_stride_has_no_divisor_nothing_is_left_out() -> None:
    spacing = Spacing(1)
    overloaded(spacing)
    assert spacing.left_out == 0


def test_a_frame_before_which_the_source_lost_some_is_tracked_and_a_gap() -> None:
    """A replay has the tracked frames alone."""
    spacing = Spacing(4)
    overloaded(spacing)
    assert spacing.of_sent == 2
    assert spacing.step_to(header(1300)).lost > 0
    t_ns = 22 * NS_PER_S
    assert not spacing.takes(header(1301), spacing._missed, t_ns)
    assert spacing.takes(header(1301, lost_before=1), spacing._missed, t_ns)
    assert spacing.step_to(header(1301, lost_before=1)).lost == 1
    assert not spacing.takes(header(1302), spacing._missed, t_ns)
    assert spacing.takes(header(1303), spacing._missed, t_ns)
    assert spacing.step_to(header(1303)) == Step(2, 2, 0)


def test_a_source_that_is_thinned_as_well_leaves_fewer_divisors() -> None:
    spacing = Spacing(2)
    overloaded(spacing)
    assert spacing.of_sent == 2
    assert spacing.takes(header(1300, every=2), spacing._missed, 22 * NS_PER_S), "one in four would not be even"
    assert spacing.of_sent == 1


def test_a_replay_takes_the_very_same_steps() -> None:
    """It is given the tracked frames, and of each how it was reached."""
    live, steps, missed = Spacing(8), [], 0
    for seq in range(3000):
        missed += 400 <= seq < 1000 and seq % 3 == 0
        came = header(seq, every=2 if 1500 <= seq < 2200 else 1, lost_before=5 * (seq % 251 == 250))
        if not (400 <= seq < 1000 and seq % 3 == 0) and live.takes(came, missed, seq * NS_PER_S // 120):
            steps.append((came, live.step_to(came)))
    assert {step.of_sent for _, step in steps} >= {1, 2}
    assert {step.every for _, step in steps} >= {1, 2, 4}
    again = Spacing(8)
    assert [again.step_to(came, step.of_sent) for came, step in steps] == [step for _, step in steps]
