"""How good predicted grade distributions are: the paper's measures done right, and a few more.

Every function takes predictions and raters' distributions, both (N, C) float with rows that sum to 1, and returns plain
numbers or arrays. This module knows arithmetic; it knows no clips, no network and no files. Ties are broken as
``ranking`` says.

The paper's measures: mean squared error and Jensen-Shannon divergence (both reported times 100) and the balanced
accuracy of the n-th most selected grade, n = 1..5, with their mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.distances import emd, js, mse

Array = NDArray[np.float64]
BINS: Final = 10
"""Of the reliability diagram and the calibration error."""


def entropy(distribution: Array) -> Array:
    """Return (N,) entropies, natural logarithm."""
    return -np.asarray(
        np.where(distribution > 0, distribution * np.log(np.maximum(distribution, 1e-300)), 0).sum(axis=1)
    )


def ranking(distribution: Array) -> NDArray[np.int64]:
    """Return (N, C): the grades of each clip from the most to the least selected.

    Ties go to the better grade, in the raters' distributions as in the predicted ones. Raters tie often, and mostly at
    zero votes, so this rule matters from the third place on.
    """
    return np.asarray(np.argsort(-distribution, axis=1, kind="stable"), np.int64)


def balanced_accuracy(predicted: NDArray[np.int64], true: NDArray[np.int64]) -> float:
    """Return the mean, over the grades that occur among the true ones, of the share found. Both (N,)."""
    return float(np.mean([(predicted[true == grade] == grade).mean() for grade in np.unique(true)]))


def confusion(predicted: Array, target: Array) -> NDArray[np.int64]:
    """Return (C, C) counts of clips: row the raters' most selected grade, column the predicted one."""
    grades = target.shape[1]
    flat = ranking(target)[:, 0] * grades + ranking(predicted)[:, 0]
    return np.bincount(flat, minlength=grades * grades).reshape(grades, grades).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a reliability diagram: all probabilities of all clips that were predicted in it."""

    count: int
    predicted: float
    """Mean prediction; 0 where the bin is empty."""
    voted: float
    """Mean share of the votes."""


def reliability(predicted: Array, target: Array, bins: int = BINS) -> list[Bin]:
    """Return the bins of the predicted probabilities: equal ones from 0 to 1, the upper end counting to the last."""
    flat, votes = predicted.ravel(), target.ravel()
    which = np.clip((flat * bins).astype(int), 0, bins - 1)
    count = np.bincount(which, minlength=bins)
    sums = np.bincount(which, flat, bins), np.bincount(which, votes, bins)
    means = [np.divide(total, count, out=np.zeros(bins), where=count > 0) for total in sums]
    return [Bin(int(n), float(p), float(v)) for n, p, v in zip(count, *means, strict=True)]


def calibration_error(predicted: Array, target: Array, bins: int = BINS) -> float:
    """Return the expected calibration error of the distributions.

    The mean over the bins of ``reliability``, weighted by count, of the distance from mean prediction to mean share.
    """
    found = reliability(predicted, target, bins)
    return float(sum(one.count * abs(one.predicted - one.voted) for one in found) / predicted.size)


@dataclass(frozen=True, slots=True)
class Scores:
    """All measures of one set of predictions. Lower is better but for the accuracies."""

    mse_x100: float
    js_x100: float
    emd: float
    calibration_error: float
    balanced_accuracy: tuple[float, ...]
    """Of the n-th most selected grade, n = 1 first."""
    mean_balanced_accuracy: float
    entropy: float
    """Mean entropy of the predictions; compare it with that of the raters."""


def score(predicted: Array, target: Array) -> Scores:
    """Return all measures of predictions (N, C) against raters' distributions (N, C)."""
    mine, theirs = ranking(predicted), ranking(target)
    accuracies = tuple(balanced_accuracy(mine[:, n], theirs[:, n]) for n in range(target.shape[1]))
    return Scores(
        mse_x100=100 * float(mse(predicted, target).mean()),
        js_x100=100 * float(js(predicted, target).mean()),
        emd=float(emd(predicted, target).mean()),
        calibration_error=calibration_error(predicted, target),
        balanced_accuracy=accuracies,
        mean_balanced_accuracy=float(np.mean(accuracies)),
        entropy=float(entropy(predicted).mean()),
    )


def reference_predictors(train: Array, count: int) -> Mapping[str, Array]:
    """Return what can be predicted without looking at a clip, each as (count, C).

    Args:
        train: (M, C) distributions of the training clips.
        count: For how many clips to predict.
    """
    mode = np.zeros(train.shape[1])
    mode[np.bincount(ranking(train)[:, 0], minlength=train.shape[1]).argmax()] = 1.0
    return {
        "mean distribution": np.tile(train.mean(axis=0), (count, 1)),
        "train mode": np.tile(mode, (count, 1)),
    }
