"""The look over the field that is spread over frames: it finds what one look finds, where that is by now."""

import math

import numpy as np
import pytest

from station.config import TrackerSettings
from tests.tracker.drawn_scene import HEIGHT, SHAPE, WIDTH, draw_frame, swim
from tracker.field.preprocessor import Preprocessor
from tracker.matching.detection import best, find_candidates, is_like_a_head, leading, measure_head
from tracker.matching.matcher import OpenCvMatcher
from tracker.matching.prepared_frame import PreparedFrame
from tracker.matching.survey import Finding, Survey, share_of
from tracker.tracker import WATCHED_FRAMES, Tracker

FIRST = 30
"""Number of the frame that is looked over."""


class Scene:
    """Two swimmers, frame by frame."""

    def __init__(self, fps: float) -> None:
        self._preprocessor = Preprocessor(HEIGHT, WIDTH, OpenCvMatcher())
        self._fps = fps
        self.number = 0

    def next(self) -> PreparedFrame:
        pixels = draw_frame(self.number, [swim(self.number), (250.0 - self.number, 60.0)])
        t_ns = round(self.number * 1e9 / self._fps)
        prepared = self._preprocessor.prepare(pixels, frame_seq=self.number, t_source_ns=t_ns)
        self.number += 1
        return prepared

    def until_first(self) -> PreparedFrame:
        while self.number < FIRST:
            self.next()
        return self.next()


def finding_of(survey: Survey, scene: Scene) -> tuple[Finding, int]:
    """Return what a survey finds, and after how many frames."""
    for count in range(1, 300):
        now = scene.next()
        survey.pass_by(now)
        survey.look_on(share_of(now))
        if survey.finding is not None:
            return survey.finding, count
    raise AssertionError("it never ends")


@pytest.mark.parametrize("scaled", [True, False])
def test_it_finds_what_one_look_finds(scaled: bool) -> None:
    scene = Scene(60.0)
    frame = scene.until_first()
    found = find_candidates(frame, parts=False)
    promising = best(
        found, len(found), frame.head_px, HEIGHT, WIDTH, accept=lambda candidate: is_like_a_head(frame, candidate)
    )
    head_px = measure_head(frame.pixels, leading(found, frame.floor, frame.head_px))
    finding, frames = finding_of(Survey(frame, scaled=scaled, wanted=2), scene)
    assert frames >= 3, "spread over several frames"
    assert finding == (Finding(promising, None) if scaled else Finding([], head_px))


def test_slow_cameras_leave_time_for_more_in_a_frame() -> None:
    frames = []
    for fps in (15.0, 60.0, 160.0):
        scene = Scene(fps)
        frames.append(finding_of(Survey(scene.until_first(), scaled=True, wanted=2), scene)[1])
    assert frames[0] < frames[1] < frames[2]


def test_a_head_is_selected_where_it_is_when_it_is_selected() -> None:
    """It has swum on by more than its own length meanwhile."""
    fps, speed_px = 60.0, 4.0
    tracker = Tracker(TrackerSettings(head_px=21.0), SHAPE, HEIGHT, WIDTH)
    tracker.select_auto(2)
    selected: dict[int, int] = {}
    for number in range(60):
        places = [(40.0 + speed_px * number, 70.0), (280.0 - speed_px * number, 170.0)]
        result = tracker.update(draw_frame(number, places), frame_seq=number, t_source_ns=round(number * 1e9 / fps))
        for track in result.tracks:
            if track.sperm_id not in selected:
                selected[track.sperm_id] = number
                assert min(math.dist((track.x, track.y), place) for place in places) < 6
    assert sorted(selected) == [1, 2]
    assert selected[1] == selected[2], "together"


def test_what_a_step_leaves_of_a_frame_goes_to_the_next_one() -> None:
    """At 15/s a whole look fits into one frame; in a session of before each step began with a frame."""
    selected: dict[bool, tuple[int, int]] = {}
    for prompt in (True, False):
        tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
        tracker.select_auto(2, prompt=prompt)
        for number in range(40):
            places = [swim(number), (250.0 - number, 60.0)]
            result = tracker.update(draw_frame(number, places), frame_seq=number, t_source_ns=round(number * 1e9 / 15))
            if result.tracks:
                selected[prompt] = number, len(result.tracks)
                assert all(min(math.dist((t.x, t.y), place) for place in places) < 6 for t in result.tracks)
                break
    assert selected[True][0] < selected[False][0]
    assert selected[True][1] == selected[False][1] == 2


def test_however_slowly_frames_come_some_are_watched_before_a_selection() -> None:
    """At 5/s the time to be watched is two frames long, which say little about what moves."""
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select_auto(2, prompt=True)
    for number in range(20):
        places = [swim(number), (250.0 - number, 60.0)]
        result = tracker.update(draw_frame(number, places), frame_seq=number, t_source_ns=round(number * 1e9 / 5))
        if result.tracks:
            break
    assert number >= WATCHED_FRAMES
    assert all(min(math.dist((t.x, t.y), place) for place in places) < 6 for t in result.tracks)
    assert len(result.tracks) == 2


def test_where_frames_are_missing_the_field_is_watched_anew_before_a_selection() -> None:
    """Else the background is of a few moments, and shows heads where they were."""
    tracker = Tracker(TrackerSettings(), SHAPE, HEIGHT, WIDTH)
    tracker.select_auto(2, prompt=True, unbroken=True)
    fps, last, gaps = 120, -1, (9, 71, 102, 164)
    for number in (*range(gaps[0]), *range(gaps[1], gaps[2]), *range(gaps[3], 300)):
        places = [swim(number // 4), (250.0 - number / 4, 60.0)]
        result = tracker.update(
            draw_frame(number, places), frame_seq=number, t_source_ns=round(number * 1e9 / fps),
            lost_before=number - last - 1,
        )  # fmt: skip
        last = number
        if result.tracks:
            break
    assert number >= gaps[3] + 0.4 * fps
    assert all(min(math.dist((t.x, t.y), place) for place in places) < 6 for t in result.tracks)
    assert len(result.tracks) == 2


def test_a_survey_keeps_its_frame() -> None:
    """The caller may write the next frame where the last one was."""
    scene = Scene(60.0)
    frame = scene.until_first()
    pixels = frame.pixels
    finding, _ = finding_of(Survey(frame, scaled=True, wanted=2), scene)
    scene = Scene(60.0)
    again = Survey(scene.until_first(), scaled=True, wanted=2)
    pixels[:] = 0
    assert finding_of(again, scene)[0] == finding
    assert np.count_nonzero(pixels) == 0
