"""What a window's evidence says of it, and that a bad picture is said and gives no grade that looks fresh."""

import cv2
import numpy as np

from station.config import TrackerSettings
from station.transport.messages import Cause, TrackState
from tests.tracker.drawn_scene import HEIGHT, SHAPE, WIDTH, draw_frame, play, swim
from tracker.results import FrameResult
from tracker.tracker import Tracker

START = 30


def tracked(heads: int = 1) -> Tracker:
    """A tracker that has followed the swimming head for some time."""
    tracker = Tracker(TrackerSettings(head_px=21.0), SHAPE, HEIGHT, WIDTH)
    play(tracker, [frame(k, heads) for k in range(15)])
    tracker.select(*swim(15))
    play(tracker, [frame(k, heads) for k in range(15, START)], start=15)
    return tracker


def frame(number: int, heads: int = 1) -> np.ndarray:
    others = [(swim(number)[0] + 8, swim(number)[1] + 60 - 1.5 * number)] if heads > 1 else []
    return draw_frame(number, [swim(number), *others])


def windows(results: list[FrameResult]) -> list[list[Cause]]:
    return [window.measured.causes for result in results for window in result.windows]


def test_a_good_window_says_what_was_measured_and_no_cause() -> None:
    results = play(tracked(), [frame(k) for k in range(START, START + 10)], start=START)
    assert windows(results) == [[]] * 10
    measured = results[-1].windows[0].measured
    assert measured.stage_px == 0.0
    assert measured.sharpness is not None
    assert measured.sharpness > 0.4
    assert measured.nearest_px is None
    assert (measured.saturated, measured.repeated) == (0.0, 0)
    assert results[-1].cautions == ()


def test_a_frozen_camera_gives_no_fresh_window_and_is_said_at_once() -> None:
    tracker = tracked()
    still = frame(START - 1)
    results = play(tracker, [still] * 40, start=START)
    assert windows(results) == [[Cause.REPEATED]], "the first repeat cannot be told from a duplicate; it is marked"
    assert [result.disturbance for result in results[1:]] == ["picture frozen"] * 39
    assert results[1].tracks[0].state is TrackState.UNCERTAIN
    assert results[1].tracks[0].reason == "picture frozen"
    assert "the same picture again and again" in results[1].cautions[0]
    assert results[-1].tracks[0].state is TrackState.LOST, "where it is after 0.8 s nobody knows"
    again = play(tracker, [frame(k) for k in range(START + 40, START + 44)], start=START + 40)
    assert windows(again) == []


def test_after_a_short_freeze_a_head_is_followed_on_and_its_window_begins_again() -> None:
    tracker = tracked()
    play(tracker, [frame(START - 1)] * 4, start=START)
    again = play(tracker, [frame(k) for k in range(START + 4, START + 12)], start=START + 4)
    assert [result.tracks[0].filled for result in again] == [1, 2, 3, 4, 4, 4, 4, 4]
    assert windows(again) == [[]] * 5
    assert again[-1].windows[0].frame_seqs[0] > START + 4


def test_pictures_that_come_twice_mark_every_window() -> None:
    shown = [frame(k - k % 2) for k in range(START, START + 60)]
    results = play(tracked(), shown, start=START)
    assert {tuple(causes) for causes in windows(results[4:])} == {(Cause.REPEATED,)}
    assert results[-1].cautions[0].startswith("single pictures come twice")


def test_out_of_focus_is_said_within_a_second_and_marks_the_windows() -> None:
    tracker = tracked()

    def soft(number: int) -> np.ndarray:
        sharp = draw_frame(number, [swim(number), (250 - number, 40), (290, 60 + number), (80, 210)])
        image = cv2.GaussianBlur(sharp.astype(np.float32), (0, 0), 3.2)
        image += np.random.default_rng(number).normal(0, 2, image.shape)
        return np.clip(image, 0, 255).astype(np.uint8)

    results = play(tracker, [soft(k) for k in range(START, START + 55)], start=START)
    assert any("out of focus" in caution for result in results[:50] for caution in result.cautions)
    assert all(Cause.FOCUS in causes for causes in windows(results[6:]))


def test_a_head_that_passes_close_by_marks_the_windows_as_a_crossing() -> None:
    results = play(tracked(2), [frame(k, 2) for k in range(START, START + 40)], start=START)
    found = windows(results)
    assert [Cause.CROSSING] in found
    assert [] in found


def test_a_moving_stage_marks_the_windows() -> None:
    tracker = tracked()
    rng = np.random.default_rng(7)
    world = np.pad(np.full((HEIGHT, WIDTH), 90, np.float32), ((0, 0), (0, 200)), constant_values=90)
    for _ in range(60):
        x, y = int(rng.uniform(0, WIDTH + 200)), int(rng.uniform(0, HEIGHT))
        cv2.circle(world, (x, y), 3, 55.0, -1)

    def moved(number: int, shift: int) -> np.ndarray:
        view = world[:, shift : shift + WIDTH].copy()
        ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH]
        x, y = swim(number)
        view += 120 * np.exp(-(((xs - x + shift) / 4.5) ** 2) - ((ys - y) / 2.8) ** 2)
        view += np.random.default_rng(number).normal(0, 2, view.shape)
        return np.clip(view, 0, 255).astype(np.uint8)

    tracker = Tracker(TrackerSettings(head_px=21.0), SHAPE, HEIGHT, WIDTH)
    play(tracker, [moved(k, 0) for k in range(15)])
    tracker.select(*swim(15))
    still = play(tracker, [moved(k, 0) for k in range(15, 35)], start=15)
    moving = play(tracker, [moved(k, 3 * (k - 34)) for k in range(35, 50)], start=35)
    assert {tuple(causes) for causes in windows(still)} == {()}
    assert {tuple(causes) for causes in windows(moving[3:])} == {(Cause.STAGE,)}
    stage_px = moving[-1].windows[0].measured.stage_px
    assert 7.0 < stage_px < 11.0, "three steps of 3 px"
