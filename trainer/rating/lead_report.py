"""Everything that the lead's page shows, in one message: progress, agreement, raters, clips, advice, log, refusals.

It reads the database with a connection of its own; it draws nothing.
"""

from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from station.notice import NOTICE
from station.transport.messages import GRADES
from trainer.rating.agreement import alpha, fleiss, grid, pairs
from trainer.rating.habits import Habit, consistency, division, habits
from trainer.rating.orders import Kind
from trainer.rating.records import KeptVote, RaterRow
from trainer.rating.stopping import SETTLED_POINTS, advise
from trainer.rating.store import Store, now_ms
from trainer.rating.study import Study

MOST_SPLIT: Final = 12
MOST_LOG: Final = 30


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RaterLine(_Message):
    """One rater."""

    rater: str
    origin: str
    link: str
    browsers: int
    items: int
    """Clips in the order, repeats and calibration included."""
    done: int
    votes: int
    unjudged: int
    leaning: float | None
    spread: float | None
    seconds: float | None
    repeats: int
    same: float | None
    near: float | None
    pair_kappa: float | None
    """Median of the weighted kappas with the others."""


class ClipLine(_Message):
    """One clip."""

    clip: str
    votes: list[int]
    unjudged: int
    split: float | None
    """Standard deviation of its grades, in steps."""


class PairLine(_Message):
    """Two raters."""

    one: str
    other: str
    clips: int
    same: float
    kappa: float | None


class MovementLine(_Message):
    """What more raters would change, in percentage points."""

    more: int
    clip_points: float
    mean_points: float | None


class LeadReport(_Message):
    """The lead's page."""

    notice: str = NOTICE
    title: str
    closed: bool
    grades: list[str]
    words: list[str]
    votes: int
    clips_done: int
    """Clips with as many votes as are wanted, grades or "can't be judged"."""
    clips: int
    wanted: int
    """Votes a clip."""
    unjudged: int
    aside: int
    """Acts that are kept and do not count."""
    alpha: float | None
    kappa: float | None
    kappa_clips: int
    repeats: int
    same: float | None
    near: float | None
    mean: list[float]
    """Mean distribution over clips."""
    seconds: list[float]
    """Deciles of the time a clip, 10 % to 90 %; empty where there are none."""
    raters: list[RaterLine]
    pairs: list[PairLine]
    clip_lines: list[ClipLine]
    split: list[str]
    """Clips that divide the panel most."""
    movements: list[MovementLine]
    settled_at: int | None
    settled_points: float = SETTLED_POINTS
    log: list[tuple[int, str]]
    refusals: list[tuple[int, str, str, int]]


def lead_report(path: Path, study: Study) -> LeadReport:
    """Compute the report of a study now."""
    with Store(path) as store:
        votes, rows, clips = store.votes(), store.raters(now_ms()), store.clips()
        log, refusals, closed, aside = store.log(), store.refusals(), store.closed, store.aside
    found = grid(votes)
    counts = dict(zip(found.clips, found.counts.tolist(), strict=True))
    totals = found.counts.sum(axis=1)
    kappa, kappa_clips = fleiss(found.counts)
    again = consistency(found, grid(votes, Kind.REPEAT), found.raters)
    compared = pairs(found)
    advice = advise(found)
    calibration = {one.clip for one in study.calibration}
    asked = sorted(clip for clip, (_, is_in) in clips.items() if is_in and clip not in calibration)
    invited = sum(row.link in ("open", "expired") for row in rows)
    wanted = invited if study.raters_per_clip == "all" else study.raters_per_clip
    divided = dict(zip(found.clips, division(found.counts).tolist(), strict=True))
    unjudged = [vote for vote in votes if vote.reason and vote.kind == Kind.CLIP.value]
    missing = {clip: sum(vote.clip == clip for vote in unjudged) for clip in {vote.clip for vote in unjudged}}
    split = sorted((clip for clip in asked if divided.get(clip, 0) > 0), key=lambda clip: -divided[clip])
    seconds = [vote.shown_ms / 1000 for vote in votes if vote.shown_ms]
    kappas: dict[str, list[float]] = {}
    for one in compared:
        for name in (one.one, one.other):
            if one.kappa is not None:
                kappas.setdefault(name, []).append(one.kappa)
    return LeadReport(
        title=study.title,
        closed=closed,
        grades=list(GRADES),
        words=[study.words_of(grade) for grade in GRADES],
        votes=int(totals.sum()),
        clips=len(asked),
        clips_done=sum(sum(counts.get(clip, ())) + missing.get(clip, 0) >= max(1, wanted) for clip in asked),
        wanted=wanted,
        unjudged=len(unjudged),
        aside=aside,
        alpha=alpha(found.steps),
        kappa=kappa,
        kappa_clips=kappa_clips,
        repeats=again.repeats,
        same=again.same,
        near=again.near,
        mean=(found.counts / totals[:, None]).mean(axis=0).tolist() if len(totals) else [],
        seconds=[round(float(value), 2) for value in np.percentile(seconds, range(10, 100, 10))] if seconds else [],
        raters=_rater_lines(rows, votes, kappas),
        pairs=[PairLine(one=p.one, other=p.other, clips=p.clips, same=p.same, kappa=p.kappa) for p in compared],
        clip_lines=[
            ClipLine(
                clip=clip,
                votes=counts.get(clip, [0] * len(GRADES)),
                unjudged=missing.get(clip, 0),
                split=None if np.isnan(divided.get(clip, np.nan)) else divided[clip],
            )
            for clip in asked
        ],
        split=split[:MOST_SPLIT],
        movements=[
            MovementLine(more=one.more, clip_points=one.clip_points, mean_points=one.mean_points)
            for one in (advice.movements if advice else ())
        ],
        settled_at=advice.settled_at if advice else None,
        log=log[-MOST_LOG:],
        refusals=refusals[:MOST_LOG],
    )


def _rater_lines(rows: list[RaterRow], votes: list[KeptVote], kappas: dict[str, list[float]]) -> list[RaterLine]:
    known: dict[str, Habit] = {one.rater: one for one in habits(votes, [row.name for row in rows])}
    return [
        RaterLine(
            rater=row.name,
            origin=row.origin,
            link=row.link,
            browsers=row.browsers,
            items=row.items,
            done=sum(vote.rater == row.name for vote in votes),
            votes=(habit := known[row.name]).votes,
            unjudged=habit.unjudged,
            leaning=habit.leaning,
            spread=habit.spread,
            seconds=habit.seconds,
            repeats=habit.consistency.repeats,
            same=habit.consistency.same,
            near=habit.consistency.near,
            pair_kappa=float(np.median(kappas[row.name])) if row.name in kappas else None,
        )
        for row in rows
    ]
