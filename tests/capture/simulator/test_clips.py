"""Clips for training: reproducible, centred, and like crops of the microscope's frames."""

import cv2
import numpy as np
import pytest

from capture.simulator.clips import render_clip
from capture.simulator.microscope import SimulatedMicroscope
from capture.simulator.sperm import sample_sperm
from station.config import SimulatedSettings


def make(seed: int, **options) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return render_clip(sample_sperm(rng), rng, **options)


def test_shape_and_type():
    clip = make(1)
    assert clip.shape == (16, 150, 150)
    assert clip.dtype == np.uint8
    assert clip.flags.c_contiguous
    assert make(1, frames=5, size=64, fps=60.0, um_per_px=0.5).shape == (5, 64, 64)


def test_the_same_seed_gives_the_same_bytes():
    assert np.array_equal(make(3), make(3))
    assert not np.array_equal(make(3), make(4))


def test_the_head_stays_at_the_centre():
    offsets = []
    for seed in range(25):
        for image in make(seed, noise=0.0):
            bright = np.abs(image[45:106, 45:106].astype(float) - np.median(image))
            weights = np.clip(cv2.GaussianBlur(bright, (0, 0), 3) - 8, 0, None)
            if weights.sum() == 0:
                continue
            ys, xs = np.indices(weights.shape)
            offsets.append((float((xs * weights).sum() / weights.sum()), float((ys * weights).sum() / weights.sum())))
    assert np.median(offsets, axis=0) == pytest.approx([30, 30], abs=1.5)


def test_clips_look_like_crops_of_the_microscope():
    """Brightness, contrast and fine structure of both lie in one range, so a model trained on one works on both."""
    clips = np.array([make(seed)[0] for seed in range(40)], np.float64)
    microscope = SimulatedMicroscope(SimulatedSettings(seed=8))
    crops = []
    for number in (0, 40, 80):
        frame = microscope.render(number)
        for sperm in microscope.truth(number).sperm:
            left, top = round(sperm.x) - 75, round(sperm.y) - 75
            if left >= 0 and top >= 0 and left + 150 <= 1392 and top + 150 <= 976:
                crops.append(frame[top : top + 150, left : left + 150])
    crops = np.array(crops, np.float64)
    assert len(crops) > 20
    for name, statistic in {
        "medium": lambda p: np.median(p, axis=(1, 2)),
        "centre": lambda p: p[:, 65:86, 65:86].max(axis=(1, 2)),
        "halo": lambda p: p[:, 55:96, 55:96].mean(axis=(1, 2)),
        "fine structure": lambda p: np.abs(np.diff(p, axis=2)).mean(axis=(1, 2)),
    }.items():
        of_clips, of_crops = statistic(clips), statistic(crops)
        low, high = np.quantile(of_clips, [0.02, 0.98])
        assert low <= np.median(of_crops) <= high, name
