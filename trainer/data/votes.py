"""Tables of votes, and how they are joined to the clips of a folder.

A table has one row per clip (``id,A,B,C,D,E``: how many raters chose each grade) or one row per vote
(``id,rater,grade``). This module knows tables, not pixels.
"""

import csv
import dataclasses
import io
from collections import Counter
from pathlib import Path
from typing import Final

from station.errors import InputError
from station.transport.messages import GRADES
from trainer.data.clip_table import parse_votes
from trainer.data.dataset import Clips

COUNTS: Final = ("id", *GRADES)
SINGLE: Final = ("id", "rater", "grade")

Votes = dict[str, tuple[int, ...]]
"""Votes (C,) by the clip's id."""


def join(clips: Clips, votes: Votes, origin: Path, *, replace: bool, leave_out: bool) -> Clips:
    """Return the clips with the votes. Raises InputError for votes of unknown clips, or for clips that have votes."""
    unknown = sorted(votes.keys() - {row.id for row in clips.rows})
    if unknown:
        raise InputError(
            f"--votes {origin}: {len(unknown)} of its ids are no clips of {clips.root}, the first is {unknown[0]!r}; "
            "give the votes on these very clips"
        )
    twice = [row.id for row in clips.rows if row.votes and votes.get(row.id, row.votes) != row.votes]
    if twice and not replace:
        raise InputError(
            f"--votes {origin}: {len(twice)} clips have other votes already, the first is {twice[0]!r}; "
            "add --replace if the new ones are to count"
        )
    rows = [dataclasses.replace(row, votes=votes.get(row.id, row.votes)) for row in clips.rows]
    kept = tuple(row for row in rows if row.votes or not leave_out)
    if not kept:
        raise InputError(f"--votes {origin}: leaves no clip with votes; do without --leave-out")
    return dataclasses.replace(clips, rows=kept)


def read_votes(path: Path) -> Votes:
    """Read a table of votes, in either form. Raises InputError with the line of the first bad row."""
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--votes {path}: cannot be read ({error}); give a CSV file") from error
    header = tuple(lines[0]) if lines else ()
    if header not in (COUNTS, SINGLE):
        raise InputError(
            f"--votes {path}, line 1: expected the columns {','.join(COUNTS)} or {','.join(SINGLE)}, "
            f"got {','.join(header) or 'nothing'}"
        )
    rows = [(number, cells) for number, cells in enumerate(lines[1:], start=2) if cells]
    for number, cells in rows:
        if len(cells) != len(header) or not cells[0]:
            raise InputError(f"--votes {path}, line {number}: expected {','.join(header)}, got {','.join(cells)}")
    votes = _counts(path, rows) if header == COUNTS else _tally(path, rows)
    if not votes:
        raise InputError(f"--votes {path}: holds no votes")
    return votes


def _counts(path: Path, rows: list[tuple[int, list[str]]]) -> Votes:
    """Return the votes of a table with one row per clip; rows whose votes are all empty are skipped."""
    votes: Votes = {}
    for number, (clip, *cells) in rows:
        counts, complaint = parse_votes(cells)
        if complaint:
            raise InputError(f"--votes {path}, line {number}: {complaint}")
        if clip in votes:
            raise InputError(f"--votes {path}, line {number}: clip {clip!r} has votes already; give one row per clip")
        if counts:
            votes[clip] = counts
    return votes


def _tally(path: Path, rows: list[tuple[int, list[str]]]) -> Votes:
    """Return the votes of a table with one row per vote."""
    seen: dict[tuple[str, str], int] = {}
    counts: dict[str, Counter[str]] = {}
    for number, (clip, rater, grade) in rows:
        if grade not in GRADES:
            raise InputError(f"--votes {path}, line {number}: grade {grade!r}; expected one of {', '.join(GRADES)}")
        if (clip, rater) in seen:
            raise InputError(
                f"--votes {path}, line {number}: rater {rater!r} graded clip {clip!r} already in line "
                f"{seen[clip, rater]}; keep one of them"
            )
        seen[clip, rater] = number
        counts.setdefault(clip, Counter())[grade] += 1
    return {clip: tuple(count[grade] for grade in GRADES) for clip, count in counts.items()}
