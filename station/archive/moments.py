"""What stood on the screen at a moment of a session: each sperm, its newest grade, its age and what it was worth.

By the same rules as the screen itself (``station.dashboard.assessment``), from the times in the record: what had been
published by then, nothing that came later.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from station.archive.story import SpermStory, Story
from station.clock import NS_PER_S
from station.dashboard.assessment import GradeValidity, grade_validity
from station.transport.messages import GRADES, STALE_S, GradeInfo, TrackInfo

MARK: Final = re.compile(r"sperm (\d+) marked as chosen(?:: (.*?))?(?: \(grades are shown now\))?$", re.DOTALL)
GONE_S: Final = 1.0
"""A sperm without a track for so long by then was not on the screen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One sperm as it stood on the screen."""

    sperm_id: int
    track: TrackInfo
    grade: GradeInfo | None
    """The newest that had been published."""
    age_s: float | None
    """Of that grade: since the exposure of its newest frame."""
    validity: GradeValidity


@dataclass(frozen=True, slots=True)
class Choice:
    """A sperm was marked as chosen."""

    t_ns: int
    t_s: float
    """As ``Story.t_s``; of the newest frame by then."""
    sperm_id: int
    note: str
    asked_by: str
    blind: bool
    """Grades were hidden then: what is in ``seen`` was known to the model, and to nobody else."""
    seen: tuple[Seen, ...]
    """Everything on the screen then, by number."""

    @property
    def chosen(self) -> Seen | None:
        """The chosen one as it stood there; None where it was not tracked."""
        return next((one for one in self.seen if one.sperm_id == self.sperm_id), None)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which a sperm's newest grade was worth the same; seconds as ``Story.t_s``."""

    from_s: float
    to_s: float
    validity: GradeValidity


def choices(story: Story) -> list[Choice]:
    """Return what was marked as chosen, in order."""
    found: list[Choice] = []
    for action in story.actions:
        mark = MARK.match(action.details) if action.name == "mark" else None
        if mark is None:
            continue
        frame = story.frame_at(action.t_ns)
        found.append(
            Choice(
                t_ns=action.t_ns,
                t_s=0.0 if frame is None else story.t_s(frame),
                sperm_id=int(mark[1]),
                note=mark[2] or "",
                asked_by=action.asked_by,
                blind=blind_at(story, action.t_ns),
                seen=on_screen(story, action.t_ns),
            )
        )
    return found


def blind_at(story: Story, t_ns: int) -> bool:
    """Return whether grades were hidden at a moment of the station clock."""
    blind = bool(story.start.config.get("blind"))
    for action in story.actions:
        if action.t_ns < t_ns and action.name in ("blind", "unblind"):
            blind = action.name == "blind"
    return blind


def on_screen(story: Story, t_ns: int) -> tuple[Seen, ...]:
    """Return what stood on the screen at a moment of the station clock, by the sperm's numbers."""
    seen: list[Seen] = []
    for sperm_id, sperm in sorted(story.sperm.items()):
        times = [point.t_shown_ns for point in sperm.points]
        newest = bisect_right(times, t_ns) - 1
        if newest < 0 or (newest + 1 == len(times) and t_ns - times[newest] > GONE_S * NS_PER_S):
            continue
        track = sperm.points[newest].track
        grade = max(
            (one for one in sperm.grades if one.trace.t_grade_ns <= t_ns), key=lambda one: one.frame_seq, default=None
        )
        age_s = None if grade is None else max(0.0, (t_ns - grade.trace.t_exposure_ns) / NS_PER_S)
        seen.append(Seen(sperm_id, track, grade, age_s, _validity(story, track, grade, t_ns)))
    return tuple(seen)


def spans(story: Story, sperm: SpermStory) -> list[Span]:
    """Return what a sperm's newest grade was worth over time, frame by frame as on the screen."""
    grades = sorted(sperm.grades, key=lambda one: one.trace.t_grade_ns)
    found: list[Span] = []
    newest, shown = -1, None
    interval_s = 1 / story.opened.source.fps
    for point in sperm.points:
        while newest + 1 < len(grades) and grades[newest + 1].trace.t_grade_ns <= point.t_shown_ns:
            newest += 1
            if shown is None or grades[newest].frame_seq >= shown.frame_seq:
                shown = grades[newest]
        validity, t_s = _validity(story, point.track, shown, point.t_shown_ns), story.t_s(point.frame_seq)
        if found and found[-1].validity is validity and t_s - found[-1].to_s < GONE_S:
            found[-1] = Span(found[-1].from_s, t_s + interval_s, validity)
        else:
            found.append(Span(t_s, t_s + interval_s, validity))
    return [Span(a.from_s, min(a.to_s, b.from_s), a.validity) for a, b in pairwise(found)] + found[-1:]


def expected_grade(grade: GradeInfo) -> float:
    """Return the mean of a distribution, A as 0 to E as 4: lower is better."""
    return sum(place * share for place, share in enumerate(grade.grade)) / max(sum(grade.grade), 1e-9)


def shares(grade: GradeInfo) -> Iterator[tuple[str, float]]:
    """Yield the letters and their shares."""
    yield from zip(GRADES, grade.grade, strict=True)


def _validity(story: Story, track: TrackInfo, grade: GradeInfo | None, t_ns: int) -> GradeValidity:
    standing = grade_validity(track, grade, story.window_frames)
    if grade is None or standing is not GradeValidity.CURRENT or not story.live:
        return standing
    too_old = t_ns - grade.trace.t_exposure_ns > STALE_S * NS_PER_S
    return GradeValidity.STALE if too_old else GradeValidity.CURRENT
