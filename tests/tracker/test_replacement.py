"""``auto:N`` keeps N: what is lost for good is replaced, what an operator chose is not."""

from station.clock import NS_PER_S
from station.transport.messages import AppliedCommand, CommandName, TrackState
from tracker.replacement import PAUSE_S, RETRY_S, Replacement
from tracker.results import FrameResult, TrackResult

LOCKED, LOST = TrackState.LOCKED, TrackState.LOST
LOST_S = 3.0


def result(**states: TrackState) -> FrameResult:
    """Tracks by "s1" for sperm 1."""
    tracks = [TrackResult(int(name[1:]), 5.0, 5.0, state, 0.0, "", 0) for name, state in states.items()]
    return FrameResult(tuple(tracks), (), "")


def at(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def auto(count: int) -> AppliedCommand:
    return AppliedCommand(name=CommandName.SELECT_AUTO, count=count)


def release(sperm_id: int) -> AppliedCommand:
    return AppliedCommand(name=CommandName.RELEASE, sperm_id=sperm_id)


def replacement(wanted: int = 2, lost_s: float = LOST_S) -> Replacement:
    rule = Replacement(lost_s)
    rule.note(auto(wanted))
    return rule


def test_a_sperm_lost_for_three_seconds_is_replaced() -> None:
    rule = replacement()
    assert rule.due(result(s1=LOCKED, s2=LOST), at(10.0)) == []
    assert rule.due(result(s1=LOCKED, s2=LOST), at(12.9)) == []
    assert rule.due(result(s1=LOCKED, s2=LOST), at(13.0)) == [release(2), auto(1)]


def test_one_that_is_found_again_in_time_is_kept() -> None:
    rule = replacement()
    assert rule.due(result(s1=LOCKED, s2=LOST), at(10.0)) == []
    assert rule.due(result(s1=LOCKED, s2=LOCKED), at(12.0)) == []
    assert rule.due(result(s1=LOCKED, s2=LOST), at(13.0)) == []
    assert rule.due(result(s1=LOCKED, s2=LOST), at(15.9)) == []


def test_what_an_operator_pointed_at_is_never_given_up() -> None:
    rule = replacement(wanted=1)
    rule.note(AppliedCommand(name=CommandName.SELECT, x=1.0, y=1.0, sperm_id=2))
    for seconds in range(10, 100):
        assert rule.due(result(s1=LOCKED, s2=LOST), at(seconds)) == []


def test_what_an_operator_released_is_not_replaced() -> None:
    rule = replacement()
    assert rule.due(result(s1=LOCKED, s2=LOCKED), at(9.0)) == []
    rule.note(release(2))
    for seconds in range(10, 100):
        assert rule.due(result(s1=LOCKED), at(seconds)) == []


def test_where_too_few_are_found_it_is_tried_again_later() -> None:
    rule = replacement()
    rule.due(result(s1=LOST, s2=LOST), at(10.0))
    asked = rule.due(result(s1=LOST, s2=LOST), at(13.0))
    assert asked == [release(1), release(2), auto(2)]
    for command in asked:
        rule.note(command)
    found_one = result(s3=LOCKED)
    tries = []
    for seconds in range(14, 500):
        asked = rule.due(found_one, at(seconds))
        for command in asked:
            rule.note(command)
        tries += [(seconds, command.count) for command in asked]
    assert tries[:2] == [(13 + round(RETRY_S), 1), (13 + 2 * round(RETRY_S), 1)]
    assert {count for _, count in tries} == {1}, "as many as are missing, however often it was tried"


def test_two_losses_in_a_row_do_not_hold_the_tracker_up_twice() -> None:
    rule = replacement()
    rule.due(result(s1=LOST, s2=LOCKED), at(10.0))
    rule.due(result(s1=LOST, s2=LOST), at(11.0))
    for command in rule.due(result(s1=LOST, s2=LOST), at(13.0)):
        rule.note(command)
    tracks = result(s2=LOST, s3=LOCKED)
    assert rule.due(tracks, at(14.0)) == []
    assert rule.due(tracks, at(13.0 + PAUSE_S)) == [release(2), auto(1)]


def test_where_nothing_is_followed_any_more_nothing_is_waited_for() -> None:
    rule = replacement()
    rule.due(result(s1=LOST, s2=LOCKED), at(10.0))
    for command in rule.due(result(s1=LOST, s2=LOCKED), at(13.0)):
        rule.note(command)
    tracks = result(s2=LOST, s3=LOST)
    assert rule.due(tracks, at(13.5)) == []
    assert rule.due(tracks, at(13.5 + LOST_S)) == [release(2), release(3), auto(2)], "before the pause is over"


def test_a_field_without_anything_to_follow_is_looked_over_more_often() -> None:
    rule = replacement()
    for command in rule.due(result(), at(100.0)):
        rule.note(command)
    assert rule.due(result(), at(99.9 + PAUSE_S)) == []
    assert rule.due(result(), at(100.0 + PAUSE_S)) == [auto(2)]


def test_zero_seconds_switch_it_off() -> None:
    rule = replacement(lost_s=0.0)
    for seconds in range(10, 100):
        assert rule.due(result(s1=LOST, s2=LOST), at(seconds)) == []


def test_a_selection_that_is_still_to_be_made_is_not_asked_for_again() -> None:
    rule = replacement()
    assert rule.due(result(), at(100.0), selecting=True) == []
    assert rule.due(result(), at(100.1)) == [auto(2)]


def test_what_an_operator_marked_is_never_given_up() -> None:
    rule = replacement()
    assert rule.due(result(s1=LOCKED, s2=LOST), at(10.0)) == []
    rule.note(AppliedCommand(name=CommandName.MARK, sperm_id=2))
    rule.note(AppliedCommand(name=CommandName.MARK, sperm_id=2))  # twice is as good as once
    rule.note(AppliedCommand(name=CommandName.MARK, sperm_id=99))  # no such sperm
    for seconds in range(11, 100):
        assert rule.due(result(s1=LOCKED, s2=LOST), at(seconds)) == []


def test_releasing_the_same_one_twice_counts_once() -> None:
    rule = replacement()
    assert rule.due(result(s1=LOCKED, s2=LOCKED), at(10.0)) == []
    rule.note(release(2))
    rule.note(release(2))
    rule.due(result(s1=LOST), at(11.0))
    assert rule.due(result(s1=LOST), at(14.1)) == [release(1), auto(1)]
