"""The clip format: a folder of clips with the votes of raters, checked before anything trusts it.

A folder holds

- ``clips.csv``: one row per clip: ``id, file, source, um_per_px, fps, A, B, C, D, E`` (the last five are votes);
- the clips it names (``trainer.data.clip_files``);
- ``manifest.json``: the clips' shape, how they were made, and the SHA-256 of ``clips.csv`` and of every clip.

``docs/clip-format.md`` is the same for people. This module knows files and numbers; it does not know who made the
clips or what learns from them.
"""

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from station.errors import InputError
from station.files import write_atomically
from station.transport.messages import GRADES
from trainer.data.clip_files import read_clip as read_clip
from trainer.data.clip_files import write_clip as write_clip

FORMAT = "rostfine-clips/1"
TABLE = "clips.csv"
MANIFEST = "manifest.json"
RATES_APART = 1.05
"""Frame rates that differ by more than this factor are not mixed in one folder: motion would look different."""
COLUMNS = ("id", "file", "source", "um_per_px", "fps", *GRADES)


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


@dataclass(frozen=True, slots=True)
class Clips:
    """An opened folder: the rows in memory, the pixels read when asked for."""

    root: Path
    rows: tuple[ClipRow, ...]
    shape: tuple[int, int, int]
    made: Mapping[str, Any]
    """How the folder was made, as its manifest says."""
    sha256: str
    """Of the manifest, which holds the hash of everything else: names this very data."""

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self.rows)

    @property
    def votes(self) -> NDArray[np.int64]:
        """(N, C) votes."""
        return np.array([row.votes for row in self.rows], np.int64)

    @property
    def distributions(self) -> NDArray[np.float64]:
        """(N, C) share of the raters who chose each grade; each row sums to 1."""
        votes = self.votes.astype(np.float64)
        return np.asarray(votes / votes.sum(axis=1, keepdims=True), np.float64)

    @property
    def sources(self) -> list[str]:
        """(N,) the source of each clip."""
        return [row.source for row in self.rows]

    def subset(self, indices: Sequence[int]) -> "Clips":
        """Return the clips at these places of the folder, in this order; ``sha256`` still names the whole folder."""
        return dataclasses.replace(self, rows=tuple(self.rows[index] for index in indices))

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Return one clip, (T, H, W) uint8, read from its file."""
        return read_clip(self.root / self.rows[index].file)


def write_table(
    root: Path, rows: Sequence[ClipRow], hashes: Mapping[str, str], shape: Sequence[int], made: Mapping[str, Any]
) -> None:
    """Write ``clips.csv`` and then ``manifest.json``: a folder without a manifest is not finished.

    Args:
        root: The folder, which already holds the clips.
        rows: One per clip.
        hashes: SHA-256 of each further file, by its path relative to the folder.
        shape: (T, H, W) of every clip.
        made: How the clips were made; anything JSON can hold.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([row.id, row.file, row.source, row.um_per_px, row.fps, *(row.votes or ("",) * len(GRADES))])
    content = text.getvalue().encode()
    write_atomically(root / TABLE, content)
    files = {TABLE: hashlib.sha256(content).hexdigest(), **hashes}
    manifest = {"format": FORMAT, "shape": list(shape), "made": dict(made), "sha256": files}
    write_atomically(root / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())


def open_clips(root: Path, *, verify: bool = True, unlabelled: bool = False) -> Clips:
    """Open a folder of clips.

    Args:
        root: The folder.
        verify: Also read every file and compare its hash (about a second per GB).
        unlabelled: Also take clips that have no votes yet; ``Clips.votes`` is not to be asked for then.

    Raises:
        InputError: Naming the first problem and how many there are.
    """
    manifest = _read_manifest(root)
    rows, problems = read_rows(root)
    if verify and not problems:
        problems = list(_damaged(root, manifest, rows))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}; python -m trainer check {root} lists every problem")
    waiting = [line for line, row in rows.items() if not row.votes]
    if waiting and not unlabelled:
        raise InputError(
            f"{root / TABLE}, line {waiting[0]}: no votes yet ({len(waiting)} of {len(rows)} clips have none); "
            f"add them with python -m trainer votes {root} --votes FILE, which can also leave such clips out"
        )
    digest = hashlib.sha256((root / MANIFEST).read_bytes()).hexdigest()
    shape: tuple[int, int, int] = tuple(manifest["shape"])
    return Clips(root, tuple(rows.values()), shape, manifest["made"], digest)


def find_problems(root: Path) -> list[str]:
    """Return one line for everything that is wrong with a folder; rows by their line in ``clips.csv``.

    Clips without votes are no problem here: they wait for the raters.
    """
    try:
        manifest = _read_manifest(root)
    except InputError as error:
        return [str(error)]
    rows, problems = read_rows(root)
    return problems + list(_damaged(root, manifest, rows))


def rates_alike(one_fps: float, other_fps: float) -> bool:
    """Return whether clips of two frame rates may stand in one folder."""
    return max(one_fps, other_fps) <= RATES_APART * min(one_fps, other_fps)


def read_hashes(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file by its path, as the manifest says, but for the table's own."""
    hashes: dict[str, str] = dict(_read_manifest(root)["sha256"])
    hashes.pop(TABLE, None)
    return hashes


def _read_manifest(root: Path) -> dict[str, Any]:
    path = root / MANIFEST
    advice = "give a folder made by python -m trainer simulate, prepare or import-clips"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{root}: no {MANIFEST}, so no finished folder of clips; {advice}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {advice}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{path}: expected format {FORMAT!r}; {advice}")
    shape, hashes = manifest.get("shape"), manifest.get("sha256")
    if not (isinstance(shape, list) and len(shape) == 3 and all(isinstance(n, int) and n > 0 for n in shape)):
        raise InputError(f"{path}: 'shape' must be three positive whole numbers, is {shape!r}; {advice}")
    if not isinstance(hashes, dict) or not isinstance(manifest.get("made"), dict):
        raise InputError(f"{path}: 'sha256' and 'made' must be objects; {advice}")
    return manifest


def read_rows(root: Path) -> tuple[dict[int, ClipRow], list[str]]:
    """Return the rows of ``clips.csv`` that can be read, by their line, and one line for each problem."""
    path = root / TABLE
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return {}, [f"{path}: cannot be read ({error})"]
    if not lines or tuple(lines[0]) != COLUMNS:
        return {}, [f"{path}, line 1: expected the columns {','.join(COLUMNS)}"]
    rows: dict[int, ClipRow] = {}
    problems: list[str] = []
    seen: dict[str, int] = {}
    files: dict[str, int] = {}
    for number, cells in enumerate(lines[1:], start=2):
        where = f"{path}, line {number}"
        if len(cells) != len(COLUMNS):
            problems.append(f"{where}: expected {len(COLUMNS)} values, got {len(cells)}")
            continue
        row, wrong = _parse(cells)
        problems.extend(f"{where}: {text}" for text in wrong)
        if row is None:
            continue
        if row.id in seen:
            problems.append(f"{where}: id {row.id!r} stands already in line {seen[row.id]}")
        if row.file in files:
            problems.append(f"{where}: file {row.file!r} stands already in line {files[row.file]}")
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
    if len(lines) == 1:
        problems.append(f"{path}: holds no clips")
    return rows, problems


def lies_inside(root: Path, file: str) -> bool:
    """Return whether a path relative to the folder stays in it, links followed."""
    return (root / file).resolve().is_relative_to(root.resolve())


def _parse(cells: Sequence[str]) -> tuple[ClipRow | None, list[str]]:
    """Return one row, None where it cannot be read at all, and what is wrong with it."""
    name, file, source, um_per_px, fps, *votes = cells
    wrong = [f"{column} is empty" for column, cell in (("id", name), ("file", file), ("source", source)) if not cell]
    counts, complaint = parse_votes(votes)
    try:
        row = ClipRow(name, file, source, float(um_per_px), float(fps), counts)
    except ValueError as error:
        return None, [*wrong, f"um_per_px and fps must be numbers ({error})"]
    if not (0 < row.um_per_px < float("inf")) or not (0 < row.fps < float("inf")):
        wrong.append(f"um_per_px and fps must be above 0, are {um_per_px} and {fps}")
    if complaint:
        wrong.append(complaint)
    return (None if wrong else row), wrong


def parse_votes(cells: Sequence[str]) -> tuple[tuple[int, ...], str]:
    """Return the votes (C,), () where all cells are empty, and what is wrong with them (empty: nothing)."""
    if not any(cell.strip() for cell in cells):
        return (), ""
    shown = ",".join(cells)
    try:
        votes = tuple(int(cell) for cell in cells)
    except ValueError:
        return (), f"votes must be whole numbers, or all empty where nobody has voted yet; are {shown}"
    if min(votes) < 0:
        return (), f"votes are negative: {shown}"
    if sum(votes) == 0:
        return (), "nobody voted: the votes are all 0; leave them empty where nobody has been asked yet"
    return votes, ""


def _damaged(root: Path, manifest: Mapping[str, Any], rows: Mapping[int, ClipRow]) -> Iterator[str]:
    """Yield a line for each file whose content is not what the manifest promises."""
    hashes: Mapping[str, str] = manifest["sha256"]
    shape = tuple(manifest["shape"])
    listed = {row.file: line for line, row in rows.items()}
    for file in [*sorted(set(hashes) - set(listed)), *listed]:
        path = root / file
        where = f"{root / TABLE}, line {listed[file]}: {file}" if file in listed else str(path)
        if file in listed and not (path.is_file() and lies_inside(root, file)):
            continue  # said already, when the rows were read
        if file not in hashes:
            yield f"{where}: is not in {MANIFEST}; add clips with the command that made the folder"
        elif not path.is_file():
            yield f"{where}: is in {MANIFEST} and missing"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != hashes[file]:
            yield f"{where}: its content is not what {MANIFEST} promises (another SHA-256): altered or swapped"
        elif file in listed:
            try:
                found = read_clip(path).shape
            except InputError as error:
                yield f"{root / TABLE}, line {listed[file]}: {error}"
                continue
            if found != shape:
                yield f"{where}: shape {found}, expected {shape}"
