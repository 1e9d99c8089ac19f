"""The sperm in order of their expected grade: only where somebody asks for it, and ties are said to be ties.

A distribution is summed up into one number here and nowhere else. Two sperm are tied where that number differs by less
than can be told: a quarter of a grade, or what the network's own heads differ by. Only grades that hold now are ranked.
This module orders; it recommends nothing, and does not know how it is shown.
"""

from dataclasses import dataclass
from typing import Final

from station.dashboard.assessment import GradeValidity, no_grade, sperm_views, worth
from station.dashboard.snapshot import Snapshot
from station.dashboard.spread import expected, heads_apart
from station.transport.messages import Validity

TIE_STEPS: Final = 0.25
"""Difference of two expected grades, in steps, below which nothing can be told."""
HEADING: Final = "Order by expected grade, asked for; it is no recommendation"


@dataclass(frozen=True, slots=True)
class Ranking:
    """Groups of sperm, the best expected grade first; those of one group are tied."""

    groups: tuple[tuple[int, ...], ...]
    left_out: tuple[tuple[int, str], ...]
    """Those that cannot be ranked now, and why."""


def ranking(snapshot: Snapshot) -> Ranking:
    """Return the order of the sperm that have a grade which holds now."""
    found: list[tuple[float, float, int]] = []
    left_out: list[tuple[int, str]] = []
    for view in sperm_views(snapshot):
        grade, number = view.grade, view.track.sperm_id
        holds = view.validity is GradeValidity.CURRENT and grade is not None and grade.validity is Validity.VALID
        if grade is None or not holds:
            left_out.append((number, no_grade(snapshot, view) if grade is None else worth(snapshot, view)))
        else:
            found.append((expected(grade.grade), max(TIE_STEPS, heads_apart(grade.heads or ())), number))
    groups: list[list[int]] = []
    first = (0.0, 0.0)
    for place, doubt, number in sorted(found):
        if groups and place - first[0] < max(doubt, first[1]):
            groups[-1].append(number)
        else:
            groups.append([number])
            first = (place, doubt)
    return Ranking(tuple(tuple(sorted(group)) for group in groups), tuple(left_out))


def ranking_in_words(snapshot: Snapshot) -> list[str]:
    """Return the order in sentences: what it is, the places, and who has none."""
    if snapshot.blind:
        return [f"{HEADING}.", "Grades are hidden until a choice is marked."]
    found, place, places = ranking(snapshot), 1, []
    for group in found.groups:
        tied = " and ".join(f"sperm {number}" for number in group)
        places.append(f"{place}. {tied}{' (a tie: too close to tell)' if len(group) > 1 else ''}")
        place += len(group)
    lines = [f"{HEADING}.", ";  ".join(places) or "No grade holds now."]
    if found.left_out:
        lines.append("No place: " + "; ".join(f"{number} ({why})" for number, why in found.left_out))
    return lines
