"""What is drawn as a sperm: normal ranges, severity, reproducibility."""

import itertools
from dataclasses import fields

import numpy as np
import pytest

from capture.simulator.sperm import NORMAL_RANGES, Sperm, sample_sperm


def deviations(sperm: Sperm) -> int:
    """Return how many criteria lie outside their normal range."""
    return sum(not low <= getattr(sperm, name) <= high for name, (low, high) in NORMAL_RANGES.items())


def mean_deviations(severity: float) -> float:
    rng = np.random.default_rng(7)
    return float(np.mean([deviations(sample_sperm(rng, severity)) for _ in range(300)]))


def test_each_field_but_contrast_is_a_criterion_with_a_normal_range():
    assert {f.name for f in fields(Sperm)} - {"contrast"} == set(NORMAL_RANGES)


def test_sound_sperm_are_within_normal_ranges_almost_everywhere():
    assert mean_deviations(0.0) < 0.4


def test_more_severity_means_more_abnormal_criteria():
    counts = [mean_deviations(s) for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert all(a + 1 < b for a, b in itertools.pairwise(counts))


def test_severe_sperm_swim_slowly_and_sound_ones_do_not():
    rng = np.random.default_rng(3)
    assert min(sample_sperm(rng, 0.0).speed_um_s for _ in range(200)) >= 25
    assert np.mean([sample_sperm(rng, 1.0).speed_um_s for _ in range(200)]) < 10


def test_sperm_of_one_severity_differ_in_what_is_wrong():
    rng = np.random.default_rng(5)
    patterns = set()
    for _ in range(50):
        sperm = sample_sperm(rng, 0.5)
        patterns.add(tuple(low <= getattr(sperm, name) <= high for name, (low, high) in NORMAL_RANGES.items()))
    assert len(patterns) > 40


@pytest.mark.parametrize("severity", [None, 0.0, 0.5, 1.0])
def test_dimensions_stay_physical(severity):
    rng = np.random.default_rng(11)
    for _ in range(500):
        sperm = sample_sperm(rng, severity)
        assert 1.1 < sperm.head_width_um < 6
        assert 1.7 < sperm.head_length_um < 9
        assert sperm.tail_length_um > 3
        assert sperm.midpiece_length_um > 1
        assert sperm.midpiece_width_um > 0.3
        assert 0 <= sperm.vacuole_share <= 0.5
        assert sperm.vacuoles > 0 or sperm.vacuole_share == 0
        assert 0 <= sperm.head_taper <= 1
        assert 0 <= sperm.acrosome_share <= 1
        assert sperm.head_asymmetry < 0.9
        assert sperm.speed_um_s >= 0
        assert sperm.beat_hz >= 0
        assert sperm.contrast > 0


def test_the_same_seed_gives_the_same_sperm():
    assert sample_sperm(np.random.default_rng(4)) == sample_sperm(np.random.default_rng(4))
    assert sample_sperm(np.random.default_rng(4)) != sample_sperm(np.random.default_rng(5))


@pytest.mark.parametrize("severity", [-0.1, 1.1, float("nan")])
def test_severity_outside_0_to_1_is_refused(severity):
    with pytest.raises(ValueError, match="severity"):
        sample_sperm(np.random.default_rng(0), severity)
