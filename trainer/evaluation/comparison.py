"""Whether one system is better than another, told by the folds that both were scored on.

The paper's way: mean and standard deviation over the folds, and a Kruskal-Wallis test of one system's folds against
another's. Beside it stands in how many folds it is better, as both saw the same folds and the test does not know that.
It knows numbers; it knows no systems and no files.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats  # type: ignore[import-untyped]


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation (n - 1) of some values; the deviation of one value alone is not a number."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One system's folds against those of another."""

    p: float
    """Kruskal-Wallis; 1 where all values are equal."""
    wins: int
    """Folds in which the first is better."""
    losses: int
    """Folds in which the second is."""
    least_p: float
    """The p that as many folds give at best, where each of the one beats each of the other."""


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation."""
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan)


def compare_folds(ours: Sequence[float], theirs: Sequence[float], *, lower_is_better: bool) -> Comparison:
    """Return the comparison of two systems' figures, fold by fold in the same order."""
    sign = 1 if lower_is_better else -1
    differences = [sign * (b - a) for a, b in zip(ours, theirs, strict=True)]
    count = len(ours)
    return Comparison(
        p=_kruskal(ours, theirs),
        wins=sum(difference > 0 for difference in differences),
        losses=sum(difference < 0 for difference in differences),
        least_p=_kruskal(range(count), range(count, 2 * count)),
    )


def _kruskal(ours: Sequence[float], theirs: Sequence[float]) -> float:
    if len({*ours, *theirs}) == 1:
        return 1.0  # SciPy divides by zero
    return float(stats.kruskal(ours, theirs).pvalue)
