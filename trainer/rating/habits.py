"""What kind of rater somebody is: consistent, lenient or strict, generous with the ends of the scale, quick.

No rater is right or wrong; the lead sees who may have understood a grade otherwise. It knows no database.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from station.transport.messages import GRADES
from trainer.rating.agreement import Grid, grid
from trainer.rating.orders import Kind
from trainer.rating.records import KeptVote


@dataclass(frozen=True, slots=True)
class Consistency:
    """One rater, or all, on the clips that came a second time."""

    repeats: int
    same: float | None
    near: float | None
    """At most one step apart."""
    shift: float | None
    """Mean of the second grade minus the first, in steps; above 0: stricter the second time."""


@dataclass(frozen=True, slots=True)
class Habit:
    """One rater beside the others on the same clips."""

    rater: str
    votes: int
    leaning: float | None
    """Mean step above the mean of the others; above 0: stricter."""
    spread: float | None
    """Standard deviation of the rater's steps, divided by that of the others' single votes on the same clips."""
    seconds: float | None
    """Median of a clip."""
    unjudged: int
    consistency: Consistency


def habits(votes: Sequence[KeptVote], raters: Sequence[str]) -> list[Habit]:
    """Return the habits of raters, of whom some may not have begun."""
    found, again = grid(votes), grid(votes, Kind.REPEAT)
    rows = {name: k for k, name in enumerate(found.raters)}
    given = ~np.isnan(found.steps)
    totals, sums = given.sum(axis=0), np.nansum(found.steps, axis=0)
    result = []
    for rater in raters:
        own = [vote for vote in votes if vote.rater == rater]
        seconds = [vote.shown_ms / 1000 for vote in own if vote.shown_ms]
        leaning = spread = None
        if rater in rows:
            leaning, spread = _beside_others(found.steps, rows[rater], totals, sums)
        result.append(
            Habit(
                rater,
                sum(vote.kind == Kind.CLIP.value and bool(vote.grade) for vote in own),
                leaning,
                spread,
                float(np.median(seconds)) if seconds else None,
                sum(bool(vote.reason) for vote in own),
                consistency(found, again, [rater]),
            )
        )
    return result


def consistency(found: Grid, again: Grid, raters: Sequence[str]) -> Consistency:
    """Compare the second grades of some raters with their first."""
    rows = {name: k for k, name in enumerate(found.raters)}
    columns = [found.clips.index(clip) if clip in found.clips else -1 for clip in again.clips]
    shifts: list[float] = []
    for k, name in enumerate(again.raters):
        if name not in raters or name not in rows:
            continue
        first = np.array([found.steps[rows[name], at] if at >= 0 else np.nan for at in columns])
        both = again.steps[k] - first
        shifts += both[~np.isnan(both)].tolist()
    if not shifts:
        return Consistency(0, None, None, None)
    values = np.array(shifts)
    return Consistency(
        len(values), float((values == 0).mean()), float((abs(values) <= 1).mean()), float(values.mean())
    )  # fmt: skip


def shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N, C) distributions of (N, C) votes; NaN where a clip has none."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0), np.float64)


def division(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (N,) standard deviation of each clip's grades in steps: what splits the panel; NaN below two votes."""
    step = np.arange(len(GRADES))
    mean = (shares(counts) * step).sum(axis=1)
    variance = (shares(counts) * (step - mean[:, None]) ** 2).sum(axis=1)
    return np.where(counts.sum(axis=1) >= 2, np.sqrt(variance), np.nan)


def _beside_others(
    steps: NDArray[np.float64], row: int, totals: NDArray[np.int64], sums: NDArray[np.float64]
) -> tuple[float | None, float | None]:
    """Return leaning and spread of one row of (R, N) steps, of which totals and sums are those of the columns."""
    own = steps[row]
    shared = ~np.isnan(own) & (totals > 1)
    if shared.sum() < 2:
        return None, None
    others_mean = (sums[shared] - own[shared]) / (totals[shared] - 1)
    others = np.delete(steps, row, axis=0)[:, shared]
    width = float(np.nanstd(others))
    spread = float(np.std(own[shared])) / width if width > 0 else None
    return float((own[shared] - others_mean).mean()), spread
