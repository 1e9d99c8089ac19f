"""Operator against model, over sessions: where the chosen sperm stood among those on the screen by their grades.

A choice counts where the chosen sperm and at least one other candidate had a current grade at that moment. Sperm that
were marked earlier in the session are no candidates any more; of one that was marked several times the first mark
counts. It orders by the mean of the distribution and computes shares and intervals; it judges neither side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from station.archive.moments import Choice, choices, expected_grade
from station.archive.story import Story
from station.config import REPLAY
from station.dashboard.assessment import GradeValidity

Z_95 = 1.959963984540054
MODEL_DIGITS = 8
"""Of a model's SHA-256, as on the screen."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One choice beside the model's order."""

    session: str
    operator: str
    """Pseudonym; empty where none was given."""
    t_s: float
    sperm_id: int
    blind: bool
    """No grade of a candidate had been shown by then."""
    candidates: int
    """Sperm with a current grade then, the chosen one included, those marked earlier left out."""
    rank: float | None
    """Of the chosen one, 1 is the best by mean grade; those that are equal share the mean of their places. None: the
    choice cannot be compared."""
    top: bool
    """None stood before it."""
    why_not: str
    """Why it cannot be compared; empty where it can."""
    model: str
    """First digits of its SHA-256."""
    demonstration: bool
    replay: bool
    """The session is a recorded replay."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """The choices of one operator, or of all, beside one model."""

    who: str
    model: str
    compared: int
    left_out: int
    top: int
    low: float
    high: float
    """Wilson interval of the share, 95 %."""
    chance: float
    """Share that choosing blindly among the same candidates would have."""
    mean_place: float
    """From 0, always the model's first, to 1, always its last; 0.5 by chance."""

    @property
    def share(self) -> float:
        """Of choices that were the model's first."""
        return self.top / self.compared if self.compared else 0.0


def compare(story: Story) -> list[Compared]:
    """Return the choices of a session beside the model's order."""
    found: list[Compared] = []
    for choice in choices(story):
        if choice.sperm_id in choice.earlier:
            continue
        rank, candidates, why_not = _rank(choice)
        found.append(
            Compared(
                session=story.start.session,
                operator=str(story.start.config.get("operator") or ""),
                t_s=choice.t_s,
                sperm_id=choice.sperm_id,
                blind=choice.blind,
                candidates=candidates,
                rank=rank,
                top=rank is not None and _none_before(choice),
                why_not=why_not,
                model=story.opened.model.sha256[:MODEL_DIGITS] or "none",
                demonstration=story.opened.model.demonstration,
                replay=replays(story),
            )
        )
    return found


def summarise(compared: Sequence[Compared]) -> list[Agreement]:
    """Return, model by model, the agreement of each operator, by pseudonym, and last of all together."""
    rows: list[Agreement] = []
    for model in sorted({one.model for one in compared}):
        mine = [one for one in compared if one.model == model]
        for who in sorted({one.operator for one in mine}):
            rows.append(_summary(who or "not named", model, [one for one in mine if one.operator == who]))
        rows.append(_summary("all", model, mine))
    return rows


def replays(story: Story) -> bool:
    """Return whether a session is a recorded replay: its operator may have known what was graded."""
    source = story.start.config.get("source")
    return isinstance(source, dict) and str(source.get("kind")).startswith(REPLAY)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927); from 0 to 1 where nothing was tried."""
    if trials == 0:
        return 0.0, 1.0
    share, square = successes / trials, Z_95**2
    centre = share + square / (2 * trials)
    half = Z_95 * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    below = 1 + square / trials
    return max(0.0, (centre - half) / below), min(1.0, (centre + half) / below)


def _summary(who: str, model: str, compared: Sequence[Compared]) -> Agreement:
    counted = [(one, one.rank) for one in compared if one.rank is not None]
    top = sum(one.top for one, _ in counted)
    low, high = wilson(top, len(counted))
    places = [(rank - 1) / (one.candidates - 1) for one, rank in counted]
    return Agreement(
        who=who,
        model=model,
        compared=len(counted),
        left_out=len(compared) - len(counted),
        top=top,
        low=low,
        high=high,
        chance=sum(1 / one.candidates for one, _ in counted) / len(counted) if counted else 0.0,
        mean_place=sum(places) / len(places) if places else 0.0,
    )


def _graded(choice: Choice) -> dict[int, float]:
    """Return the mean grade of each candidate whose grade was current."""
    return {
        one.sperm_id: expected_grade(one.grade)
        for one in choice.candidates
        if one.grade is not None and one.validity is GradeValidity.CURRENT
    }


def _rank(choice: Choice) -> tuple[float | None, int, str]:
    grades = _graded(choice)
    if choice.chosen is None:
        return None, len(grades), "it was not tracked then"
    if choice.sperm_id not in grades:
        return None, len(grades), f"its grade was not current: {choice.chosen.validity.value}"
    if len(grades) < 2:
        return None, len(grades), "no other candidate had a current grade"
    mine = grades[choice.sperm_id]
    before = sum(grade < mine for grade in grades.values())
    equal = sum(grade == mine for grade in grades.values())
    return before + (equal + 1) / 2, len(grades), ""


def _none_before(choice: Choice) -> bool:
    grades = _graded(choice)
    return min(grades.values()) == grades[choice.sperm_id]
