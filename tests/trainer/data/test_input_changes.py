"""Ablations remove what they name, and nothing else changes."""

import numpy as np
import pytest

from trainer.data.input_changes import INPUT_CHANGES, blank_head, blank_rest, freeze

RADIUS = 6.0


@pytest.fixture
def clip() -> np.ndarray:
    """Noise around 90 with a bright head in the middle and a bright dot far from it."""
    frames = np.random.default_rng(0).normal(90, 3, (5, 41, 41))
    frames[:, 18:23, 17:24] = 250
    frames[:, 3:6, 3:6] = 250
    return np.clip(frames, 0, 255).astype(np.uint8)


def disc() -> np.ndarray:
    rows, columns = np.indices((41, 41))
    return np.hypot(rows - 20, columns - 20) <= RADIUS


def test_freeze_repeats_the_middle_frame(clip: np.ndarray) -> None:
    frozen = freeze(clip, RADIUS, 1)
    assert frozen.shape == clip.shape
    assert (frozen == clip[2]).all()


def test_a_blanked_head_looks_like_the_medium_round_it(clip: np.ndarray) -> None:
    blank = blank_head(clip, RADIUS, 1)
    np.testing.assert_array_equal(blank[:, ~disc()], clip[:, ~disc()])
    inside = blank[:, disc()]
    assert inside.max() < 105
    assert inside.min() > 75
    assert inside.std() > 0.5  # not a flat patch


def test_a_blanked_rest_leaves_the_head_alone(clip: np.ndarray) -> None:
    blank = blank_rest(clip, RADIUS, 1)
    np.testing.assert_array_equal(blank[:, disc()], clip[:, disc()])
    assert blank[:, ~disc()].max() < 105


@pytest.mark.parametrize("name", INPUT_CHANGES)
def test_the_clip_itself_stays_and_the_seed_decides(clip: np.ndarray, name: str) -> None:
    before = clip.copy()
    first, again, other = (INPUT_CHANGES[name](clip, RADIUS, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(clip, before)
    np.testing.assert_array_equal(first, again)
    assert (name == "freeze") == bool((first == other).all())
