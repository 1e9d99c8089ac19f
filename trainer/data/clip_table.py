"""``clips.csv``: one row for each clip of a folder, and what may be wrong with a row.

Columns: ``id, file, source, um_per_px, fps, A, B, C, D, E`` (the last five are votes). It knows that clips are files
and opens none of them.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from station.errors import InputError
from station.ranges import MAX_FPS, MAX_UM_PER_PX, MIN_FPS, MIN_UM_PER_PX, is_frame_rate, is_scale
from station.transport.messages import GRADES
from trainer.data.clip_files import ENDINGS
from trainer.data.clip_ids import safe_id
from trainer.data.number_format import NumberFormat
from trainer.data.tables import column_name, read_table, table

TABLE: Final = "clips.csv"
COLUMNS: Final = ("id", "file", "source", "um_per_px", "fps", *GRADES)
MAX_VOTES: Final = 1_000_000
"""Of one grade for one clip."""
MAX_RATE_RATIO: Final = 1.05
"""Frame rates that differ by more than this factor are not mixed in one folder: motion would look different."""


@dataclass(frozen=True, slots=True)
class ClipRow:
    """One row of ``clips.csv``."""

    id: str
    file: str
    """Path of the clip relative to the folder, with forward slashes."""
    source: str
    """The video it was cut from: clips of one source never stand on both sides of a split."""
    um_per_px: float
    fps: float
    votes: tuple[int, ...]
    """(C,) number of raters who chose each grade, A to E; () where nobody has been asked yet."""


def clip_table(rows: Iterable[ClipRow]) -> bytes:
    """Return ``clips.csv``."""
    return table(
        COLUMNS,
        ((row.id, row.file, row.source, row.um_per_px, row.fps, *(row.votes or ("",) * len(GRADES))) for row in rows),
    )


def rates_alike(one_fps: float, other_fps: float) -> bool:
    """Return whether clips of two frame rates may stand in one folder."""
    return max(one_fps, other_fps) <= MAX_RATE_RATIO * min(one_fps, other_fps)


def read_rows(root: Path) -> tuple[dict[int, ClipRow], list[str]]:
    """Return the rows of ``clips.csv`` that can be read, by their line, and one line for each problem."""
    path = root / TABLE
    names = tuple(column_name(column) for column in COLUMNS)
    try:
        found = read_table(path, names)
        if {name for name in found.columns if name} != set(names):
            raise InputError(f"line {found.header_line}: expected the columns {','.join(COLUMNS)}")
        numbers = found.number_format(names[3:])
    except InputError as error:
        return {}, [f"{path}, {error}" if str(error).startswith("line ") else f"{path}: {error}"]
    rows: dict[int, ClipRow] = {}
    problems = [f"{path}, line {line}: {why}" for line, why in found.bad_rows.items()]
    seen: dict[str, int] = {}
    files: dict[str, int] = {}
    for given in found.rows:
        number, where = given.line, f"{path}, line {given.line}"
        row, wrong = _parse([given.cells[name] for name in names], numbers)
        problems.extend(f"{where}: {text}" for text in wrong)
        if row is None:
            continue
        if row.id in seen:
            problems.append(f"{where}: id {row.id!r} is already in line {seen[row.id]}")
        if row.file in files:
            problems.append(f"{where}: file {row.file!r} is already in line {files[row.file]}")
        seen.setdefault(row.id, number)
        files.setdefault(row.file, number)
        first = next(iter(rows.values()), row)
        if not rates_alike(first.fps, row.fps):
            problems.append(f"{where}: {row.fps:g} frames a second, the first clip has {first.fps:g}: rates are mixed")
        if not lies_inside(root, row.file):
            problems.append(f"{where}: file {row.file!r} lies outside the folder")
        elif not (root / row.file).is_file():
            problems.append(f"{where}: file {row.file!r} is missing")
        rows[number] = row
    if not found.rows and not problems:
        problems.append(f"{path}: holds no clips")
    return rows, problems


def list_clips(root: Path, um_per_px: float | None, fps: float | None) -> list[ClipRow]:
    """Return a row without votes for every clip file: its id is the path without ending, its source the subfolder.

    A clip that lies in no subfolder is its own source. Raises InputError where there is none, or no scale and rate.
    """
    if um_per_px is None or fps is None:
        raise InputError(f"{root}: no {TABLE}; give --um-per-px and --fps, or write that table")
    if wrong := _impossible(um_per_px, fps):
        raise InputError(f"{root}: {wrong}; give --um-per-px and --fps of the clips themselves")
    paths = sorted(path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in ENDINGS)
    if not paths:
        raise InputError(f"{root}: holds no clips ({' or '.join(ENDINGS)}); docs/clip-format.md says what they are")
    rows = []
    for path in paths:
        name = path.with_suffix("").as_posix()
        source = path.parent.as_posix() if path.parent != Path() else name
        rows.append(ClipRow(safe_id(name), path.as_posix(), source, um_per_px, fps, ()))
    twice = next((row.id for row, after in itertools.pairwise(rows) if row.id == after.id), None)
    if twice:
        raise InputError(f"{root}: two clips are called {twice}; rename one of them")
    return rows


def lies_inside(root: Path, file: str) -> bool:
    """Return whether a path relative to the folder stays in it, links followed; False for one that leads nowhere."""
    try:
        return (root / file).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # links in a circle, or a name that no file can have
        return False


def _parse(cells: Sequence[str], numbers: NumberFormat) -> tuple[ClipRow | None, list[str]]:
    """Return one row, None where it cannot be read at all, and what is wrong with it."""
    name, file, source, um_per_px, fps, *votes = cells
    wrong = [f"{column} is empty" for column, cell in (("id", name), ("file", file), ("source", source)) if not cell]
    counts, complaint = parse_votes(votes, numbers)
    try:
        row = ClipRow(name, file, source, numbers.number(um_per_px), numbers.number(fps), counts)
    except ValueError as error:
        return None, [*wrong, f"um_per_px and fps must be numbers ({error})"]
    if impossible := _impossible(row.um_per_px, row.fps):
        wrong.append(impossible)
    if complaint:
        wrong.append(complaint)
    return (None if wrong else row), wrong


def _impossible(um_per_px: float, fps: float) -> str:
    """Return which of scale and rate no microscope has; empty where both can be."""
    if not is_scale(um_per_px):
        return f"um_per_px must be from {MIN_UM_PER_PX:g} to {MAX_UM_PER_PX:g}, is {um_per_px:g}"
    return "" if is_frame_rate(fps) else f"fps must be from {MIN_FPS:g} to {MAX_FPS:g}, is {fps:g}"


def parse_votes(cells: Sequence[str], numbers: NumberFormat) -> tuple[tuple[int, ...], str]:
    """Return the votes (C,), () where all cells are empty, and what is wrong with them (empty: nothing)."""
    if not any(cell.strip() for cell in cells):
        return (), ""
    shown = ",".join(cells)
    try:
        votes = tuple(numbers.whole_number(cell) for cell in cells)
    except ValueError:
        return (), f"votes must be whole numbers, or all empty where nobody has voted yet; are {shown}"
    if max(votes) > MAX_VOTES:
        return (), f"votes are more than {MAX_VOTES:,}: {shown}"
    if min(votes) < 0:
        return (), f"votes are negative: {shown}"
    if sum(votes) == 0:
        return (), "nobody voted: the votes are all 0; leave them empty where nobody has been asked yet"
    return votes, ""
