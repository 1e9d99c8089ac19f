"""Confidence intervals of the measures, by bootstrap: how far the figures depend on which clips were scored.

Whole sources are drawn with replacement, as clips of one source are not independent; the 2.5th and 97.5th percentiles
of the measures over the draws are the interval (Efron's percentile method). It says nothing about another training.
A grade that a draw lacks does not count in its balanced accuracy, so where a grade is rare that interval is wide and
may lie above the figure itself.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.distances import emd, js, mse
from trainer.evaluation.metrics import balanced_accuracy, calibration_error, ranking

Array = NDArray[np.float64]
NOTHING: Final = 1e-12
"""Stands for 0 where something is divided by it."""
PERCENTILES: Final = (2.5, 97.5)


def intervals(
    predicted: Array, target: Array, mean: Array, sources: Sequence[str], draws: int, seed: int
) -> Mapping[str, tuple[float, float]]:
    """Return the 95 % interval of each measure by its name.

    Args:
        predicted: (N, C) of the model.
        target: (N, C) of the raters.
        mean: (N, C) of the mean predictor, for the ratios to it.
        sources: (N,) what each clip belongs to.
        draws: How often to draw.
        seed: Of the draws.
    """
    names, owner = np.unique(np.asarray(sources), return_inverse=True)
    members = np.split(np.argsort(owner, kind="stable"), np.cumsum(np.bincount(owner))[:-1])
    each = {"mse": mse(predicted, target), "js": js(predicted, target), "emd": emd(predicted, target)}
    of_mean = {"mse": mse(mean, target), "js": js(mean, target)}
    mine, theirs = ranking(predicted), ranking(target)
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for _ in range(draws):
        some = np.concatenate([members[k] for k in rng.integers(len(names), size=len(names))])
        accuracies = [balanced_accuracy(mine[some, n], theirs[some, n]) for n in range(target.shape[1])]
        values = {
            "mse_x100": 100 * each["mse"][some].mean(),
            "js_x100": 100 * each["js"][some].mean(),
            "emd": each["emd"][some].mean(),
            "calibration_error": calibration_error(predicted[some], target[some]),
            "top_grade_balanced_accuracy": accuracies[0],
            "mean_balanced_accuracy": np.mean(accuracies),
            "mse_ratio": each["mse"][some].mean() / max(of_mean["mse"][some].mean(), NOTHING),
            "js_ratio": each["js"][some].mean() / max(of_mean["js"][some].mean(), NOTHING),
        }
        for name, value in values.items():
            found.setdefault(name, []).append(float(value))
    ends = {name: np.percentile(values, PERCENTILES) for name, values in found.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}
