"""The prepared field: energy, stage motion, disturbances, gaps."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from station.errors import InputError
from tracker.field.preprocessor import Preprocessor
from tracker.matching.lazy_image import LazyImage
from tracker.matching.matcher import OpenCvMatcher
from tracker.matching.prepared_frame import PreparedFrame
from tracker.params import DEFAULT_PARAMS, TrackerParams

HEIGHT, WIDTH, MARGIN = 240, 320, 340


@pytest.fixture(scope="module")
def world() -> np.ndarray:
    """A field with debris, larger than the frame, so that the stage can move over it."""
    rng = np.random.default_rng(11)
    image = np.full((HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN), 80, np.float32)
    for _ in range(900):
        centre = (int(rng.uniform(0, image.shape[1])), int(rng.uniform(0, image.shape[0])))
        cv2.circle(image, centre, int(rng.uniform(2, 6)), float(rng.uniform(30, 160)), -1)
    return cv2.GaussianBlur(image, (0, 0), 1.2)


def view(world: np.ndarray, x: float, y: float, number: int, *, head: tuple[float, float] | None = None) -> np.ndarray:
    """The frame when the stage has moved the image by (x, y), with noise and perhaps a bright head."""
    move = np.array([[1.0, 0.0, x - MARGIN], [0.0, 1.0, y - MARGIN]])
    frame = cv2.warpAffine(world, move, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
    if head is not None:
        cv2.circle(frame, (round(head[0]), round(head[1])), 5, 210.0, -1)
    noise = np.random.default_rng(number).normal(0, 2, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def run(
    frames: list[np.ndarray], interval_ms: float = 20.0, params: TrackerParams = DEFAULT_PARAMS
) -> list[PreparedFrame]:
    """The energy of each frame is computed before the next one comes, and kept."""
    field = Preprocessor(HEIGHT, WIDTH, OpenCvMatcher(), 21.0, params=params)
    results = []
    for k, frame in enumerate(frames):
        result = field.prepare(frame, frame_seq=k, t_source_ns=round(k * interval_ms * 1e6))
        results.append(replace(result, energy=LazyImage.of(result.energy.whole().copy())))
    return results


def test_energy_is_where_something_moves_and_not_where_debris_lies(world: np.ndarray) -> None:
    frames = [view(world, 0, 0, k, head=(40 + 4 * k, 120)) for k in range(50)]
    last = run(frames)[-1]
    row, column = np.unravel_index(last.energy.whole().argmax(), last.energy.shape)
    assert (column, row) == pytest.approx((40 + 4 * 49, 120), abs=3)
    assert np.median(last.energy.whole()) < last.floor
    assert last.disturbance == ""


@pytest.mark.parametrize("step", [(4.0, 0.0), (-2.5, 3.0), (0.5, -0.5)], ids=str)
def test_the_stage_is_followed(world: np.ndarray, step: tuple[float, float]) -> None:
    frames = [view(world, 0, 0, k) for k in range(20)]
    frames += [view(world, step[0] * k, step[1] * k, 20 + k) for k in range(1, 40)]
    results = run(frames)
    assert results[-1].origin == pytest.approx((39 * step[0], 39 * step[1]), abs=1.0)
    assert sum(r.disturbance == "stage moving" for r in results) > 15
    assert not any(r.unfit for r in results)
    assert np.percentile(results[-1].energy.whole(), 99) < 12, "the background moved along"


def test_a_still_stage_does_not_creep(world: np.ndarray) -> None:
    results = run([view(world, 0, 0, k, head=(40 + 4 * k, 100)) for k in range(60)])
    assert results[-1].origin == pytest.approx((0, 0), abs=0.5)


@pytest.mark.parametrize("jump", [(60.0, -40.0), (110.0, 0.0)], ids=str)
def test_a_jump_that_can_be_understood(world: np.ndarray, jump: tuple[float, float]) -> None:
    frames = [view(world, 0, 0, k) for k in range(30)] + [view(world, *jump, 30 + k) for k in range(5)]
    results = run(frames)
    assert results[30].disturbance == "stage jumped"
    assert results[30].unfit
    assert results[-1].origin == pytest.approx(jump, abs=1.0)
    assert not results[30].replaced


def test_a_jump_out_of_sight_is_another_field(world: np.ndarray) -> None:
    frames = [view(world, 0, 0, k) for k in range(30)] + [view(world, 330, 0, 30 + k) for k in range(3)]
    results = run(frames)
    assert results[30].disturbance == "field changed"
    assert results[30].replaced
    assert results[30].restarted
    assert not results[31].replaced


def test_an_exposure_change_keeps_the_background(world: np.ndarray) -> None:
    frames = [view(world, 0, 0, k) for k in range(40)]
    frames[30:] = [np.clip(f.astype(float) * 1.4 + 5, 0, 255).astype(np.uint8) for f in frames[30:]]
    results = run(frames)
    assert results[30].disturbance == "exposure changed"
    assert results[30].unfit
    assert results[32].disturbance == ""
    assert np.percentile(results[32].energy.whole(), 99) < 12


def test_a_change_of_focus_is_reported(world: np.ndarray) -> None:
    frames = [view(world, 0, 0, k) for k in range(60)]
    frames[50:] = [cv2.GaussianBlur(f, (0, 0), 4) for f in frames[50:]]
    results = run(frames)
    assert {r.disturbance for r in results[:50]} == {""}
    assert results[50].disturbance == "focus changed"
    assert not results[50].replaced


FAST_MS = 6.25
"""160 frames/s: at rest, the field is looked at with every third frame."""


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_a_fast_source_hides_no_disturbance(world: np.ndarray, phase: int) -> None:
    start = 90 + phase
    rest = [view(world, 0, 0, k) for k in range(start)]
    jumped = run([*rest, *(view(world, 60.0, -40.0, start + k) for k in range(4))], FAST_MS)
    assert {r.disturbance for r in jumped[:start]} == {""}
    assert jumped[start].disturbance == "stage jumped"
    assert jumped[-1].origin == pytest.approx((60.0, -40.0), abs=1.0)
    sent = run([*rest, *(view(world, 1.5 * k, -0.75 * k, start + k) for k in range(1, 40))], FAST_MS)
    for number, result in enumerate(sent[start:], 1):
        assert result.origin == pytest.approx((1.5 * number, -0.75 * number), abs=3.5), number
    assert sent[-1].origin == pytest.approx((58.5, -29.25), abs=1.0)
    blurred = run([*rest, *(cv2.GaussianBlur(view(world, 0, 0, k), (0, 0), 4) for k in range(6))], FAST_MS)
    assert [r.disturbance for r in blurred[start + 2 :]] == ["focus changed"] * 4


@pytest.mark.parametrize("interval_ms", [66.7, 20.4, 16.7, 12.5], ids=["15/s", "49/s", "60/s", "80/s"])
def test_up_to_80_frames_a_second_every_one_is_looked_at(world: np.ndarray, interval_ms: float) -> None:
    frames = [view(world, 0, 0, k, head=(40 + 4 * k, 120)) for k in range(12)]
    frames += [view(world, 2.5 * k, -3.0 * k, 12 + k) for k in range(1, 6)]
    always = replace(DEFAULT_PARAMS, disturbance=replace(DEFAULT_PARAMS.disturbance, look_s=0.0))
    for one, other in zip(run(frames, interval_ms), run(frames, interval_ms, always), strict=True):
        np.testing.assert_array_equal(one.energy.whole(), other.energy.whole())
        assert (one.shift, one.disturbance) == (other.shift, other.disturbance)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_frame_shows_nothing(world: np.ndarray, level: int) -> None:
    frames = [view(world, 0, 0, k) for k in range(20)]
    frames.insert(10, np.full((HEIGHT, WIDTH), level, np.uint8))
    results = run(frames)
    assert results[10].disturbance == "nothing to see"
    assert results[10].blank
    assert results[11].disturbance == ""
    assert np.percentile(results[-1].energy.whole(), 99) < 12, "it left no trace in the background"


def test_gaps_by_number_and_by_time() -> None:
    field = Preprocessor(HEIGHT, WIDTH, OpenCvMatcher(), 21.0)
    rng = np.random.default_rng(0)
    times_ms = [0, 20, 40, 60, 80, 100, 160, 180, 200]
    lost = [0, 0, 0, 0, 0, 0, 0, 2, 0]
    frames = rng.integers(60, 100, (9, HEIGHT, WIDTH)).astype(np.uint8)
    gaps = [
        field.prepare(frames[k], frame_seq=k, t_source_ns=times_ms[k] * 1_000_000, lost_before=lost[k]).gap
        for k in range(9)
    ]
    assert gaps == [False] * 6 + [True, True, False]


@pytest.mark.parametrize("every", [2, 4, 11])
def test_of_a_thinned_source_one_frame_that_is_missing_is_seen_by_its_time(every: int) -> None:
    """A camera without frame numbers does not count what it loses."""
    field = Preprocessor(HEIGHT, WIDTH, OpenCvMatcher(), 21.0)
    frames = np.random.default_rng(0).integers(60, 100, (8, HEIGHT, WIDTH)).astype(np.uint8)
    times_ms = [*range(0, 50 * every, 10 * every), *range(50 * every + 10, 80 * every + 10, 10 * every)]
    gaps = [
        field.prepare(frame, frame_seq=k, t_source_ns=t_ms * 1_000_000, every=every).gap
        for k, (frame, t_ms) in enumerate(zip(frames, times_ms, strict=True))
    ]
    assert gaps[1:] == [False] * 4 + [True] + [False] * 2


def test_a_stage_that_sets_off_fast_while_nobody_looks_is_found() -> None:
    """Little debris, much noise: what the picture differs by does not say that it moves."""
    rng = np.random.default_rng(4)
    sparse = np.full((HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN), 80, np.float32)
    for x, y in rng.uniform((60, 50), (WIDTH - 60, HEIGHT - 50), (7, 2)):
        cv2.circle(sparse, (round(x) + MARGIN, round(y) + MARGIN), 3, 100.0, -1)
    sparse = cv2.GaussianBlur(sparse, (0, 0), 1.2)
    for start in (90, 91, 92):
        frames = [view(sparse, max(0, k - start) * 9.0, 0.0, k) for k in range(start + 5)]
        last = run(frames, FAST_MS)[-1]
        assert last.origin[0] == pytest.approx(9.0 * (len(frames) - 1 - start), abs=20.0), start
        assert last.disturbance, "and said"


@pytest.mark.parametrize("shape", [(240, 321), (1, 1), (240, 320, 3)])
def test_another_size_is_refused(shape: tuple[int, ...]) -> None:
    field = Preprocessor(HEIGHT, WIDTH, OpenCvMatcher())
    with pytest.raises(InputError, match="expected 320 x 240"):
        field.prepare(np.zeros(shape, np.uint8), frame_seq=0, t_source_ns=0)


def test_no_size_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1 x 1"):
        Preprocessor(0, 10, OpenCvMatcher())
