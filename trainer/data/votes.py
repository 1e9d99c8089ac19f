"""Tables of votes, and how they are joined to the clips of a folder.

A table has one row per clip (``id,A,B,C,D,E``: how many raters chose each grade) or one row per vote
(``id,rater,grade``). This module knows tables, not pixels.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.errors import InputError
from station.files import sha256_of, write_atomically
from station.transport.messages import GRADES
from trainer.data.clip_ids import match_ids, spreadsheet_damage
from trainer.data.clip_table import parse_votes
from trainer.data.dataset import Clips, open_clips, read_hashes, write_table
from trainer.data.tables import Table, column_name, read_table

COUNTS: Final = ("id", *GRADES)
SINGLE: Final = ("id", "rater", "grade")
_RATED: Final = "rated"
"""Key of the manifest's record of what a rating study gave."""
_GRADE_COLUMNS: Final = tuple(column_name(grade) for grade in GRADES)


@dataclass(frozen=True, slots=True)
class Votes:
    """The votes that a table holds."""

    name: str
    """Of the table, as messages call it."""
    counts: Mapping[str, tuple[int, ...]]
    """(C,) by the clip's id."""
    notices: tuple[str, ...] = ()
    """How the table was read, where it is not plain."""

    def of(self, ids: Collection[str]) -> "Votes":
        """Return the votes by the ids that these clips have. Raises InputError for votes of other clips.

        An id that has lost its leading zeros in a spreadsheet is found again where only one clip can be meant.
        """
        matched = match_ids(self.counts, ids)
        unknown = sorted(self.counts.keys() - matched.keys())
        if unknown:
            example = next((text for text in unknown if spreadsheet_damage(text)), unknown[0])
            raise InputError(
                f"{self.name}: {len(unknown)} of its ids are no clips of this folder, such as {example!r}; "
                f"{spreadsheet_damage(example) or 'give the votes on these very clips'}"
            )
        counts: dict[str, tuple[int, ...]] = {}
        for text, name in matched.items():
            if name in counts:
                raise InputError(f"{self.name}: two of its ids mean clip {name!r}, one is {text!r}; keep one")
            counts[name] = self.counts[text]
        altered = [f"{text!r} is {name!r}" for text, name in matched.items() if text != name]
        notices = self.notices
        if altered:
            notices += (f"{self.name}: {len(altered)} ids are not as in clips.csv and were matched: {altered[0]} ...",)
        return Votes(self.name, counts, notices)


def join(clips: Clips, votes: Votes, *, replace: bool, leave_out: bool) -> Clips:
    """Return the clips with their votes. Raises InputError where clips have other votes already.

    Args:
        clips: The folder.
        votes: By the ids of these clips, as ``Votes.of`` returns them.
        replace: Let the new votes count where a clip has others.
        leave_out: Leave out clips that remain without votes.
    """
    twice = [row.id for row in clips.rows if row.votes and votes.counts.get(row.id, row.votes) != row.votes]
    if twice and not replace:
        raise InputError(
            f"{votes.name}: {len(twice)} clips have other votes already, the first is {twice[0]!r}; "
            "add --replace if the new ones are to count"
        )
    rows = [dataclasses.replace(row, votes=votes.counts.get(row.id, row.votes)) for row in clips.rows]
    kept = tuple(row for row in rows if row.votes or not leave_out)
    if not kept:
        raise InputError(f"{votes.name}: leaves no clip with votes; do without --leave-out")
    return dataclasses.replace(clips, rows=kept)


@dataclass(frozen=True, slots=True)
class Given:
    """What a folder of clips was given."""

    clips: int
    """That got votes."""
    left_out: int
    waiting: int
    """Of those that are kept, without votes yet."""
    kept: int
    notices: tuple[str, ...]
    """How the table was read, where it is not plain."""
    cleared: int = 0
    """That had votes of the same study and have none any more."""


def give_votes(
    root: Path,
    path: Path,
    *,
    replace: bool,
    leave_out: bool,
    study: str = "",
    further: Mapping[str, bytes] = MappingProxyType({}),
) -> Given:
    """Join the votes of a table to the clips of a folder, on the disk. Raises InputError as ``join`` does.

    ``study`` is the identity of the rating study that the votes come from: those that it gave earlier are taken away
    first, by the record in the manifest. ``further`` are files to lie beside them, by name; the manifest has their
    SHA-256 too.
    """
    clips = open_clips(root, unlabelled=True)
    votes = read_votes(path).of([row.id for row in clips.rows])
    earlier = _given_earlier(clips, study) if study else set()
    clips = dataclasses.replace(
        clips, rows=tuple(dataclasses.replace(row, votes=()) if row.id in earlier else row for row in clips.rows)
    )
    joined = join(clips, votes, replace=replace, leave_out=leave_out)
    hashes = read_hashes(root)
    for name, content in further.items():
        write_atomically(root / name, content)
        hashes[name] = hashlib.sha256(content).hexdigest()
    made = dict(joined.made) | {"votes": {"file": path.name, "sha256": sha256_of(path), "clips": len(votes.counts)}}
    if study:
        made[_RATED] = {"study": study, "votes": {name: list(counts) for name, counts in votes.counts.items()}}
    write_table(root, joined.rows, hashes, joined.shape, made)
    waiting = sum(not row.votes for row in joined.rows)
    cleared = len(earlier - votes.counts.keys())
    return Given(len(votes.counts), len(clips) - len(joined), waiting, len(joined), votes.notices, cleared)


def _given_earlier(clips: Clips, study: str) -> set[str]:
    """Return the clips whose votes are still those that this study gave them."""
    rated = clips.made.get(_RATED)
    if not isinstance(rated, dict) or rated.get("study") != study or not isinstance(rated.get("votes"), dict):
        return set()
    return {row.id for row in clips.rows if row.votes and list(row.votes) == rated["votes"].get(row.id)}


def read_votes(path: Path, name: str = "") -> Votes:
    """Read a table of votes, in either form.

    Args:
        path: The table.
        name: What messages call it; without it, "--votes" and the path.

    Raises:
        InputError: With the line of the first bad row.
    """
    name = name or f"--votes {path}"
    try:
        found = read_table(path, (*_GRADE_COLUMNS, *SINGLE))
        columns = {name for name in found.columns if name}
        if columns == {"id", *_GRADE_COLUMNS}:
            read = _read_counts
        elif columns == set(SINGLE):
            read = _tally
        else:
            raise InputError(
                f"line {found.header_line}: expected the columns {','.join(COUNTS)} or {','.join(SINGLE)}, "
                f"got {','.join(name for name in found.columns if name) or 'nothing'}"
            )
        for line, why in found.bad_rows.items():
            raise InputError(f"line {line}: {why}")
        nameless = next((row.line for row in found.rows if not row.cells["id"]), None)
        if nameless:
            raise InputError(f"line {nameless}: id is empty")
        counts = read(found)
        if not counts:
            raise InputError("holds no votes")
        numbers = found.number_format(_GRADE_COLUMNS)
    except InputError as error:
        separator = ", " if str(error).startswith("line ") else ": "
        raise InputError(f"{name}{separator}{error}") from error
    reading = found.reading(numbers)
    return Votes(name, counts, (f"{name}: read as a table with {reading}",) if reading else ())


def read_second_panel(path: Path, ids: Sequence[str]) -> NDArray[np.float64]:
    """Return (N, C) shares of the votes of other raters, in the order of the clips' ids. Raises InputError."""
    votes = read_votes(path, str(path)).counts
    clips = {name: text for text, name in match_ids(votes, ids).items()}
    missing = next((name for name in ids if name not in clips), None)
    if missing is not None:
        raise InputError(f"{path}: has no votes for clip {missing!r}; complete the table or remove it")
    counts = np.array([votes[clips[name]] for name in ids], np.float64)
    return np.asarray(counts / counts.sum(axis=1, keepdims=True), np.float64)


def _read_counts(found: Table) -> Mapping[str, tuple[int, ...]]:
    """Return the votes of a table with one row per clip; rows whose votes are all empty are skipped."""
    numbers = found.number_format(_GRADE_COLUMNS)
    votes: dict[str, tuple[int, ...]] = {}
    for row in found.rows:
        clip = row.cells["id"]
        counts, complaint = parse_votes([row.cells[name] for name in _GRADE_COLUMNS], numbers)
        if complaint:
            raise InputError(f"line {row.line}: {complaint}")
        if clip in votes:
            raise InputError(f"line {row.line}: clip {clip!r} has votes already; give one row per clip")
        if counts:
            votes[clip] = counts
    return votes


def single_votes(found: Table) -> dict[tuple[str, str], str]:
    """Return the grade by clip and rater of a table with one row per vote. Raises InputError with the line."""
    seen: dict[tuple[str, str], int] = {}
    votes: dict[tuple[str, str], str] = {}
    for row in found.rows:
        clip, rater, grade = row.cells["id"], row.cells["rater"], row.cells["grade"].upper()
        if not rater or grade not in GRADES:
            raise InputError(
                f"line {row.line}: rater {rater!r}, grade {grade!r}; expected a rater and one of {', '.join(GRADES)}"
            )
        if (clip, rater) in seen:
            raise InputError(
                f"line {row.line}: rater {rater!r} graded clip {clip!r} already in line {seen[clip, rater]}; "
                "keep one of them"
            )
        seen[clip, rater] = row.line
        votes[clip, rater] = grade
    return votes


def _tally(found: Table) -> Mapping[str, tuple[int, ...]]:
    """Return the votes of a table with one row per vote."""
    counts: dict[str, Counter[str]] = {}
    for (clip, _), grade in single_votes(found).items():
        counts.setdefault(clip, Counter())[grade] += 1
    return {clip: tuple(count[grade] for grade in GRADES) for clip, count in counts.items()}
