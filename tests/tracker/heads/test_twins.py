"""Two heads that were one when one of them was selected."""

import pytest

from station.config import TrackerSettings
from station.transport.messages import TrackState
from tests.tracker.drawn_scene import HEIGHT, SHAPE, WIDTH, draw_frame, play
from tracker.tracker import Tracker

SETTINGS = TrackerSettings(head_px=21.0)


def pair(number: int, part_at: int, gap: float) -> list[tuple[float, float]]:
    """Two heads that move to the right together, ``gap`` px apart, and part to both sides."""
    x, apart = 60.0 + 2.5 * number, gap + 2.0 * max(0, number - part_at)
    return [(x, 120.0 - apart / 2), (x, 120.0 + apart / 2)]


@pytest.mark.parametrize(("gap", "state"), [(7.0, TrackState.UNCERTAIN), (40.0, TrackState.LOCKED)])
def test_which_of_two_was_meant_is_said_to_be_unknown(gap: float, state: TrackState) -> None:
    tracker = Tracker(SETTINGS, SHAPE, HEIGHT, WIDTH)
    play(tracker, [draw_frame(k, pair(k, 22, gap)) for k in range(20)])
    tracker.select(*pair(20, 22, gap)[0])
    track = play(tracker, [draw_frame(k, pair(k, 22, gap)) for k in range(20, 60)], start=20)[-1].tracks[0]
    assert track.state is state
    if state is TrackState.UNCERTAIN:
        assert track.reason == "crossing"
