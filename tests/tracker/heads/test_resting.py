"""A head that lies still is not given to a swimmer that passes, and one that starts to swim is not held back."""

import numpy as np
import pytest

from station.config import TrackerSettings
from station.transport.messages import TrackState
from tests.tracker.drawn_scene import HEIGHT, SHAPE, WIDTH, draw_frame, play
from tracker.tracker import Tracker

STILL = (160.0, 120.0)
SETTINGS = TrackerSettings(head_px=21.0)


def passer(number: int, aside: float, at: int) -> tuple[float, float]:
    """A swimmer that goes from left to right at 4 px a frame and is beside the still head in frame ``at``."""
    return STILL[0] + 4.0 * (number - at), STILL[1] + aside


@pytest.mark.parametrize("aside", [0.0, 5.0, 10.0, 15.0])
@pytest.mark.parametrize("at", [34, 60], ids=["soon after selection", "later"])
def test_a_still_head_is_not_given_to_a_passer(aside: float, at: int) -> None:
    tracker = Tracker(SETTINGS, SHAPE, HEIGHT, WIDTH)
    play(tracker, [draw_frame(k, [STILL, passer(k, aside, at)]) for k in range(28)])
    tracker.select(*STILL)
    results = play(tracker, [draw_frame(k, [STILL, passer(k, aside, at)]) for k in range(28, 100)], start=28)
    tracks = [r.tracks[0] for r in results]
    far = np.array([np.hypot(t.x - STILL[0], t.y - STILL[1]) for t in tracks])
    locked = np.array([t.state is TrackState.LOCKED for t in tracks])
    assert far[-1] < 3, "it is where it lies"
    assert not (locked & (far > 10)).any(), "never locked on the passer"
    assert locked[-10:].all()


def test_a_head_that_starts_to_swim_is_followed() -> None:
    tracker = Tracker(SETTINGS, SHAPE, HEIGHT, WIDTH)

    def place(number: int) -> tuple[float, float]:
        return STILL[0] + max(0, number - 50) * 1.5, STILL[1]

    tracker.select(*STILL)
    results = play(tracker, [draw_frame(k, [place(k)]) for k in range(100)])
    track = results[-1].tracks[0]
    assert (track.x, track.y) == pytest.approx(place(99), abs=3)
    assert track.state is TrackState.LOCKED


@pytest.mark.parametrize("aside", [10.0, 12.0, 15.0])
def test_what_passes_as_it_is_selected_does_not_take_it_along(aside: float) -> None:
    """The looks at selection are in part the passer's: the sperm is doubted rather than given away."""
    tracker = Tracker(SETTINGS, SHAPE, HEIGHT, WIDTH)
    play(tracker, [draw_frame(k, [STILL, passer(k, aside, 28)]) for k in range(28)])
    tracker.select(*STILL)
    results = play(tracker, [draw_frame(k, [STILL, passer(k, aside, 28)]) for k in range(28, 60)], start=28)
    for track in (r.tracks[0] for r in results):
        far = np.hypot(track.x - STILL[0], track.y - STILL[1])
        assert far < 10 or track.state is not TrackState.LOCKED


@pytest.mark.parametrize(("aside", "at"), [(7.0, 28), (-8.0, 28), (9.0, 27), (0.0, 31)])
def test_a_still_head_that_was_pointed_at_while_another_passed_over_it_is_the_one_that_is_followed(
    aside: float, at: int
) -> None:
    """The background shows it by itself: its place and looks are known, whatever lies over it in that frame."""
    tracker = Tracker(SETTINGS, SHAPE, HEIGHT, WIDTH)
    play(tracker, [draw_frame(k, [STILL, passer(k, aside, at)]) for k in range(28)])
    tracker.select(*STILL)
    results = play(tracker, [draw_frame(k, [STILL, passer(k, aside, at)]) for k in range(28, 60)], start=28)
    tracks = [r.tracks[0] for r in results]
    far = np.array([np.hypot(t.x - STILL[0], t.y - STILL[1]) for t in tracks])
    locked = np.array([t.state is TrackState.LOCKED for t in tracks])
    assert not (locked & (far > 10)).any(), "never locked on the passer"
    assert (far[-10:] < 3).all()
    assert locked[-10:].all()


def test_a_head_that_was_pointed_at_while_it_swam_over_a_still_one_is_the_one_that_is_followed() -> None:
    tracker = Tracker(SETTINGS, SHAPE, HEIGHT, WIDTH)
    play(tracker, [draw_frame(k, [STILL, passer(k, 9.0, 28)]) for k in range(28)])
    tracker.select(*passer(28, 9.0, 28))
    results = play(tracker, [draw_frame(k, [STILL, passer(k, 9.0, 28)]) for k in range(28, 60)], start=28)
    track = results[-1].tracks[0]
    assert (track.x, track.y) == pytest.approx(passer(59, 9.0, 28), abs=4)
    assert track.state is TrackState.LOCKED


@pytest.mark.parametrize(("aside", "at"), [(0.0, 28), (2.0, 28), (-3.0, 29), (4.0, 27), (5.0, 28)])
def test_a_passer_right_over_a_still_head_that_was_pointed_at_is_not_taken_for_it(aside: float, at: int) -> None:
    """The frame shows both in one: which was meant is in doubt, and for good where both are there once they part."""
    tracker = Tracker(SETTINGS, SHAPE, HEIGHT, WIDTH)
    play(tracker, [draw_frame(k, [STILL, passer(k, aside, at)]) for k in range(28)])
    tracker.select(*STILL)
    results = play(tracker, [draw_frame(k, [STILL, passer(k, aside, at)]) for k in range(28, 60)], start=28)
    for track in (r.tracks[0] for r in results):
        far = np.hypot(track.x - STILL[0], track.y - STILL[1])
        assert far < 10 or track.state is not TrackState.LOCKED


@pytest.mark.parametrize("moved", [4, 6, 8])
def test_a_head_that_is_pointed_at_as_it_swims_off_is_not_given_to_its_trace(moved: int) -> None:
    """The background shows it where it rested; the frame does not."""
    tracker = Tracker(SETTINGS, SHAPE, HEIGHT, WIDTH)

    def place(number: int) -> tuple[float, float]:
        return STILL[0] + max(0, number - 28) * 1.5, STILL[1]

    play(tracker, [draw_frame(k, [place(k)]) for k in range(28 + moved)])
    tracker.select(*place(27 + moved))
    tracks = [
        r.tracks[0] for r in play(tracker, [draw_frame(k, [place(k)]) for k in range(28 + moved, 90)], 28 + moved)
    ]
    assert (tracks[-1].x, tracks[-1].y) == pytest.approx(place(89), abs=3)
    assert all(t.state is TrackState.LOCKED for t in tracks[-10:])


def test_a_head_that_leaves_while_another_passes_is_doubted_until_its_place_is_seen_empty() -> None:
    """It has become background: where it lay there is energy for long, but nothing to see."""
    tracker = Tracker(SETTINGS, SHAPE, HEIGHT, WIDTH)

    def places(number: int) -> list[tuple[float, float]]:
        return [(STILL[0], STILL[1] - max(0, number - 60) * 1.5), passer(number, 14.0, 60)]

    play(tracker, [draw_frame(k, places(k)) for k in range(28)])
    tracker.select(*STILL)
    tracks = [r.tracks[0] for r in play(tracker, [draw_frame(k, places(k)) for k in range(28, 110)], start=28)]
    leaving = tracks[60 + 8 - 28 :]
    assert leaving[0].state is TrackState.UNCERTAIN
    assert (leaving[-1].x, leaving[-1].y) == pytest.approx(places(109)[0], abs=4)
    assert all(t.state is TrackState.LOCKED for t in leaving[-10:])


def test_home_moves_with_the_stage() -> None:
    tracker = Tracker(SETTINGS, SHAPE, HEIGHT, WIDTH)
    play(tracker, [draw_frame(k, [STILL]) for k in range(3)])
    tracker.select(*STILL)
    play(tracker, [draw_frame(k, [STILL]) for k in range(3, 30)], start=3)
    ((_, head),) = tracker._head_tracker.selected()
    assert head.home is not None
    x, y = head.home.x, head.home.y
    head.carry((5.0, -2.0))
    assert (head.home.x, head.home.y) == (x + 5.0, y - 2.0)
