"""Distances between grade distributions, natural logarithm; grades along the last axis.

The trainer's scores and the engine's comparison of two models are the same figures because both are these functions.
The differentiable losses of the training are in ``trainer.model.losses``.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def mse(predicted: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Return the squared differences averaged over the grades: (..., C) and (..., C) give (...)."""
    return np.asarray(np.square(np.subtract(predicted, target)).mean(axis=-1), np.float64)


def js(predicted: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Return the Jensen-Shannon divergence: KL(p, m) / 2 + KL(q, m) / 2 with m = (p + q) / 2.

    The authors' code has KL(p, m) + KL(q, m) / 2, by a missing bracket.
    """
    p, q = np.asarray(predicted, np.float64), np.asarray(target, np.float64)
    middle = (p + q) / 2
    return np.asarray((_kl(p, middle) + _kl(q, middle)) / 2, np.float64)


def emd(predicted: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """Return the earth mover's distance on the scale of the grades: neighbours are 1 apart, A and E are 4 apart."""
    return np.asarray(np.abs(np.cumsum(np.subtract(predicted, target), axis=-1)).sum(axis=-1), np.float64)


def _kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums of p log(p / q), where 0 log 0 is 0."""
    terms = np.zeros_like(p)
    some = p > 0
    terms[some] = p[some] * np.log(p[some] / q[some])
    return np.asarray(terms.sum(axis=-1), np.float64)
