"""Is it enough? How much the distributions would still move if more raters voted.

For a clip with n votes of independent raters, the share p of a grade moves, when m more vote, by a random amount whose
variance is p (1 - p) (1/n - 1/(n + m)); p (1 - p) is estimated without bias as n / (n - 1) times that of the observed
share. A rater's votes on different clips hang together (somebody is strict), so the mean over all clips moves with the
number of raters, not of votes: its variance is taken from the raters' own mean distributions, each weighted by the
rater's votes, because somebody who has graded one clip says little about himself or herself.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.transport.messages import GRADES
from trainer.rating.agreement import Grid

MORE: Final = (1, 5, 10, 20)
SETTLED_POINTS: Final = 1.0
MOST_RATERS: Final = 200


@dataclass(frozen=True, slots=True)
class Movement:
    """What more raters would change, root mean square, in percentage points of one grade's share."""

    more: int
    clip_points: float
    """Of one clip's distribution, on average over clips and grades."""
    mean_points: float | None
    """Of the mean distribution of all clips; None below three raters."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Movements, and how many raters a clip needs until five more change little."""

    votes_per_clip: float
    movements: tuple[Movement, ...]
    settled_at: int | None
    """Votes a clip from which five more move it by less than SETTLED_POINTS; None: more than MOST_RATERS."""


def advise(found: Grid) -> Advice | None:
    """Return what more raters would change; None while no clip has two votes."""
    counts = found.counts
    totals = counts.sum(axis=1)
    several = totals >= 2
    if not several.any():
        return None
    counts, totals = counts[several], totals[several]
    variance = _variance(counts, totals)
    between = _between_raters(found.steps)
    own = (~np.isnan(found.steps)).sum(axis=1)
    raters = float(own.sum() ** 2 / (own**2).sum())  # as many as if all had voted equally often
    movements = tuple(_movement(variance, totals, between, raters, more) for more in MORE)
    typical = float(variance.mean())
    settled = next(
        (n for n in range(2, MOST_RATERS + 1) if 100 * np.sqrt(typical * (1 / n - 1 / (n + 5))) < SETTLED_POINTS), None
    )
    return Advice(float(totals.mean()), movements, settled)


def _variance(counts: NDArray[np.int64], totals: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N,) variance of one vote for a grade, averaged over grades, unbiased."""
    observed = counts / totals[:, None]
    return np.asarray((observed * (1 - observed)).mean(axis=1) * totals / (totals - 1), np.float64)


def _between_raters(steps: NDArray[np.float64]) -> float | None:
    """Return the variance between the raters' own mean distributions, averaged over grades, weighted by votes."""
    if len(steps) < 3:
        return None
    own = np.stack([[(row == grade).sum() for grade in range(len(GRADES))] for row in steps]).astype(float)
    weight = own.sum(axis=1)
    own /= weight[:, None]
    weight /= weight.sum()
    apart = weight @ (own - weight @ own) ** 2 / (1 - (weight**2).sum())
    return float(apart.mean())


def _movement(
    variance: NDArray[np.float64], totals: NDArray[np.int64], between: float | None, raters: float, more: int
) -> Movement:
    """Return what ``more`` raters on every clip would change."""
    clip = 100 * float(np.sqrt((variance * (1 / totals - 1 / (totals + more))).mean()))
    mean = None if between is None else 100 * float(np.sqrt(between * (1 / raters - 1 / (raters + more))))
    return Movement(more, clip, mean)
