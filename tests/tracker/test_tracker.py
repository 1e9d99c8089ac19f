"""The tracker as the station uses it: selection, states, windows, bad input, determinism."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from capture.video import VideoFile
from station.config import TrackerSettings, build_config
from station.errors import InputError
from station.messages import TrackState
from tracker.results import FrameResult
from tracker.tracker import Tracker
from tracker.window import WindowShape

HEIGHT, WIDTH = 240, 320
SHAPE = WindowShape(frames=4, size=32, stride=1)


def picture(number: int, heads: list[tuple[float, float]], contrast: float = 120.0) -> np.ndarray:
    """Noise, a little debris, and heads of 10 x 6 px: bright, dark (negative contrast)."""
    rng = np.random.default_rng(5)
    frame = np.full((HEIGHT, WIDTH), 90, np.float32)
    for _ in range(25):
        cv2.circle(frame, (int(rng.uniform(0, WIDTH)), int(rng.uniform(0, HEIGHT))), 3, 55.0, -1)
    for x, y in heads:
        ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH]
        frame += contrast * np.exp(-(((xs - x) / 4.5) ** 2) - ((ys - y) / 2.8) ** 2)
    frame += np.random.default_rng(number).normal(0, 2, frame.shape)
    return np.clip(frame, 0, 255).astype(np.uint8)


def swim(number: int) -> tuple[float, float]:
    return 60 + 2.5 * number, 120 + 20 * math.sin(number / 9)


def play(tracker: Tracker, frames: list[np.ndarray], start: int = 0, **kwargs: int) -> list[FrameResult]:
    return [
        tracker.update(f, frame_seq=start + k, t_source_ns=(start + k) * 20_000_000, **kwargs)
        for k, f in enumerate(frames)
    ]


@pytest.mark.parametrize("contrast", [120.0, -70.0], ids=["bright", "dark"])
def test_a_head_is_followed_and_its_windows_handed_out(contrast: float) -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    play(tracker, [picture(k, [swim(k)], contrast) for k in range(15)])
    x, y = swim(15)
    assert tracker.select(x + 5, y - 4) == 1
    results = play(tracker, [picture(k, [swim(k)], contrast) for k in range(15, 75)], start=15)
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
    assert np.array_equal(window.pixels[-1], picture(74, [swim(74)], contrast)[top : top + 32, left : left + 32])


def test_the_same_frames_give_the_same_bits() -> None:
    runs = []
    for _ in range(2):
        tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
        tracker.select_auto(2)
        results = play(tracker, [picture(k, [swim(k), (250 - k, 60)]) for k in range(50)])
        runs.append([(t.x, t.y, t.score, t.state, t.filled) for r in results for t in r.tracks])
    assert len(runs[0]) > 50
    assert runs[0] == runs[1]


def test_automatic_selection_takes_moving_heads_and_no_debris() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select_auto(2)
    results = play(tracker, [picture(k, [swim(k), (250 - k, 60)]) for k in range(40)])
    assert results[10].tracks == (), "the field is watched first"
    places = sorted((t.x, t.y) for t in results[-1].tracks)
    assert len(places) == 2
    assert places[0] == pytest.approx(swim(39), abs=3)
    assert places[1] == pytest.approx((250 - 39, 60), abs=3)


def test_automatic_selection_leaves_out_what_is_followed() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    frames = [picture(k, [swim(k), (250 - k, 60)]) for k in range(60)]
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
    frames = [picture(k, [swim(k), (250 - k, 60)]) for k in range(12)]
    assert [t.sperm_id for t in play(tracker, frames[:4])[-1].tracks] == [1, 2]
    tracker.release(1)
    tracker.release(99)
    assert tracker.select(*swim(5)) == 3
    tracker.release(3)
    assert [t.sperm_id for t in play(tracker, frames[4:], start=4)[-1].tracks] == [2]


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
    frames = [picture(k, [swim(k)]) for k in range(40)]
    before = play(tracker, frames[:20])
    assert before[-1].tracks[0].filled == 4
    at = tracker.update(frames[20], frame_seq=20, t_source_ns=20 * 20_000_000, **event)
    assert at.windows == ()
    assert at.tracks[0].filled <= 1
    exposure = event.get("exposure_id", 0)
    after = play(tracker, frames[21:], start=21, exposure_id=exposure)
    assert after[-1].tracks[0].filled == 4
    assert min(next(r for r in after if r.windows).windows[0].frame_seqs) >= 20


def test_a_head_that_vanishes_is_lost_and_one_that_comes_back_is_found() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select_auto(1)
    play(tracker, [picture(k, [swim(k)]) for k in range(40)])
    gone = play(tracker, [picture(k, []) for k in range(40, 80)], start=40)
    assert gone[-1].tracks[0].state is TrackState.LOST
    assert gone[-1].tracks[0].reason
    assert gone[-1].tracks[0].filled == 0
    assert not any(r.tracks[0].state is TrackState.LOCKED for r in gone[10:])
    x, y = swim(45)
    back = play(tracker, [picture(k, [(x + 2 * (k - 80), y)]) for k in range(80, 110)], start=80)
    assert back[-1].tracks[0].state is TrackState.LOCKED
    assert (back[-1].tracks[0].x, back[-1].tracks[0].y) == pytest.approx((x + 58, y), abs=3)


def test_a_head_that_leaves_is_not_vouched_for() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    path = [(250 + 3.0 * k, 120.0) for k in range(60)]
    tracker.select(*path[0])
    results = play(tracker, [picture(k, [p]) for k, p in enumerate(path)])
    assert results[10].tracks[0].state is TrackState.LOCKED
    assert results[22].tracks[0].reason == "near the border"
    assert results[-1].tracks[0].state is TrackState.LOST
    padded = [w for r in results for w in r.windows if w.padded]
    assert padded, "near the edge the crop reaches over it"


def test_a_head_that_comes_in_where_another_left_is_not_taken_for_it() -> None:
    """Heads look alike: what enters may be anybody, and must not be graded under the number of the one that left."""
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    out = [(250 + 3.0 * k, 120.0) for k in range(40)]
    back = [(330 - 3.0 * k, 130.0) for k in range(40)]
    tracker.select(*out[0])
    results = play(tracker, [picture(k, [p]) for k, p in enumerate(out + back)])
    assert results[45].tracks[0].reason == "left the frame"
    assert {r.tracks[0].state for r in results[45:]} == {TrackState.LOST}


@pytest.mark.parametrize(("x", "y"), [(-1, 5), (320, 5), (5, 240), (math.nan, 5), (math.inf, 5)])
def test_points_outside_are_refused(x: float, y: float) -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    with pytest.raises(InputError, match="outside the frame"):
        tracker.select(x, y)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_frames_with_nothing_in_them(level: int) -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(100, 100)
    tracker.select_auto(3)
    results = play(tracker, [np.full((HEIGHT, WIDTH), level, np.uint8)] * 60)
    assert not any(t.state is TrackState.LOCKED for r in results for t in r.tracks)
    assert results[-1].tracks[0].state is TrackState.LOST
    assert results[-1].disturbance == "nothing to see"


def test_a_followed_head_in_a_field_that_goes_white() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(*swim(0))
    play(tracker, [picture(k, [swim(k)]) for k in range(30)])
    results = play(tracker, [np.full((HEIGHT, WIDTH), 255, np.uint8)] * 40, start=30)
    assert not any(t.state is TrackState.LOCKED for r in results for t in r.tracks)
    assert results[-1].tracks[0].state is TrackState.LOST


def test_saturated_noise() -> None:
    rng = np.random.default_rng(0)
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(100, 100)
    tracker.select_auto(4)
    frames = [np.where(rng.random((HEIGHT, WIDTH)) < 0.5, 0, 255).astype(np.uint8) for _ in range(40)]
    results = play(tracker, frames)
    assert not any(t.state is TrackState.LOCKED for t in results[-1].tracks)


@pytest.mark.parametrize("head_px", [None, 6.0, 40.0, 300.0], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3), (7, 9), (30, 30)], ids=str)
def test_tiny_frames(size: tuple[int, int], head_px: float | None) -> None:
    rng = np.random.default_rng(0)
    tracker = Tracker(TrackerSettings(head_px=head_px), SHAPE, *size)
    tracker.select(0, 0)
    tracker.select_auto(2)
    results = play(tracker, [rng.integers(0, 256, size).astype(np.uint8) for _ in range(40)])
    assert not any(t.state is TrackState.LOCKED for t in results[-1].tracks)


def test_frames_of_another_size_are_refused() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    play(tracker, [picture(0, [])])
    with pytest.raises(InputError, match="expected 320 x 240"):
        play(tracker, [np.zeros((HEIGHT, WIDTH + 1), np.uint8)], start=1)


@pytest.mark.parametrize(
    "section",
    [{"head_px": math.nan}, {"head_px": -3}, {"head_px": math.inf}, {"matcher": "opencl"}, {"machter": "auto"}],
)
def test_bad_configuration(section: dict[str, object]) -> None:
    with pytest.raises(InputError, match="tracker"):
        build_config({"tracker": section}, "test")


def test_time_that_stands_still_or_runs_back_does_no_harm() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(*swim(0))
    for k, t_ns in enumerate((0, 0, 10, 5, 10**9, 10**9)):
        result = tracker.update(picture(k, [swim(k)]), frame_seq=k, t_source_ns=t_ns)
        assert math.isfinite(result.tracks[0].x)


@pytest.mark.parametrize(
    "times_ms",
    [
        pytest.param([0, 0, *range(20, 20 * 59, 20)], id="the first time twice"),
        pytest.param([0, *range(9000, 9000 + 20 * 59, 20)], id="a long wait after the first frame"),
        pytest.param([*range(0, 600, 20), *range(600, 600 + 30 * 50, 50)], id="slower from some frame on"),
        pytest.param([*range(0, 1500, 50), *range(1500, 1500 + 30 * 10, 10)], id="faster from some frame on"),
    ],
)
def test_windows_fill_again_at_another_frame_rate(times_ms: list[int]) -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    for k, t_ms in enumerate(times_ms):
        if k == 5:
            tracker.select(*swim(5))
        result = tracker.update(picture(k, [swim(k)]), frame_seq=k, t_source_ns=t_ms * 1_000_000)
    assert result.tracks[0].filled == SHAPE.frames
    assert (result.tracks[0].x, result.tracks[0].y) == pytest.approx(swim(k), abs=3)


def test_nobody_is_vouched_for_after_a_long_gap() -> None:
    """Whoever is at the expected place ten seconds later may be anybody."""
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(60, 120)
    play(tracker, [picture(k, [(60 + 0.3 * k, 120)]) for k in range(30)])
    for k in range(30, 50):
        result = tracker.update(picture(k, [(69, 120)]), frame_seq=k, t_source_ns=10**10 + k * 20_000_000)
        assert result.tracks[0].state is TrackState.LOST
        assert result.tracks[0].reason == "frames missing"


def test_a_sperm_selected_twice_is_followed_once() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(*swim(0))
    pairs = [[swim(k), (swim(k)[0] + 2, swim(k)[1] + 24)] for k in range(50)]
    play(tracker, [picture(k, p) for k, p in enumerate(pairs[:20])])
    tracker.select(*swim(20))
    results = play(tracker, [picture(k, p) for k, p in enumerate(pairs[20:], 20)], start=20)
    for result in results:
        one, again = result.tracks
        assert one.state is TrackState.LOCKED
        assert (again.state, again.reason) == (TrackState.LOST, "already followed as 1")


@pytest.mark.parametrize("level", [0, 255])
def test_a_frame_with_nothing_in_it_tells_no_head_size(level: int) -> None:
    sizes = []
    for blank in (0, 1):
        tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
        play(tracker, [np.full((HEIGHT, WIDTH), level, np.uint8)] * blank)
        tracker.select(*swim(blank))
        play(tracker, [np.full((HEIGHT, WIDTH), level, np.uint8)] * blank, start=blank)
        tracker.select(*swim(3))
        play(tracker, [picture(k, [swim(k)]) for k in range(3, 8)], start=3)
        sizes.append(tracker._field.head_px)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.25)


def test_a_field_where_nothing_moves_tells_the_head_size_once() -> None:
    """Templates of two head sizes cannot be matched together."""
    still = [(80.0, 80.0), (200.0, 150.0), (250.0, 60.0)]
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select_auto(2)
    assert len(play(tracker, [picture(k, still) for k in range(30)])[-1].tracks) == 2
    tracker.select(*still[0])
    play(tracker, [picture(k, [*still, swim(k)]) for k in range(30, 40)], start=30)


def test_a_lost_sperm_is_reported_inside_the_frame() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(*swim(0))
    play(tracker, [picture(k, [swim(k)]) for k in range(10)])
    tracker._following.selected()[0].carry((-1468.0, 3000.0))
    track = play(tracker, [picture(10, [])], start=10)[0].tracks[0]
    assert (track.x, track.y) == (0.0, HEIGHT - 1.0)


def test_a_window_does_not_mix_the_cells_of_a_swap() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(*swim(0))
    play(tracker, [picture(k, [swim(k)]) for k in range(50)])
    head = tracker._following.selected()[0]
    frame = picture(50, [swim(50)])
    field = tracker._field.update(frame, frame_seq=50, t_source_ns=50 * 20_000_000)
    tracker._following.update(field)
    head.displaced = True
    window = tracker._windows[1]
    assert window.filled == SHAPE.frames
    tracker._note(head, TrackState.LOCKED, field)
    assert not tracker._fill(window, head, TrackState.LOCKED, field)
    assert window.filled == 1
    assert len(tracker._trajectories[1].arrays()[0]) == 1
    assert play(tracker, [picture(51, [swim(51)])], start=51)[0].tracks[0].filled == 2


def test_kinematics_are_there_for_a_followed_head() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(*swim(0))
    play(tracker, [picture(k, [swim(k)]) for k in range(90)])
    found = tracker.kinematics(1, 0.5)
    assert getattr(found, "vsl_um_s", 0) == pytest.approx(2.5 * 50 * 0.5, rel=0.1)
    assert "um/px" in getattr(tracker.kinematics(1, None), "reason", "")
    assert "less than" in getattr(tracker.kinematics(7, 0.5), "reason", "")


@pytest.mark.slow
def test_a_real_clip(visem: Path) -> None:
    """Heads are found by themselves and followed, and most frames are locked."""
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
