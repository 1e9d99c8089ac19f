"""Score maps, peaks, and that both matchers behave the same."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from capture.files.video import VideoFile
from station.config import TrackerSettings
from tracker.field.preprocessor import Preprocessor
from tracker.matching.lazy_image import LazyImage, cut
from tracker.matching.matcher import Matcher, OpenCvMatcher, peaks, scores, vertex
from tracker.matching.prepared_frame import PreparedFrame
from tracker.tracker import Tracker, matcher_for
from tracker.window import WindowShape


def noise_image(seed: int, height: int = 160, width: int = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(cv2.GaussianBlur(rng.normal(90, 60, (height, width)), (0, 0), 1.5) * 2 - 90, 0, 255).astype(np.uint8)


def prepared(matcher: Matcher, *frames: np.ndarray) -> PreparedFrame:
    field = Preprocessor(*frames[0].shape, matcher, 21.0)
    for k, pixels in enumerate(frames):
        frame = field.prepare(pixels, frame_seq=k, t_source_ns=k * 20_000_000)
    return frame


@pytest.mark.parametrize(
    ("line", "place", "offset"),
    [
        ([0, 1, 0], 1, 0.0),
        ([0, 1, 1], 1, 0.5),
        ([1, 1, 0], 1, -0.5),
        ([-4.0, -1.0, 0.0, -1.0], 2, 0.0),
        ([-(0.75**2), -(0.25**2), -(1.25**2)], 1, -0.25),
        ([1, 0, 0], 0, 0.0),
        ([1, 1, 1], 1, 0.0),
    ],
)
def test_vertex(line: list[float], place: int, offset: float) -> None:
    assert vertex(np.array(line, np.float32), place) == pytest.approx(offset)


def test_peaks_come_highest_first_and_below_a_pixel() -> None:
    y, x = np.mgrid[-10:11, -10:11].astype(np.float32)
    score = np.maximum(1.0 - 0.02 * ((x - 3.3) ** 2 + (y + 2.4) ** 2), 0.8 - 0.02 * ((x + 6) ** 2 + (y - 5) ** 2))
    first, second = peaks(score, score, score, 5)[:2]
    assert (first.dx, first.dy) == pytest.approx((3.3, -2.4), abs=1e-3)
    assert (second.dx, second.dy) == pytest.approx((-6, 5), abs=1e-3)
    assert first.score > second.score
    assert peaks(score, score, score, 1) == [first]


def test_energy_and_nearness_decide_between_equal_looks() -> None:
    flat = np.zeros((1, 9, 9), np.float32)
    energy = flat.copy()
    energy[0, 4, 7] = 10.0
    pulled = scores(flat, energy, np.array([10.0]), np.zeros((1, 2)), np.array([5.0]))
    assert np.unravel_index(pulled[0].argmax(), (9, 9)) == (4, 7)
    near = scores(flat, flat, np.array([10.0]), np.array([[1.0, -2.0]]), np.array([5.0]))
    assert np.unravel_index(near[0].argmax(), (9, 9)) == (2, 5), "offsets are (x, y), maps are (row, column)"


def test_a_template_is_found_where_it_was_cut() -> None:
    matcher = OpenCvMatcher()
    frame = prepared(matcher, noise_image(1))
    points = np.array([[60.3, 70.6], [3.0, 4.0], [198.0, 157.0]])
    templates = matcher.crops(frame, points, 23)
    ncc, energy = matcher.maps(frame, np.rint(points).astype(np.int64), templates, 12)
    assert ncc.shape == energy.shape == (3, 25, 25)
    for k, point in enumerate(points):
        peak = peaks(ncc[k], ncc[k], energy[k], 1)[0]
        found = np.rint(point) + np.array([peak.dx, peak.dy])
        assert found == pytest.approx(point, abs=0.15)
        assert peak.ncc > 0.95


@pytest.mark.parametrize("level", [0, 77, 255])
def test_flat_pictures_correlate_with_nothing(level: int) -> None:
    matcher = OpenCvMatcher()
    frame = prepared(matcher, np.full((100, 100), level, np.uint8))
    ncc, energy = matcher.maps(frame, np.array([[50, 50]]), np.ones((1, 23, 23), np.float32), 12)
    assert np.all(np.isfinite(ncc))
    assert np.all(np.abs(ncc) <= 1)
    assert not energy.any()


@pytest.mark.parametrize("sigma_px", [1.0, 3.0, 5.0], ids=str)
def test_a_pixel_has_the_same_value_wherever_one_has_looked_before(sigma_px: float) -> None:
    frame, still, rng = noise_image(1), noise_image(2), np.random.default_rng(5)
    whole = OpenCvMatcher().prepare(frame, still, 2.0, sigma_px)
    everything = [image.whole() for image in whole if isinstance(image, LazyImage)]
    assert len(everything) == 2
    for _ in range(10):
        bit_by_bit = OpenCvMatcher().prepare(frame, still, 2.0, sigma_px)
        for x, y, reach in rng.integers((0, 0, 1), (200, 160, 40), (25, 3)).tolist():
            for image, expected in zip(bit_by_bit, everything, strict=True):
                assert isinstance(image, LazyImage)
                np.testing.assert_array_equal(image.cut(x, y, reach), cut(expected, x, y, reach))


def test_torch_finds_the_same_peaks() -> None:
    """Over 1,000 random patches, in the middle and over the edges."""
    torch_matcher = pytest.importorskip("tracker.matching.torch_matcher").TorchMatcher("cpu")
    frames = [noise_image(seed) for seed in (1, 2, 3)]
    ours, theirs = prepared(OpenCvMatcher(), *frames), prepared(torch_matcher, *frames)
    assert theirs.energy.whole() == pytest.approx(ours.energy.whole(), abs=1e-3)
    rng = np.random.default_rng(0)
    points = np.c_[rng.uniform(0, 199, 1000), rng.uniform(0, 159, 1000)]
    templates = OpenCvMatcher().crops(ours, points, 23)
    assert torch_matcher.crops(theirs, points, 23) == pytest.approx(templates, abs=2e-3)
    centres = np.rint(points + rng.uniform(-5, 5, points.shape)).astype(np.int64)
    for start in range(0, 1000, 100):
        part = slice(start, start + 100)
        one = OpenCvMatcher().maps(ours, centres[part], templates[part], 12)
        two = torch_matcher.maps(theirs, centres[part], templates[part], 12)
        for ncc, other, energy in zip(one[0], two[0], one[1], strict=True):
            a, b = peaks(ncc, ncc, energy, 1)[0], peaks(other, other, energy, 1)[0]
            assert (a.dx, a.dy) == pytest.approx((b.dx, b.dy), abs=1e-3)


@pytest.mark.slow
def test_torch_follows_the_same_tracks_over_a_clip(visem: Path) -> None:
    pytest.importorskip("torch").set_num_threads(1)
    answers = []
    for matcher in ("opencv", "torch"):
        with VideoFile(visem / "12" / "video.mp4") as video:
            tracker = Tracker(TrackerSettings(matcher=matcher), WindowShape(1, 8, 1), 480, 640)
            tracker.select_auto(4)
            rows = []
            while (frame := video.read()) is not None:
                found = tracker.update(frame.pixels, frame_seq=len(rows), t_source_ns=frame.t_source_ns)
                rows.append([(t.sperm_id, t.x, t.y, t.state) for t in found.tracks])
            answers.append(rows)
    assert len(answers[0]) == 493
    for ours, theirs in zip(*answers, strict=True):
        assert [(r[0], r[3]) for r in ours] == [(r[0], r[3]) for r in theirs]
        for one, two in zip(ours, theirs, strict=True):
            assert one[1:3] == pytest.approx(two[1:3], abs=0.05)


def test_auto_is_opencv() -> None:
    assert isinstance(matcher_for(TrackerSettings()), OpenCvMatcher)
