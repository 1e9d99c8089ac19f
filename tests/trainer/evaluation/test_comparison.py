"""Statistics over folds: equal to SciPy's and to a textbook's worked example."""

import math

import pytest

stats = pytest.importorskip("scipy.stats", reason="comparing folds needs SciPy")

from trainer.evaluation.comparison import compare_folds, spread  # noqa: E402

OURS = (1.104, 1.087, 1.131, 1.052, 1.146)
THEIRS = (1.186, 1.120, 1.241, 1.101, 1.139)


def test_mean_and_deviation_are_scipys() -> None:
    found = spread(OURS)
    assert found.mean == pytest.approx(stats.tmean(OURS), rel=1e-12)
    assert found.sd == pytest.approx(stats.tstd(OURS), rel=1e-12)
    assert math.isnan(spread([1.0]).sd)


def test_kruskal_wallis_is_scipys_and_the_formulas() -> None:
    found = compare_folds(OURS, THEIRS, lower_is_better=True)
    assert found.p == pytest.approx(stats.kruskal(OURS, THEIRS).pvalue, rel=1e-12)
    # By hand: ranks of ours 1, 2, 4, 6, 8... of all ten; H = 12 / (n (n + 1)) sum R^2 / m - 3 (n + 1).
    ranks = {value: rank for rank, value in enumerate(sorted((*OURS, *THEIRS)), start=1)}
    sums = [sum(ranks[value] for value in group) for group in (OURS, THEIRS)]
    h = 12 / (10 * 11) * sum(total**2 / 5 for total in sums) - 3 * 11
    assert found.p == pytest.approx(math.erfc(math.sqrt(h / 2)), rel=1e-9)  # chi-square of one degree of freedom
    assert (found.wins, found.losses) == (4, 1)


def test_three_folds_cannot_say_more_than_this() -> None:
    found = compare_folds((1, 2, 3), (4, 5, 6), lower_is_better=True)
    assert found.p == found.least_p == pytest.approx(0.0495346, abs=1e-6)
    assert (found.wins, found.losses) == (3, 0)
    higher = compare_folds((1, 2, 3), (4, 5, 6), lower_is_better=False)
    assert (higher.wins, higher.losses) == (0, 3)


def test_ties_and_equal_values() -> None:
    found = compare_folds((1, 2, 2), (2, 2, 3), lower_is_better=True)
    assert found.p == pytest.approx(stats.kruskal((1, 2, 2), (2, 2, 3)).pvalue, rel=1e-12)
    assert (found.wins, found.losses) == (2, 0)
    same = compare_folds((1, 1), (1, 1), lower_is_better=True)
    assert (same.p, same.wins, same.losses) == (1.0, 0, 0)
