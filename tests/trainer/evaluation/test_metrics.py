"""The measures against values computed by hand."""

import math

import numpy as np
import pytest

from trainer.evaluation import metrics

A = np.array([[1.0, 0.0, 0.0, 0.0, 0.0]])
HALF_AB = np.array([[0.5, 0.5, 0.0, 0.0, 0.0]])
E = np.array([[0.0, 0.0, 0.0, 0.0, 1.0]])

DISTANCES = {
    # name: (predicted, target, mse, js, emd)
    "equal": (HALF_AB, HALF_AB, 0.0, 0.0, 0.0),
    # m = (.75, .25): KL(A, m) = ln 4/3; KL(AB, m) = (ln 2/3 + ln 2) / 2 = ln(4/3) / 2
    "half moved one grade": (A, HALF_AB, 0.5 / 5, 0.5 * math.log(4 / 3) + 0.25 * math.log(4 / 3), 0.5),
    "nothing in common": (A, E, 2 / 5, math.log(2), 4.0),
}


@pytest.mark.parametrize(("predicted", "target", "mse", "js", "emd"), DISTANCES.values(), ids=DISTANCES)
def test_distances_are_those_worked_by_hand(
    predicted: np.ndarray, target: np.ndarray, mse: float, js: float, emd: float
) -> None:
    for p, q in ((predicted, target), (target, predicted)):
        assert metrics.mse(p, q) == pytest.approx([mse])
        assert metrics.js(p, q) == pytest.approx([js], abs=1e-12)
        assert metrics.emd(p, q) == pytest.approx([emd])


def test_entropy_of_certainty_is_zero_and_of_equal_shares_log_five() -> None:
    np.testing.assert_allclose(metrics.entropy(np.vstack([A, np.full((1, 5), 0.2)])), [0, math.log(5)], atol=1e-12)


RANKINGS = {
    "no ties": ([0.1, 0.4, 0.3, 0.15, 0.05], [1, 2, 3, 0, 4]),
    "a tie goes to the better grade": ([0.1, 0.4, 0.4, 0.1, 0.0], [1, 2, 0, 3, 4]),
    "grades without votes keep their order": ([0.0, 0.0, 1.0, 0.0, 0.0], [2, 0, 1, 3, 4]),
}


@pytest.mark.parametrize(("distribution", "order"), RANKINGS.values(), ids=RANKINGS)
def test_ranking(distribution: list[float], order: list[int]) -> None:
    assert metrics.ranking(np.array([distribution])).tolist() == [order]


def test_balanced_accuracy_is_the_mean_recall_of_the_grades_that_occur() -> None:
    true = np.array([2, 2, 2, 2, 1, 1, 4])
    predicted = np.array([2, 2, 2, 0, 1, 2, 3])
    # Grade C 3 of 4, grade B 1 of 2, grade E 0 of 1; A and D do not occur.
    assert metrics.balanced_accuracy(predicted, true) == pytest.approx((0.75 + 0.5 + 0.0) / 3)


def test_scores_of_a_worked_example_with_ties_in_the_votes() -> None:
    votes = np.array([[20, 20, 0, 0, 0], [0, 10, 30, 0, 0], [0, 0, 10, 10, 20]])
    target = votes / 40
    predicted = np.array([[0.3, 0.5, 0.2, 0.0, 0.0], [0.0, 0.25, 0.75, 0.0, 0.0], [0.0, 0.0, 0.5, 0.3, 0.2]])
    scores = metrics.score(predicted, target)
    # First clip differs by .2, 0, .2; the second is right; the third differs by .25, .05, .3.
    assert scores.mse_x100 == pytest.approx(100 * (0.04 + 0.04 + 0.0625 + 0.0025 + 0.09) / 15)
    # Cumulative differences: .2, .2, 0 and .25, .3, 0.
    assert scores.emd == pytest.approx((0.4 + 0.55) / 3)
    # Most selected: A by the tie rule, C, E; predicted B, C, C: one of three grades is found.
    assert scores.balanced_accuracy[0] == pytest.approx(1 / 3)
    # Second: B, B, C (C ties with D); predicted A, B, D: B 1 of 2, C 0 of 1.
    assert scores.balanced_accuracy[1] == pytest.approx(0.25)
    # Third: C, A, D; predicted C, A, E. Fourth: D, D, A; predicted D, D, A. Fifth: E, E, B; predicted E, E, B.
    assert scores.balanced_accuracy[2:] == pytest.approx((2 / 3, 1.0, 1.0))
    assert scores.mean_balanced_accuracy == pytest.approx((1 / 3 + 0.25 + 2 / 3 + 2) / 5)
    assert metrics.confusion(predicted, target).tolist() == [
        [0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
    ]


def test_the_other_measures_of_the_worked_example() -> None:
    votes = np.array([[20, 20, 0, 0, 0], [0, 10, 30, 0, 0], [0, 0, 10, 10, 20]])
    target = votes / 40
    predicted = np.array([[0.3, 0.5, 0.2, 0.0, 0.0], [0.0, 0.25, 0.75, 0.0, 0.0], [0.0, 0.0, 0.5, 0.3, 0.2]])
    scores = metrics.score(predicted, target)

    def term(p: float, q: float) -> float:
        middle = (p + q) / 2
        return sum(value * math.log(value / middle) / 2 for value in (p, q) if value)

    first = term(0.3, 0.5) + term(0.5, 0.5) + term(0.2, 0.0)
    third = term(0.5, 0.25) + term(0.3, 0.25) + term(0.2, 0.5)
    assert scores.js_x100 == pytest.approx(100 * (first + third) / 3)
    # Ten bins: six zeros and a .0 of the first bin; .2 .2 | .25 -> third bin; .3 .3 -> fourth; .5 .5 -> sixth; .75.
    # Gaps (sum of predictions less sum of votes): bin 3 (.2 .2 .25): .65 - .75; bin 4: .6 - .75; bin 6: 1 - .75.
    assert scores.calibration_error == pytest.approx((0.10 + 0.15 + 0.25) / 15)
    mean = -(
        (0.3 * math.log(0.3) + 0.5 * math.log(0.5) + 0.2 * math.log(0.2))
        + (0.25 * math.log(0.25) + 0.75 * math.log(0.75))
        + (0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2))
    )
    assert scores.entropy == pytest.approx(mean / 3)


def test_reliability_bins_of_the_worked_example() -> None:
    predicted = np.array([[0.0, 0.25, 0.75], [0.05, 0.0, 0.95], [0.0, 1.0, 0.0]])
    target = np.array([[0.0, 0.5, 0.5], [0.1, 0.0, 0.9], [0.0, 0.8, 0.2]])
    bins = metrics.reliability(predicted, target)
    assert [one.count for one in bins] == [5, 0, 1, 0, 0, 0, 0, 1, 0, 2]
    assert bins[0].predicted == pytest.approx(0.05 / 5)
    assert bins[0].voted == pytest.approx(0.3 / 5)
    assert (bins[1].predicted, bins[1].voted) == (0.0, 0.0)
    assert bins[9].predicted == pytest.approx(1.95 / 2)  # a certainty of 1 counts to the last bin
    assert bins[9].voted == pytest.approx(1.7 / 2)


def test_calibration_error_is_the_weighted_gap_between_predictions_and_shares() -> None:
    predicted = np.array([[0.95, 0.05], [0.95, 0.05]])
    target = np.array([[1.0, 0.0], [0.5, 0.5]])
    # Upper bin: mean .95 against .75; lower: .05 against .25.
    assert metrics.calibration_error(predicted, target) == pytest.approx(0.2)
    assert metrics.calibration_error(target, target) == 0.0


def test_reference_predictors_are_the_mean_and_the_mode_of_the_training_votes() -> None:
    train = np.array([[0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.6, 0.4, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]])
    reference = metrics.reference_predictors(train, 2)
    np.testing.assert_allclose(reference["mean distribution"], [[0, 1.6 / 3, 1.4 / 3, 0, 0]] * 2)
    assert reference["train mode"].tolist() == [[0, 1, 0, 0, 0]] * 2
