"""What automatic selection takes, and where a sperm that is found again is said to be."""

import math

import cv2
import numpy as np
import pytest

from station.config import TrackerSettings
from station.transport.messages import TrackState
from tests.tracker.drawn_scene import HEIGHT, SHAPE, WIDTH, draw_frame, play, swim
from tracker.tracker import Tracker

LARGE = (235, 105)
"""Where the large thing lies, px."""


def disc(frame: np.ndarray, x: int, y: int) -> None:
    cv2.circle(frame, (x, y), 24, 200, -1, cv2.LINE_AA)


def large_disc(frame: np.ndarray, x: int, y: int) -> None:
    cv2.circle(frame, (x, y), 40, 200, -1, cv2.LINE_AA)


def ring(frame: np.ndarray, x: int, y: int) -> None:
    cv2.circle(frame, (x, y), 26, 210, 6, cv2.LINE_AA)


def clump(frame: np.ndarray, x: int, y: int) -> None:
    """Nine round cells that touch."""
    for across in (-14, 0, 14):
        for down in (-14, 0, 14):
            cv2.circle(frame, (x + across, y + down), 7, 190, -1, cv2.LINE_AA)


@pytest.mark.parametrize("drift_px", [0.0, 2.0], ids=["still", "drifting"])
@pytest.mark.parametrize("draw", [disc, large_disc, ring, clump])
def test_large_things_and_clumps_are_not_selected(draw, drift_px: float) -> None:
    """More are asked for than swim: what is taken for the rest is not an edge of the largest thing in the field."""
    frames = []
    for number in range(40):
        frame = draw_frame(number, [swim(number), (300 - 2.0 * number, 190.0)])
        across, down = round(drift_px * math.sin(number / 3)), round(drift_px * math.cos(number / 4))
        draw(frame, LARGE[0] + across, LARGE[1] + down)
        frames.append(frame)
    tracker = Tracker(TrackerSettings(head_px=21.0), SHAPE, HEIGHT, WIDTH)
    tracker.select_auto(7)
    tracks = play(tracker, frames)[-1].tracks
    assert any(math.dist((t.x, t.y), swim(39)) < 8 for t in tracks), "a swimmer is selected"
    assert [t.sperm_id for t in tracks if math.dist((t.x, t.y), LARGE) < 48] == []


@pytest.mark.parametrize("hidden", [25, 30, 35])
def test_a_sperm_that_is_found_again_is_on_its_head(hidden: int) -> None:
    """It is out of sight for a while and comes back a little off its course."""
    tracker = Tracker(TrackerSettings(head_px=21.0), SHAPE, HEIGHT, WIDTH)
    play(tracker, [draw_frame(n, [swim(n)]) for n in range(20)])
    sperm_id = tracker.select(*swim(20))
    play(tracker, [draw_frame(n, [swim(n)]) for n in range(20, 50)], 20)
    lost = play(tracker, [draw_frame(n, []) for n in range(50, 50 + hidden)], 50)[-1].tracks[0]
    assert lost.state is not TrackState.LOCKED
    back = range(50 + hidden, 90 + hidden)
    places = [(swim(n)[0] - 2.0 * hidden, swim(n)[1] + 5.0) for n in back]
    results = play(tracker, [draw_frame(n, [at]) for n, at in zip(back, places, strict=True)], back[0])
    found = [(r.tracks[0], at) for r, at in zip(results, places, strict=True)]
    locked = [(t, at) for t, at in found if t.state is TrackState.LOCKED]
    assert locked, "it is not found again"
    assert all(t.sperm_id == sperm_id for t, _ in locked)
    assert max(math.dist((t.x, t.y), at) for t, at in locked) < 3.0
