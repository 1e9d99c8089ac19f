"""The order by expected grade: only on request, ties said to be ties, nothing ranked that does not hold."""

import dataclasses

import pytest

from station.dashboard.ranking import HEADING, ranking, ranking_in_words
from station.dashboard.snapshot import ScreenState
from station.transport.messages import GradeInfo, TrackState, Validity
from tests.station.dashboard.screen_cases import RUNNING, grade, track, tracks
from tests.station.dashboard.test_render import SIZES, drawn


def of(*grades: GradeInfo) -> object:
    found = {one.sperm_id: one for one in grades}
    return dataclasses.replace(RUNNING, tracks=tracks(*(track(number) for number in found)), grades=found)


def test_the_best_expected_grade_comes_first_and_close_ones_are_tied() -> None:
    good, close, poor = grade(4, 0.9, 0.1, 0, 0, 0), grade(2, 0.8, 0.1, 0.1, 0, 0), grade(1, 0, 0, 0.1, 0.2, 0.7)
    found = ranking(of(poor, good, close))
    assert found.groups == ((2, 4), (1,))
    assert (
        ranking_in_words(of(poor, good, close))[1] == "1. sperm 2 and sperm 4 (a tie: too close to tell);  3. sperm 1"
    )


def test_heads_that_disagree_make_a_tie_of_what_else_would_be_none() -> None:
    sure, other = grade(1, 0, 1, 0, 0, 0), grade(2, 0, 0.2, 0.8, 0, 0)
    assert ranking(of(sure, other)).groups == ((1,), (2,))
    torn = other.model_copy(update={"heads": [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]})
    assert ranking(of(sure, torn)).groups == ((1, 2),)


def test_a_chain_of_small_steps_is_no_one_tie() -> None:
    """Each is within the tie of its neighbour; the last is far from the first."""
    steps = [grade(number, 1 - 0.2 * number, 0.2 * number, 0, 0, 0) for number in range(5)]
    assert ranking(of(*steps)).groups == ((0, 1), (2, 3), (4,))


def test_what_does_not_hold_has_no_place_and_says_why() -> None:
    snapshot = dataclasses.replace(
        RUNNING,
        tracks=tracks(track(1), track(2, TrackState.LOST, filled=0), track(3, filled=4), track(5), track(6)),
        grades={
            6: grade(6, 1, 0, 0, 0, 0, validity=Validity.PADDED),
            1: grade(1, 0, 1, 0, 0, 0),
            2: grade(2, 1, 0, 0, 0, 0),
            5: grade(5, 1, 0, 0, 0, 0, age_ms=5000),
        },
    )
    found = ranking(snapshot)
    assert found.groups == ((1,),)
    assert dict(found.left_out) == {
        2: "last before loss",
        3: "no grade yet, 4/16 frames",
        5: "STALE",
        6: "demo, padded",
    }


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_it_is_on_the_screen_only_where_it_was_asked_for(width: int, height: int) -> None:
    asked = dataclasses.replace(RUNNING, screen=ScreenState(ranked=True))
    assert HEADING in drawn(asked, width, height)
    assert HEADING not in drawn(RUNNING, width, height)


def test_a_blind_run_has_no_order() -> None:
    blind = dataclasses.replace(RUNNING, blind=True, grades={}, screen=ScreenState(ranked=True))
    assert ranking_in_words(blind)[1] == "Grades are hidden until a choice is marked."
