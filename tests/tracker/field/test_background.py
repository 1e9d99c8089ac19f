"""The rolling median and the field that moves under it."""

import itertools

import cv2
import numpy as np
import pytest

from tracker.field.background import BANDS, Background


@pytest.mark.parametrize("samples", [3, 9, 31])
def test_is_the_median_of_the_last_samples(samples: int) -> None:
    rng = np.random.default_rng(5)
    frames = rng.integers(1, 255, (50, 24, 20)).astype(np.uint8)
    background = Background(24, 20, samples, 1)
    background.restart(frames[0])
    for k in range(1, len(frames)):
        background.add(frames[k])
        known = np.sort(frames[max(0, k - samples + 1) : k + 1], axis=0)
        low, high = known[(len(known) - 1) // 2], known[len(known) // 2]
        found = background.image()
        assert np.all((low <= found) & (found <= high)), f"frame {k}"


def test_each_row_is_sampled_once_per_stride() -> None:
    background = Background(64, 8, 3, 4)
    background.restart(np.full((64, 8), 10, np.uint8))
    for _ in range(4 * 2):
        background.add(np.full((64, 8), 90, np.uint8))
    assert np.all(background.image() == 90), "two samples of three are new"


def test_dense_samples_every_row_at_once() -> None:
    background = Background(64, 8, 3, 4)
    background.restart(np.full((64, 8), 10, np.uint8))
    for _ in range(2):
        background.add(np.full((64, 8), 90, np.uint8), dense=True)
    assert np.all(background.image() == 90)


def test_moves_with_the_field_in_whole_pixels_exactly() -> None:
    rng = np.random.default_rng(1)
    world = rng.integers(0, 256, (300, 300)).astype(np.uint8)
    x, y = 120, 130
    background = Background(48, 40, 9, 2)
    background.restart(world[y : y + 48, x : x + 40])
    for _ in range(60):
        dx, dy = rng.integers(-6, 7, 2).tolist()
        x, y = x - dx, y - dy
        frame = world[y : y + 48, x : x + 40]
        background.move(dx, dy, frame)
        background.add(frame)
        assert np.array_equal(background.image(), frame)


def test_moves_by_parts_of_a_pixel() -> None:
    ramp = np.tile(np.arange(0, 200, 4, dtype=np.uint8), (30, 1))
    background = Background(30, 50, 3, 1)
    background.restart(ramp)
    background.move(0.25, 0.0, ramp)
    assert np.allclose(background.image()[:, 2:-2].astype(int), ramp[:, 2:-2].astype(int) - 1)


def test_a_move_beyond_the_frame_starts_again() -> None:
    background = Background(30, 50, 3, 1)
    background.restart(np.full((30, 50), 10, np.uint8))
    background.move(60.0, 0.0, np.full((30, 50), 80, np.uint8))
    assert np.all(background.image() == 80)


def test_a_table_remaps_all_samples() -> None:
    background = Background(16, 16, 5, 1)
    background.restart(np.full((16, 16), 50, np.uint8))
    background.remap(np.minimum(255, 2 * np.arange(256)).astype(np.uint8))
    background.add(np.full((16, 16), 100, np.uint8))
    assert np.all(background.image() == 100)


def test_what_was_never_sampled_counts_as_black_and_white_in_turn() -> None:
    """Every sample kept and sorted anew, as the median is defined, beside planes that come alive one by one."""
    rng = np.random.default_rng(3)
    height, width, samples, stride = 40, 12, 9, 3
    background = Background(height, width, samples, stride)
    ring = np.zeros((samples, height, width), np.uint8)
    edges = np.linspace(0, height, min(BANDS, height) + 1).round().astype(int)
    slot = 0
    for k in range(150):
        frame = rng.integers(0, 256, (height, width)).astype(np.uint8)
        if k in (0, 5, 40, 41):
            background.restart(frame)
            for age in range(samples):
                ring[(slot + age) % samples] = 255 * (age % 2)
            ring[slot - 1] = frame
        if k in (50, 90):
            table = np.sort(rng.integers(0, 256, 256)).astype(np.uint8)
            background.remap(table)
            ring = table[ring]
        dense = 5 <= k < 9
        background.add(frame, dense=dense)
        for band, (top, bottom) in enumerate(itertools.pairwise(edges)):
            if dense or band % stride == k % stride:
                ring[slot, top:bottom] = frame[top:bottom]
        if dense or k % stride == stride - 1:
            slot = (slot + 1) % samples
        assert np.array_equal(background.image(), np.sort(ring, axis=0)[samples // 2]), f"frame {k}"


@pytest.mark.parametrize("stride", [1, 4, 13])
def test_a_moved_picture_is_the_same_however_little_of_it_is_made_anew(stride: int) -> None:
    rng = np.random.default_rng(stride)
    height, width = 97, 61
    frames = rng.integers(0, 256, (120, height, width)).astype(np.uint8)
    background = Background(height, width, 9, stride)
    background.restart(frames[0])
    x = y = 0.0
    for number, frame in enumerate(frames):
        if number % 11 == 5:
            dx, dy = rng.uniform(-40, 40, 2).tolist()
            x, y = x + dx, y + dy
            background.move(dx, dy, frame)
        background.add(frame, dense=number == 60)
        if number % 3:
            continue
        forward = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
        whole = cv2.warpAffine(background._median, forward, (width, height), borderMode=cv2.BORDER_WRAP)
        np.testing.assert_array_equal(background.image(), whole if number > 4 else background._median, str(number))
