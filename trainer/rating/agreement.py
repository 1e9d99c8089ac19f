"""How far raters agree: Krippendorff's alpha, Fleiss' kappa, and pair by pair.

The coefficients are those of the packages ``krippendorff`` and ``statsmodels``; this module arranges the votes for them
and says None where a coefficient is not defined. It knows no database.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import krippendorff
import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa

from station.transport.messages import GRADES
from trainer.rating.orders import Kind
from trainer.rating.records import KeptVote

FEWEST_SHARED: Final = 10
"""Clips that two raters must share to be compared."""


@dataclass(frozen=True, slots=True)
class Grid:
    """One vote per rater and clip. R raters, N clips, C grades."""

    raters: tuple[str, ...]
    clips: tuple[str, ...]
    steps: NDArray[np.float64]
    """(R, N) grade as a number, 0 the best, NaN where there is none."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """(N, C) votes of each clip."""
        return np.stack([(self.steps == grade).sum(axis=0) for grade in range(len(GRADES))], axis=1).astype(np.int64)


def grid(votes: Iterable[KeptVote], kind: Kind = Kind.CLIP) -> Grid:
    """Arrange the votes of one kind; clips that can't be judged have none."""
    used = [vote for vote in votes if vote.kind == kind.value and vote.grade]
    raters, clips = (tuple(sorted({getattr(vote, name) for vote in used})) for name in ("rater", "clip"))
    steps = np.full((len(raters), len(clips)), np.nan)
    row, column = ({name: k for k, name in enumerate(names)} for names in (raters, clips))
    for vote in used:
        steps[row[vote.rater], column[vote.clip]] = GRADES.index(vote.grade)
    return Grid(raters, clips, steps)


def alpha(steps: NDArray[np.float64], level: str = "ordinal") -> float | None:
    """Return Krippendorff's alpha of (R, N) grades; None where nobody shares a clip, or all grades are the same."""
    shared = steps[:, (~np.isnan(steps)).sum(axis=0) >= 2] if steps.size else steps
    if not shared.size or len(np.unique(shared[~np.isnan(shared)])) < 2:
        return None
    domain = list(range(int(np.nanmax(shared)) + 1))
    return float(krippendorff.alpha(reliability_data=shared, level_of_measurement=level, value_domain=domain))  # type: ignore[arg-type]


def fleiss(counts: NDArray[np.int64]) -> tuple[float | None, int]:
    """Return Fleiss' kappa of (N, C) votes, and of how many clips.

    It is defined for clips with equally many votes: those with the commonest number are taken.
    """
    totals = counts.sum(axis=1)
    several = totals[totals >= 2]
    if not len(several):
        return None, 0
    numbers, often = np.unique(several, return_counts=True)
    used = counts[totals == numbers[len(often) - 1 - int(np.argmax(often[::-1]))]]
    if (used.sum(axis=0) > 0).sum() < 2:
        return None, len(used)
    return float(fleiss_kappa(used, method="fleiss")), len(used)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two raters on the clips that both have graded."""

    one: str
    other: str
    clips: int
    same: float
    """Share of equal grades."""
    near: float
    """Share of grades at most one step apart."""
    kappa: float | None
    """Cohen's, weighted by the square of the steps."""


def pair(one: NDArray[np.float64], other: NDArray[np.float64], names: tuple[str, str] = ("", "")) -> Pair | None:
    """Compare two raters' (N,) grades; None where they share too few clips."""
    both = ~np.isnan(one) & ~np.isnan(other)
    if both.sum() < FEWEST_SHARED:
        return None
    a, b = one[both].astype(int), other[both].astype(int)
    apart = np.abs(a - b)
    table = np.zeros((len(GRADES), len(GRADES)))
    np.add.at(table, (a, b), 1)
    kappa = None
    if len(np.unique(a)) > 1 or len(np.unique(b)) > 1:
        kappa = float(cohens_kappa(table, wt="quadratic", return_results=False))
    return Pair(*names, len(a), float((apart == 0).mean()), float((apart <= 1).mean()), kappa)


def pairs(found: Grid) -> list[Pair]:
    """Compare every two raters that share enough clips."""
    compared = (
        pair(found.steps[i], found.steps[j], (found.raters[i], found.raters[j]))
        for i, j in itertools.combinations(range(len(found.raters)), 2)
    )
    return [one for one in compared if one is not None]
