"""Clips with hand-made tracks: panned windows, displaced starts, failures and their reasons, intervals, the command."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.__main__ import main
from bench.support.tracking.cases import rate
from bench.support.tracking.clips import WINDOW, Clip, clip, mixed, pan_path, panned
from bench.support.tracking.score import failures, interval, outcomes, segments, tracks_of
from bench.support.tracking.sheet import BEFORE, contact_sheet

TRACKS = {1: {f: (100.0 + 0.5 * f, 100.0) for f in range(400)}, 2: {f: (130.0, 80.0) for f in range(400)}}


def answers(wrong: str | None = None) -> dict[str, dict[int, tuple[float, float, str]]]:
    """Right answers, but for one segment, which goes over to the other sperm in its frame 50."""
    given: dict[str, dict[int, tuple[float, float, str]]] = {}
    for one in segments(TRACKS):
        other = TRACKS[3 - one.sperm]
        for k, frame in enumerate(one.frames):
            x, y = other[frame] if one.name == wrong and k >= 50 else one.centres[k].tolist()
            given.setdefault(one.name, {})[frame] = (x, y, "locked")
    return given


def test_a_failure_says_when_where_and_what_was_near() -> None:
    assert failures(TRACKS, answers()) == []
    (one,) = failures(TRACKS, answers("2@12"))
    assert (one.segment.name, one.frame, one.ends_on, one.survived) == ("2@12", 62, 1, False)
    assert one.wrong_lock == pytest.approx(100 / 150, abs=0.1)
    assert one.near[0][0] == 1
    assert "2@12 (still): not followed" in one.words
    assert "ends on 1" in one.words


def test_the_interval_holds_the_mean_and_narrows_with_segments() -> None:
    rows = outcomes(TRACKS, answers("2@12"))
    low, high = interval(rows, "survival") or (0.0, 0.0)
    assert low < np.mean([row.survived for row in rows]) < high
    assert interval(rows, "survival") == (low, high), "the same at every call"
    wide = interval(rows * 20, "survival") or (0.0, 0.0)
    assert wide[1] - wide[0] < 0.5 * (high - low)
    assert interval([], "survival") is None


def test_starts_are_displaced_on_request() -> None:
    one = Clip("drawn", lambda: iter(()), TRACKS)
    plain, moved = one.starts(), one.starts(1.5)
    assert [s.segment for s in plain] == [s.segment for s in moved]
    off = np.array([(a.x - b.x, a.y - b.y) for a, b in zip(plain, moved, strict=True)])
    assert 0.5 < off.std() < 3
    assert moved == one.starts(1.5)
    assert moved != one.starts(1.5, turn=1)


def test_two_clips_in_one_picture() -> None:
    dark, bright = (np.full((40, 60), 80, np.uint8) for _ in range(2))
    dark[10, 10], bright[20, 30] = 40, 200
    one = Clip("a", lambda: iter([(dark, 0), (dark, 5)]), {1: {0: (10.0, 10.0), 1: (10.0, 10.0)}})
    other = Clip("b", lambda: iter([(bright, 0)]), {1: {0: (30.0, 20.0)}})
    both = mixed(one, other, 0.0)
    ((frame, _),) = both.frames()
    assert (frame[10, 10], frame[20, 30], frame[0, 0]) == (40, 200, 80)
    assert both.tracks == {1: {0: (10.0, 10.0)}, 3: {0: (30.0, 20.0)}}
    soft = next(mixed(one, other, 2.0).frames())[0]
    assert 80 < soft[20, 30] < 120


def test_the_window_rests_glides_and_stays_inside() -> None:
    path = pan_path(495, 640, 480, 49.0, 120.0)
    speed = np.hypot(*np.diff(path, axis=0).T) * 49
    assert np.mean(speed < 1) > 0.3
    assert 120 < speed.max() < 1.7 * 120
    assert path.min() >= 0
    assert np.all(path.max(axis=0) <= np.array([640 - WINDOW[0], 480 - WINDOW[1]]))
    still = pan_path(495, 640, 480, 49.0, 0.001)
    assert np.ptp(still, axis=0).max() < 0.1


def test_panned_tracks_lie_on_the_same_pixels(visem: Path) -> None:
    video, gt = visem / "12" / "video.mp4", visem / "12" / "gt.txt"
    still, moving = clip(video, gt), panned(video, gt, 120.0)
    path = pan_path(493, 640, 480, 49.0, 120.0)
    frames = zip(range(61), still.frames(), moving.frames(), strict=False)
    (number, (whole, _), (window, _)) = list(frames)[60]
    assert window.shape == (WINDOW[1], WINDOW[0])
    sperm = next(k for k, places in moving.tracks.items() if number in places)
    x, y = moving.tracks[sperm][number]
    assert still.tracks[sperm][number] == pytest.approx((x + path[number, 0], y + path[number, 1]))
    here = cv2.getRectSubPix(window, (21, 21), (x, y)).astype(float)
    there = cv2.getRectSubPix(whole, (21, 21), still.tracks[sperm][number]).astype(float)
    assert np.abs(here - there).mean() < 6


def test_a_contact_sheet_has_a_row_for_each_failure(tmp_path: Path) -> None:
    given = answers("2@12")
    frames = [(np.full((200, 320), 90, np.uint8), k) for k in range(400)]
    path = tmp_path / "failed.png"
    contact_sheet(path, frames, TRACKS, given, failures(TRACKS, given))
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape == (240, 240 * len(BEFORE), 3)
    assert picture.std() > 0


@pytest.mark.slow
def test_the_command_scores_clips_and_pools_them(
    visem: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    argv = ["tracking", "--no-timing", "--sheet", str(tmp_path / "failed.png")]
    for name in ("12", "19"):
        argv += ["--clip", str(visem / name / "video.mp4"), str(visem / name / "gt.txt")]
    assert main(argv) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    figures = {name: figure["value"] for name, figure in document["figures"].items()}
    assert figures["12/video.mp4: tracker survival, all"] >= 0.96
    assert figures["12/video.mp4: tracker wrong_lock, all"] <= 0.005
    assert figures["19/video.mp4: tracker wrong_lock, all"] <= 0.005
    assert figures["pooled: tracker survival, moving"] >= 0.94
    assert any("not followed" in line for line in document["lines"])
    assert len(tracks_of(visem / "12" / "gt.txt")) > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["still head, 2 pass", "still head out of focus, 1 passes", "still head, 1 passes at the start"]
)
def test_a_simulated_still_head_is_not_given_away(name: str) -> None:
    found = rate(name, range(4))
    assert found.longest_wrong_lock_s <= 0.2
