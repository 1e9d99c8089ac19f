"""Bad pictures: what each frame is called, on drawn fields whose truth is known."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from capture.simulator.microscope import SimulatedMicroscope
from station.config import SimulatedSettings
from station.transport.messages import Cause
from tests.tracker.drawn_scene import HEIGHT, WIDTH, draw_frame, swim
from tracker.field.disturbances import Levels, thinned
from tracker.field.picture_watch import PictureWatch, sharpness
from tracker.matching.prepared_frame import Picture
from tracker.params import DEFAULT_PARAMS

INTERVAL_S = 0.1
HEAD_PX = 21.0


def field(number: int) -> np.ndarray:
    return draw_frame(number, [swim(number), (250 - number, 60), (90, 180)])


def blurred(number: int) -> np.ndarray:
    soft = cv2.GaussianBlur(field(number).astype(np.float32), (0, 0), 0.2 * HEAD_PX)
    soft += np.random.default_rng(number).normal(0, 2, soft.shape)
    return np.clip(soft, 0, 255).astype(np.uint8)


def sharpnesses(head_px: float) -> tuple[float, float]:
    """Return the sharpness of a field whose heads have this size, in focus and out of focus by a tenth of a head."""
    settings = SimulatedSettings(width=640, height=480, um_per_px=5.0 / head_px, sperm=16)
    clear = SimulatedMicroscope(settings).read().pixels
    blurred = cv2.GaussianBlur(clear.astype(np.float32), (0, 0), 0.1 * head_px)
    blurred += np.random.default_rng(0).normal(0, 2, clear.shape)
    pictures = clear, np.clip(blurred, 0, 255).astype(np.uint8)
    found = [sharpness(picture, head_px, DEFAULT_PARAMS.picture) for picture in pictures]
    assert found[0] is not None
    assert found[1] is not None
    return found[0], found[1]


def look(frames: list[np.ndarray], watch: PictureWatch | None = None) -> list[Picture]:
    watch = watch or PictureWatch(HEIGHT, WIDTH, DEFAULT_PARAMS.picture)
    return [watch.look(frame, Levels(thinned(frame)), INTERVAL_S, HEAD_PX) for frame in frames]


CASES: dict[str, tuple[Callable[[int], np.ndarray], tuple[Cause, ...]]] = {
    "a good field": (field, ()),
    "dark heads": (lambda k: draw_frame(k, [swim(k)], -70.0), ()),
    "an even field with noise alone": (
        lambda k: np.random.default_rng(k).normal(90, 2, (HEIGHT, WIDTH)).astype(np.uint8), ()
    ),
    "out of focus": (blurred, (Cause.FOCUS,)),
    "a tenth saturated": (lambda k: np.where(np.arange(WIDTH) < WIDTH // 10, 255, field(k)).astype(np.uint8),
                          (Cause.BRIGHT,)),
    "nearly black": (lambda k: (field(k) // 20).astype(np.uint8), (Cause.DARK,)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_with_a_picture(case: str) -> None:
    frame, faults = CASES[case]
    assert {picture.faults for picture in look([frame(k) for k in range(6)])} == {faults}


def test_the_focus_is_judged_alike_whatever_the_size_of_a_head_in_pixels() -> None:
    """A tenth of a head is 1.4 px or 2.5 px: what it rises over whole pixels alone is another share of the edge."""
    params = DEFAULT_PARAMS.picture
    found = {head_px: sharpnesses(head_px) for head_px in (12, 13, 14, 15, 16, 18, 21, 23, 25, 26, 28, 33, 40)}
    assert {size for size, (sharp, _) in found.items() if sharp < params.sharp_again} == set(), found
    assert {size for size, (_, soft) in found.items() if soft >= params.least_sharpness} == set(), found


def test_a_frozen_camera_is_known_by_the_third_equal_picture_and_no_other_field_is() -> None:
    good = [field(k) for k in range(3)]
    pictures = look([*good, *[good[-1].copy() for _ in range(3)], field(9)])
    assert [p.repeats for p in pictures] == [0, 0, 0, 1, 2, 3, 0]
    assert [p.frozen for p in pictures] == [False] * 4 + [True] * 2 + [False]
    assert pictures[3].faults == (Cause.REPEATED,)


@pytest.mark.parametrize("ring", [2, 3, 16, 60])
def test_a_camera_that_sends_its_old_buffers_in_turn_is_frozen(ring: int) -> None:
    buffers = [draw_frame(k, []) for k in range(ring)]
    pictures = look([*buffers, *buffers[:3], draw_frame(99, [])])
    assert [p.repeats for p in pictures] == [0] * ring + [1, 2, 3][: min(3, ring)] + [0]
    assert [p.frozen for p in pictures[ring:]] == [*[False, True, True][: min(3, ring)], False]


def test_frames_of_odd_size_differ_by_their_last_pixel() -> None:
    watch = PictureWatch(33, 35, DEFAULT_PARAMS.picture)
    frames = [np.full((33, 35), 90, np.uint8) for _ in range(3)]
    frames[1][-1, -1] = 91
    assert [p.repeats for p in look(frames, watch)] == [0, 0, 1]


def test_without_noise_one_moving_pixel_is_enough_to_tell_pictures_apart() -> None:
    frames = []
    for k in range(5):
        frame = np.full((HEIGHT, WIDTH), 90, np.uint8)
        frame[101, 50 + k] = 91
        frames.append(frame)
    assert [p.repeats for p in look(frames)] == [0] * 5


def test_memory_that_is_written_again_is_not_taken_for_a_frozen_camera() -> None:
    watch, memory = PictureWatch(HEIGHT, WIDTH, DEFAULT_PARAMS.picture), np.empty((HEIGHT, WIDTH), np.uint8)
    found = []
    for k in range(4):
        memory[:] = field(k)
        found += look([memory], watch)
    assert [p.repeats for p in found] == [0] * 4


def test_a_field_with_nothing_in_it_leaves_the_verdict_on_the_focus_as_it_was() -> None:
    empty = np.full((HEIGHT, WIDTH), 90, np.uint8)
    watch = PictureWatch(HEIGHT, WIDTH, DEFAULT_PARAMS.picture)
    assert Cause.FOCUS not in look([field(0), empty], watch)[-1].faults
    assert Cause.FOCUS in look([blurred(1), empty], watch)[-1].faults
    assert Cause.FOCUS not in look([field(2)], watch)[-1].faults
