"""The simulated raters: shares, agreement, and that they judge what they claim to judge."""

from dataclasses import replace

import numpy as np
import pytest

from capture.simulator.sperm import Sperm, sample_sperm
from trainer.data.raters import CRITERIA, TABLE_1, defect_scores, make_panel

FAULTLESS = Sperm(
    head_length_um=4.1,
    head_width_um=2.8,
    head_taper=0.05,
    head_asymmetry=0.02,
    acrosome_share=0.55,
    vacuoles=0,
    vacuole_share=0.0,
    midpiece_length_um=4.2,
    midpiece_width_um=0.6,
    midpiece_angle_deg=0.0,
    droplet_share=0.05,
    tail_length_um=48.0,
    tail_coil=0.0,
    tail_bend_deg=0.0,
    speed_um_s=65.0,
    turn_deg_s=0.0,
    wander_deg=4.0,
    sway_um=1.0,
    beat_hz=14.0,
    beat_amplitude_um=7.5,
    beat_wavelength_um=30.0,
    roll_hz=2.0,
    contrast=1.0,
)

DEFECTS = {
    "progression": {"speed_um_s": 0.0},
    "beat": {"beat_amplitude_um": 1.0},
    "path": {"turn_deg_s": -150.0},
    "tail": {"tail_coil": 1.5},
    "midpiece": {"midpiece_angle_deg": -80.0},
    "droplet": {"droplet_share": 0.75},
    "head size": {"head_length_um": 2.4, "head_width_um": 1.7},
    "head shape": {"head_taper": 0.9},
    "acrosome": {"acrosome_share": 0.0},
    "vacuoles": {"vacuoles": 4, "vacuole_share": 0.4},
}


@pytest.fixture(scope="module")
def population() -> list[Sperm]:
    rng = np.random.default_rng(0)
    return [sample_sperm(rng) for _ in range(3000)]


def votes_of(seed: int, population: list[Sperm]) -> np.ndarray:
    panel, rng = make_panel(seed), np.random.default_rng(5)
    return np.array([panel.vote(sperm, rng) for sperm in population])


def test_a_sperm_without_defects_scores_zero() -> None:
    assert defect_scores(FAULTLESS).tolist() == [0.0] * len(CRITERIA)


@pytest.mark.parametrize(("criterion", "changes"), DEFECTS.items(), ids=DEFECTS)
def test_each_defect_raises_only_the_score_of_its_name(criterion: str, changes: dict[str, float]) -> None:
    found = dict(zip(CRITERIA, defect_scores(replace(FAULTLESS, **changes)), strict=True))
    assert found.pop(criterion) == pytest.approx(1.0)
    assert set(found.values()) == {0.0}


def test_the_most_voted_grades_of_a_population_fall_near_the_papers_table(population: list[Sperm]) -> None:
    for seed in (1, 2):
        shares = np.bincount(votes_of(seed, population).argmax(axis=1), minlength=5) / len(population)
        paper = np.array(TABLE_1) / sum(TABLE_1)
        np.testing.assert_allclose(shares[:3], paper[:3], atol=0.04)
        np.testing.assert_allclose(shares[3:], paper[3:], atol=0.012)


def test_two_panels_differ_but_far_less_than_sperm_do(population: list[Sperm]) -> None:
    first, second = votes_of(1, population) / 40, votes_of(2, population) / 40
    between_panels = ((first - second) ** 2).mean()
    between_sperm = ((first - first.mean(axis=0)) ** 2).mean()
    assert 0.005 * between_sperm < between_panels < 0.1 * between_sperm


def test_raters_of_a_panel_disagree(population: list[Sperm]) -> None:
    votes = votes_of(1, population)
    assert votes.sum(axis=1).tolist() == [40] * len(population)
    assert 0.5 < (votes.max(axis=1) / 40).mean() < 0.9


def test_optical_contrast_is_no_criterion() -> None:
    np.testing.assert_array_equal(defect_scores(replace(FAULTLESS, contrast=0.7)), defect_scores(FAULTLESS))


def test_of_the_tail_only_what_the_clip_shows_counts() -> None:
    """A shorter tail whose tip is still out of view is no defect; a kink counts if it is in view."""
    tail = list(CRITERIA).index("tail")

    def defect(**changes: float) -> float:
        return float(defect_scores(replace(FAULTLESS, **changes))[tail])

    assert defect(tail_length_um=30.0) == 0.0
    assert defect(tail_length_um=10.0) == 1.0
    assert defect(tail_length_um=36.0, tail_bend_deg=110.0) > 0.7  # a third of the way along: 18 um from the head
    assert defect(tail_length_um=52.0, tail_bend_deg=110.0) == 0.0


def test_a_tail_that_stands_still_is_no_beat_however_it_is_curved() -> None:
    beat = list(CRITERIA).index("beat")
    assert defect_scores(replace(FAULTLESS, beat_hz=0.0))[beat] == 1.0
    assert defect_scores(replace(FAULTLESS, beat_hz=20.0))[beat] == 0.0
