"""The tracker as the station uses it: selection, states, windows, determinism."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from capture.files.video import VideoFile
from station.config import TrackerSettings
from station.transport.messages import TrackState
from tests.tracker.drawn_scene import HEIGHT, SHAPE, WIDTH, draw_frame, play, swim
from tracker.tracker import Tracker
from tracker.window import WindowShape


@pytest.mark.parametrize("contrast", [120.0, -70.0], ids=["bright", "dark"])
def test_a_head_is_followed_and_its_windows_handed_out(contrast: float) -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    play(tracker, [draw_frame(k, [swim(k)], contrast) for k in range(15)])
    x, y = swim(15)
    assert tracker.select(x + 5, y - 4) == 1
    results = play(tracker, [draw_frame(k, [swim(k)], contrast) for k in range(15, 75)], start=15)
    assert results[0].tracks[0].state is TrackState.ACQUIRING
    for k, result in enumerate(results[5:], 20):
        track = result.tracks[0]
        assert (track.x, track.y) == pytest.approx(swim(k), abs=2.0)
        assert track.state is TrackState.LOCKED
        assert track.score > 0.5
    window = results[-1].windows[0]
    assert window.frame_seqs == (71, 72, 73, 74)
    assert window.t_source_ns == tuple(k * 20_000_000 for k in window.frame_seqs)
    assert window.pixels.shape == (4, 32, 32)
    x, y = results[-1].tracks[0].x, results[-1].tracks[0].y
    left, top = round(x) - 16, round(y) - 16
    assert np.array_equal(window.pixels[-1], draw_frame(74, [swim(74)], contrast)[top : top + 32, left : left + 32])


def test_the_same_frames_give_the_same_bits() -> None:
    runs = []
    for _ in range(2):
        tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
        tracker.select_auto(2)
        results = play(tracker, [draw_frame(k, [swim(k), (250 - k, 60)]) for k in range(60)])
        runs.append([(t.x, t.y, t.score, t.state, t.filled) for r in results for t in r.tracks])
    assert len(runs[0]) > 50
    assert runs[0] == runs[1]


def test_automatic_selection_takes_moving_heads_and_no_debris() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select_auto(2)
    results = play(tracker, [draw_frame(k, [swim(k), (250 - k, 60)]) for k in range(40)])
    assert results[10].tracks == (), "the field is watched first"
    places = sorted((t.x, t.y) for t in results[-1].tracks)
    assert len(places) == 2
    assert places[0] == pytest.approx(swim(39), abs=3)
    assert places[1] == pytest.approx((250 - 39, 60), abs=3)


def test_automatic_selection_leaves_out_what_is_followed() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    frames = [draw_frame(k, [swim(k), (250 - k, 60)]) for k in range(60)]
    tracker.select_auto(1)
    (first,) = play(tracker, frames[:30])[-1].tracks
    tracker.select_auto(1)
    tracks = play(tracker, frames[30:], start=30)[-1].tracks
    assert [t.sperm_id for t in tracks] == [first.sperm_id, 2]
    assert {t.state for t in tracks} == {TrackState.LOCKED}
    upper, lower = sorted(((t.x, t.y) for t in tracks), key=lambda place: place[1])
    assert upper == pytest.approx((250 - 59, 60), abs=3)
    assert lower == pytest.approx(swim(59), abs=3)


def test_released_sperm_are_gone_and_numbers_are_not_used_twice() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    assert [tracker.select(60, 120), tracker.select(250, 60)] == [1, 2]
    frames = [draw_frame(k, [swim(k), (250 - k, 60)]) for k in range(12)]
    assert [t.sperm_id for t in play(tracker, frames[:4])[-1].tracks] == [1, 2]
    tracker.release(1)
    tracker.release(99)
    assert tracker.select(*swim(5)) == 3
    tracker.release(3)
    assert [t.sperm_id for t in play(tracker, frames[4:], start=4)[-1].tracks] == [2]


def test_windows_that_are_spread_become_complete_in_different_frames() -> None:
    tracker = Tracker(TrackerSettings(), WindowShape(frames=3, size=32, stride=2, spread=True), HEIGHT, WIDTH)
    tracker.select(*swim(0))
    tracker.select(250, 60)
    results = play(tracker, [draw_frame(k, [swim(k), (250 - k, 60)]) for k in range(24)])
    complete = {1: set[int](), 2: set[int]()}
    for number, result in enumerate(results):
        for window in result.windows:
            complete[window.sperm_id].add(number)
    assert {number % 2 for number in complete[1]} == {0}
    assert {number % 2 for number in complete[2]} == {1}


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({"lost_before": 1}, id="a lost frame"),
        pytest.param({"exposure_id": 1}, id="another exposure setting"),
    ],
)
def test_windows_begin_again_after(event: dict[str, int]) -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(*swim(0))
    frames = [draw_frame(k, [swim(k)]) for k in range(40)]
    before = play(tracker, frames[:20])
    assert before[-1].tracks[0].filled == 4
    at = tracker.update(frames[20], frame_seq=20, t_source_ns=20 * 20_000_000, **event)
    assert at.windows == ()
    assert at.tracks[0].filled <= 1
    exposure = event.get("exposure_id", 0)
    after = play(tracker, frames[21:], start=21, exposure_id=exposure)
    assert after[-1].tracks[0].filled == 4
    assert min(next(r for r in after if r.windows).windows[0].frame_seqs) >= 20


def test_a_source_that_is_thinned_is_followed_on_and_windows_keep_their_spacing() -> None:
    """All of 100 frames/s, then one in two, then all again: a head is not lost, and the field not learnt anew."""
    tracker = Tracker(TrackerSettings(), WindowShape(frames=4, size=32, stride=4), HEIGHT, WIDTH)
    times: dict[int, list[tuple[int, ...]]] = {1: [], 2: []}
    for seq, (k, every) in enumerate(
        [*((k, 1) for k in range(100)), *((k, 2) for k in range(101, 200, 2)), *((k, 1) for k in range(200, 260))]
    ):
        if k == 25:
            tracker.select(*swim(25 / 3))
        result = tracker.update(
            draw_frame(k, [swim(k / 3)]), frame_seq=seq, t_source_ns=k * 10_000_000, every=every
        )  # fmt: skip
        if k > 35:
            assert result.tracks[0].state is TrackState.LOCKED
            assert (result.tracks[0].x, result.tracks[0].y) == pytest.approx(swim(k / 3), abs=2.5)
        times[every] += [window.t_source_ns for window in result.windows]
    assert len(times[1]) > 20
    assert len(times[2]) > 15
    for window in times[1] + times[2]:
        assert {b - a for a, b in itertools.pairwise(window)} == {40_000_000}


def test_a_head_that_vanishes_is_lost_and_one_that_comes_back_is_found() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select_auto(1)
    play(tracker, [draw_frame(k, [swim(k)]) for k in range(40)])
    gone = play(tracker, [draw_frame(k, []) for k in range(40, 80)], start=40)
    assert gone[-1].tracks[0].state is TrackState.LOST
    assert gone[-1].tracks[0].reason
    assert gone[-1].tracks[0].filled == 0
    assert not any(r.tracks[0].state is TrackState.LOCKED for r in gone[10:])
    x, y = swim(45)
    back = play(tracker, [draw_frame(k, [(x + 2 * (k - 80), y)]) for k in range(80, 110)], start=80)
    assert back[-1].tracks[0].state is TrackState.LOCKED
    assert (back[-1].tracks[0].x, back[-1].tracks[0].y) == pytest.approx((x + 58, y), abs=3)


def test_a_head_that_leaves_is_not_vouched_for() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    path = [(250 + 3.0 * k, 120.0) for k in range(60)]
    tracker.select(*path[0])
    results = play(tracker, [draw_frame(k, [p]) for k, p in enumerate(path)])
    assert results[10].tracks[0].state is TrackState.LOCKED
    assert results[22].tracks[0].reason == "near the border"
    assert results[-1].tracks[0].state is TrackState.LOST
    padded = [w for r in results for w in r.windows if w.padded]
    assert padded, "near the edge the crop reaches over it"


def test_a_head_that_comes_in_where_another_left_is_not_taken_for_it() -> None:
    """Heads look alike: what enters may be any sperm, and must not be graded as the one that left."""
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    out = [(250 + 3.0 * k, 120.0) for k in range(40)]
    back = [(330 - 3.0 * k, 130.0) for k in range(40)]
    tracker.select(*out[0])
    results = play(tracker, [draw_frame(k, [p]) for k, p in enumerate(out + back)])
    assert results[45].tracks[0].reason == "left the frame"
    assert {r.tracks[0].state for r in results[45:]} == {TrackState.LOST}


def test_kinematics_are_there_for_a_followed_head() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(*swim(0))
    play(tracker, [draw_frame(k, [swim(k)]) for k in range(90)])
    found = tracker.kinematics(1, 0.5)
    assert getattr(found, "vsl_um_s", 0) == pytest.approx(2.5 * 50 * 0.5, rel=0.1)
    assert "um/px" in getattr(tracker.kinematics(1, None), "reason", "")
    assert "less than" in getattr(tracker.kinematics(7, 0.5), "reason", "")


@pytest.mark.slow
def test_a_real_clip(visem: Path) -> None:
    """Heads are selected automatically and tracked, and most frames are locked."""
    with VideoFile(visem / "12" / "video.mp4") as video:
        tracker = Tracker(TrackerSettings(), WindowShape(), 480, 640)
        tracker.select_auto(4)
        windows, states = 0, []
        for k in range(200):
            frame = video.read()
            assert frame is not None
            result = tracker.update(frame.pixels, frame_seq=k, t_source_ns=frame.t_source_ns)
            windows += len(result.windows)
            states += [t.state for t in result.tracks]
    assert len(result.tracks) == 4
    assert windows > 300
    assert states.count(TrackState.LOCKED) / len(states) > 0.8
