"""How far a grade distribution is spread, and how far the three heads are apart, in numbers and in words.

Both are in steps of the scale A to E (neighbours are 1 apart).
"""

from collections.abc import Sequence

import numpy as np

from station.distances import emd

AGREED, SPLIT = 0.75, 1.05
"""Standard deviations below and above which experts are expected to agree and to be split.

All in one grade: 0; halves in two neighbours: 0.5; a third each in three neighbours: 0.82; even over all five: 1.41.
"""
HEADS_APART = 0.5
"""From this distance on the heads disagree: half the weight would have to move by one grade."""


def expected(grade: Sequence[float]) -> float:
    """Return the mean of a distribution, in steps from A: for an order, where one is asked for; shown nowhere."""
    return float(np.asarray(grade, np.float64) @ np.arange(len(grade)))


def spread(grade: Sequence[float]) -> float:
    """Return the standard deviation of a distribution over five grades, in steps."""
    shares = np.asarray(grade, np.float64)
    steps = np.arange(len(shares))
    mean = float(shares @ steps)
    return float(np.sqrt(max(0.0, float(shares @ (steps - mean) ** 2))))


def spread_in_words(steps: float) -> str:
    """Return what a spread says about the experts."""
    if steps <= AGREED:
        return "agreed"
    return "split" if steps >= SPLIT else "mixed"


def heads_apart(heads: Sequence[Sequence[float]]) -> float:
    """Return the largest distance between two of the heads: earth mover's distance, in steps."""
    pairs = [(i, j) for i in range(len(heads)) for j in range(i)]
    return max((float(emd(heads[i], heads[j])) for i, j in pairs), default=0.0)


def heads_in_words(steps: float | None) -> str:
    """Return whether the heads agree; None: the network has not the three, and there is nothing to compare."""
    if steps is None:
        return "no heads to compare"
    return "heads disagree" if steps >= HEADS_APART else "heads agree"
