"""The tracker on input that no microscope should send: a clear error or a lost track, never a crash or a false lock."""

import math

import numpy as np
import pytest

from station.config import TrackerSettings, build_config
from station.errors import InputError
from station.transport.messages import TrackState
from tests.tracker.drawn_scene import HEIGHT, SHAPE, WIDTH, draw_frame, play, swim
from tracker.tracker import Tracker


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
    play(tracker, [draw_frame(k, [swim(k)]) for k in range(30)])
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
    play(tracker, [draw_frame(0, [])])
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
        result = tracker.update(draw_frame(k, [swim(k)]), frame_seq=k, t_source_ns=t_ns)
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
        result = tracker.update(draw_frame(k, [swim(k)]), frame_seq=k, t_source_ns=t_ms * 1_000_000)
    assert result.tracks[0].filled == SHAPE.frames
    assert (result.tracks[0].x, result.tracks[0].y) == pytest.approx(swim(k), abs=3)


def test_nobody_is_vouched_for_after_a_long_gap() -> None:
    """The head at the expected place ten seconds later may be any sperm."""
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(60, 120)
    play(tracker, [draw_frame(k, [(60 + 0.3 * k, 120)]) for k in range(30)])
    for k in range(30, 50):
        result = tracker.update(draw_frame(k, [(69, 120)]), frame_seq=k, t_source_ns=10**10 + k * 20_000_000)
        assert result.tracks[0].state is TrackState.LOST
        assert result.tracks[0].reason == "frames missing"


def test_a_sperm_selected_twice_is_followed_once() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(*swim(0))
    pairs = [[swim(k), (swim(k)[0] + 2, swim(k)[1] + 24)] for k in range(50)]
    play(tracker, [draw_frame(k, p) for k, p in enumerate(pairs[:20])])
    tracker.select(*swim(20))
    results = play(tracker, [draw_frame(k, p) for k, p in enumerate(pairs[20:], 20)], start=20)
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
        play(tracker, [draw_frame(k, [swim(k)]) for k in range(3, 8)], start=3)
        sizes.append(tracker._preprocessor.head_px)
    assert sizes[1] == pytest.approx(sizes[0], rel=0.25)


def test_a_field_where_nothing_moves_tells_the_head_size_once() -> None:
    """Templates of two head sizes cannot be matched together."""
    still = [(80.0, 80.0), (200.0, 150.0), (250.0, 60.0)]
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select_auto(2)
    assert len(play(tracker, [draw_frame(k, still) for k in range(30)])[-1].tracks) == 2
    tracker.select(*still[0])
    play(tracker, [draw_frame(k, [*still, swim(k)]) for k in range(30, 40)], start=30)


def test_a_lost_sperm_is_reported_inside_the_frame() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(*swim(0))
    play(tracker, [draw_frame(k, [swim(k)]) for k in range(10)])
    tracker._head_tracker.selected()[0][1].carry((-1468.0, 3000.0))
    track = play(tracker, [draw_frame(10, [])], start=10)[0].tracks[0]
    assert (track.x, track.y) == (0.0, HEIGHT - 1.0)


def test_a_window_does_not_mix_the_cells_of_a_swap() -> None:
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select(*swim(0))
    play(tracker, [draw_frame(k, [swim(k)]) for k in range(50)])
    ((_, head),) = tracker._head_tracker.selected()
    frame = draw_frame(50, [swim(50)])
    prepared = tracker._preprocessor.prepare(frame, frame_seq=50, t_source_ns=50 * 20_000_000)
    tracker._head_tracker.update(prepared)
    head.displaced = True
    window = tracker._windows[1]
    assert window.filled == SHAPE.frames
    tracker._note(1, head, TrackState.LOCKED, prepared)
    assert not tracker._fill(window, head, TrackState.LOCKED, prepared)
    assert window.filled == 1
    assert len(tracker._trajectories[1].arrays()[0]) == 1
    assert play(tracker, [draw_frame(51, [swim(51)])], start=51)[0].tracks[0].filled == 2
