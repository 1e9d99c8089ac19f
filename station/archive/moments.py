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
from station.transport.control_messages import ActionHeader
from station.transport.messages import GRADES, STALE_S, GradeInfo, TrackInfo

MARK: Final = re.compile(r"sperm (\d{1,18}) marked as chosen(?:: (.*?))?(?: \(grades are shown now\))?$", re.DOTALL)
"""What a mark says in sessions whose actions have no number of the sperm."""
HIDING_S: Final = 1.0
"""So long after it was asked to, the engine withholds grades for certain."""
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
    """No grade of a candidate was shown by then: what is in ``seen`` was known to the model, and to nobody else."""
    hidden_since_s: float | None
    """Where the choice is not blind and grades were hidden at the mark: since when, as ``t_s``."""
    earlier: frozenset[int]
    """Sperm that were marked earlier in the session: no candidates any more."""
    seen: tuple[Seen, ...]
    """Everything on the screen then, by number."""

    @property
    def candidates(self) -> tuple[Seen, ...]:
        """What could be chosen: everything on the screen that had not been marked."""
        return tuple(one for one in self.seen if one.sperm_id not in self.earlier)

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
    earlier: set[int] = set()
    for action in story.actions:
        mark = _marked(action)
        if mark is None:
            continue
        sperm_id, note = mark
        seen = on_screen(story, action.t_ns)
        candidates = {sperm_id} | {one.sperm_id for one in seen if one.sperm_id not in earlier}
        hidden_ns = hidden_since(story, action.t_ns)
        blind = hidden_ns is not None and not any(_was_seen(story, one, hidden_ns) for one in candidates)
        found.append(
            Choice(
                t_ns=action.t_ns,
                t_s=_t_s(story, action.t_ns),
                sperm_id=sperm_id,
                note=note,
                asked_by=action.asked_by,
                blind=blind,
                hidden_since_s=None if blind or hidden_ns is None else _t_s(story, hidden_ns),
                earlier=frozenset(earlier),
                seen=seen,
            )
        )
        earlier.add(sperm_id)
    return found


def hidden_since(story: Story, t_ns: int) -> int | None:
    """Return since when grades had been hidden at a moment of the station clock; None where they were shown.

    The beginning of the session where nothing had been shown before.
    """
    since = story.began_ns if story.start.config.get("blind") else None
    for action in story.actions:
        if action.t_ns < t_ns and action.name == "unblind":
            since = None
        elif action.t_ns < t_ns and action.name == "blind" and since is None:
            since = action.t_ns
    return since


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
        seen.append(Seen(sperm_id, track, grade, age_s, worth_at(story, track, grade, t_ns)))
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
        validity, t_s = worth_at(story, point.track, shown, point.t_shown_ns), story.t_s(point.frame_seq)
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


def _marked(action: ActionHeader) -> tuple[int, str] | None:
    """Return which sperm an action marked as chosen, and the note; None where it marked none."""
    if action.name != "mark":
        return None
    if action.sperm_id is not None:
        return action.sperm_id, action.note
    mark = MARK.match(action.details)
    return None if mark is None else (int(mark[1]), mark[2] or "")


def _was_seen(story: Story, sperm_id: int, hidden_ns: int) -> bool:
    """Return whether a sperm was graded before grades were hidden; what was withheld until then is shown as well."""
    if hidden_ns == story.began_ns or sperm_id not in story.sperm:
        return False
    until_ns = hidden_ns + HIDING_S * NS_PER_S
    return any(one.trace.t_grade_ns <= until_ns for one in story.sperm[sperm_id].grades)


def _t_s(story: Story, t_ns: int) -> float:
    frame = story.frame_at(t_ns)
    return 0.0 if frame is None else story.t_s(frame)


def worth_at(story: Story, track: TrackInfo, grade: GradeInfo | None, t_ns: int) -> GradeValidity:
    """Return what a sperm's newest grade was worth at a moment of the station clock, given its track then."""
    standing = grade_validity(track, grade, story.window_frames)
    if grade is None or standing is not GradeValidity.CURRENT or not story.live:
        return standing
    too_old = t_ns - grade.trace.t_exposure_ns > STALE_S * NS_PER_S
    return GradeValidity.STALE if too_old else GradeValidity.CURRENT
