"""The clip format: a folder of clips with the votes of raters, checked before anything trusts it.

A folder holds

- ``clips.csv``: one row per clip: ``id, file, source, um_per_px, fps, A, B, C, D, E`` (the last five are votes);
- the clips it names, each an npz file with one array ``clip`` (T, H, W) uint8;
- ``manifest.json``: the clips' shape, how they were made, and the SHA-256 of ``clips.csv`` and of every clip.

This module knows files and numbers; it does not know who made the clips or what learns from them.
"""

import csv
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from station.errors import InputError
from station.messages import GRADES

FORMAT = "rostfine-clips/1"
TABLE = "clips.csv"
MANIFEST = "manifest.json"
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
    """(C,) number of raters who chose each grade, A to E."""


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

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Return one clip, (T, H, W) uint8, read from its file."""
        return read_clip(self.root / self.rows[index].file)


def read_clip(path: Path) -> NDArray[np.uint8]:
    """Read one clip file. Raises InputError where it is no npz file with a uint8 array ``clip``."""
    try:
        with np.load(path, allow_pickle=False) as file:
            clip = file["clip"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: expected an npz file with an array 'clip', got {error}; make the clip again"
        ) from error
    if not isinstance(clip, np.ndarray) or clip.dtype != np.uint8 or clip.ndim != 3:
        raise InputError(f"{path}: 'clip' must be (T, H, W) uint8, is {clip.shape} {clip.dtype}; make the clip again")
    return clip


def write_clip(path: Path, clip: NDArray[np.uint8]) -> str:
    """Write one clip (T, H, W) uint8 and return the file's SHA-256.

    Not compressed: camera noise leaves little to gain, and training reads each clip many times. ``np.savez`` stamps
    no time into the file, so equal clips are equal files.
    """
    buffer = io.BytesIO()
    np.savez(buffer, clip=clip)
    content = buffer.getvalue()
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


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
        writer.writerow([row.id, row.file, row.source, row.um_per_px, row.fps, *row.votes])
    content = text.getvalue().encode()
    write_atomically(root / TABLE, content)
    files = {TABLE: hashlib.sha256(content).hexdigest(), **hashes}
    manifest = {"format": FORMAT, "shape": list(shape), "made": dict(made), "sha256": files}
    write_atomically(root / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a power cut, finds either the old content or the new, never a part."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def open_clips(root: Path, *, verify: bool = True) -> Clips:
    """Open a folder of clips.

    Args:
        root: The folder.
        verify: Also read every file and compare its hash (about a second per GB).

    Raises:
        InputError: Naming the first problem and how many there are.
    """
    manifest = _read_manifest(root)
    rows, problems = _read_rows(root)
    if verify and not problems:
        problems = list(_damaged(root, manifest, rows))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise InputError(f"{problems[0]}{more}; python -m trainer check {root} lists every problem")
    digest = hashlib.sha256((root / MANIFEST).read_bytes()).hexdigest()
    shape: tuple[int, int, int] = tuple(manifest["shape"])
    return Clips(root, tuple(rows), shape, manifest["made"], digest)


def find_problems(root: Path) -> list[str]:
    """Return one line for everything that is wrong with a folder; rows by their line in ``clips.csv``."""
    try:
        manifest = _read_manifest(root)
    except InputError as error:
        return [str(error)]
    rows, problems = _read_rows(root)
    return problems + list(_damaged(root, manifest, rows))


def _read_manifest(root: Path) -> dict[str, Any]:
    path = root / MANIFEST
    advice = "give a folder made by python -m trainer simulate"
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


def _read_rows(root: Path) -> tuple[list[ClipRow], list[str]]:
    """Return the rows that could be read, and one line for each problem."""
    path = root / TABLE
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [], [f"{path}: cannot be read ({error})"]
    if not lines or tuple(lines[0]) != COLUMNS:
        return [], [f"{path}, line 1: expected the columns {','.join(COLUMNS)}"]
    rows: list[ClipRow] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
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
        seen.setdefault(row.id, number)
        if rows and row.fps != rows[0].fps:
            problems.append(
                f"{where}: {row.fps:g} frames a second, the first clip has {rows[0].fps:g}: rates are mixed"
            )
        if not (root / row.file).is_file():
            problems.append(f"{where}: file {row.file!r} is missing")
        rows.append(row)
    if len(lines) == 1:
        problems.append(f"{path}: holds no clips")
    return rows, problems


def _parse(cells: Sequence[str]) -> tuple[ClipRow | None, list[str]]:
    """Return one row, None where it cannot be read at all, and what is wrong with it."""
    name, file, source, um_per_px, fps, *votes = cells
    wrong = [f"{column} is empty" for column, cell in (("id", name), ("file", file), ("source", source)) if not cell]
    if ".." in Path(file).parts or Path(file).is_absolute():
        wrong.append(f"file {file!r} lies outside the folder")
    try:
        row = ClipRow(name, file, source, float(um_per_px), float(fps), tuple(int(cell) for cell in votes))
    except ValueError as error:
        return None, [*wrong, f"not a number ({error})"]
    if not (0 < row.um_per_px < float("inf")) or not (0 < row.fps < float("inf")):
        wrong.append(f"um_per_px and fps must be above 0, are {um_per_px} and {fps}")
    if min(row.votes) < 0:
        wrong.append(f"votes are negative: {' '.join(votes)}")
    elif sum(row.votes) == 0:
        wrong.append("nobody voted")
    return (None if wrong else row), wrong


def _damaged(root: Path, manifest: Mapping[str, Any], rows: Iterable[ClipRow]) -> Iterator[str]:
    """Yield a line for each file whose content is not what the manifest promises."""
    hashes: Mapping[str, str] = manifest["sha256"]
    shape = tuple(manifest["shape"])
    listed = {row.file for row in rows}
    for file in [*sorted(set(hashes) - listed), *sorted(listed)]:
        path = root / file
        if file not in hashes:
            yield f"{path}: is not in {MANIFEST}; add clips with the command that made the folder"
        elif not path.is_file():
            if file not in listed:
                yield f"{path}: is in {MANIFEST} and missing"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != hashes[file]:
            yield f"{path}: its content is not what {MANIFEST} promises (another SHA-256): altered or swapped"
        elif file in listed:
            try:
                found = read_clip(path).shape
            except InputError as error:
                yield str(error)
                continue
            if found != shape:
                yield f"{path}: shape {found}, expected {shape}"
