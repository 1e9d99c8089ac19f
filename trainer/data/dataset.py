"""The clip format: a folder of clips with the votes of raters, checked before anything trusts it.

A folder holds

- ``clips.csv``: one row per clip: ``id, file, source, um_per_px, fps, A, B, C, D, E`` (the last five are votes);
- the clips it names (``trainer.data.clip_files``);
- ``manifest.json``: the clips' shape, how they were made, and the SHA-256 of ``clips.csv`` and of every clip.

``docs/clip-format.md`` describes it for users. This module knows files and numbers; it does not know who made the
clips or what learns from them.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from station.errors import InputError
from station.files import read_json, sha256_of, write_atomically
from trainer.data.clip_files import read_clip
from trainer.data.clip_table import TABLE, ClipRow, clip_table, lies_inside, read_rows

FORMAT: Final = "rostfine-clips/1"
MANIFEST: Final = "manifest.json"
FILE_BYTES: Final = 512 << 20
"""Size up to which a file of the folder is read: a clip, or a table."""
MANIFEST_BYTES: Final = 128 << 20
"""Most of a manifest: of a million clips."""


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What ``manifest.json`` holds."""

    shape: tuple[int, int, int]
    made: Mapping[str, Any]
    sha256: Mapping[str, str]
    """By path, relative to the folder."""


@dataclass(frozen=True, slots=True)
class Clips:
    """An opened folder: the rows in memory, the pixels read when asked for."""

    root: Path
    rows: tuple[ClipRow, ...]
    shape: tuple[int, int, int]
    made: Mapping[str, Any]
    """How the folder was made: the manifest's record, kept as it is for provenance."""
    sha256: str
    """Of the manifest, which holds the hash of everything else: it identifies exactly this data."""

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
    content = clip_table(rows)
    write_atomically(root / TABLE, content)
    files = {TABLE: hashlib.sha256(content).hexdigest(), **hashes}
    manifest = {"format": FORMAT, "shape": list(shape), "made": dict(made), "sha256": files}
    write_atomically(root / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())


def open_clips(root: Path, *, verify: bool = True, unlabelled: bool = False) -> Clips:
    """Open a folder of clips.

    Args:
        root: The folder.
        verify: Also read every file and compare its hash (about a second per GB).
        unlabelled: Also take clips that have no votes yet; ``Clips.votes`` must not be used then.

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
    return Clips(root, tuple(rows.values()), manifest.shape, manifest.made, sha256_of(root / MANIFEST))


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


def read_hashes(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file by its path, as the manifest has it, except that of the table."""
    return {file: digest for file, digest in _read_manifest(root).sha256.items() if file != TABLE}


def _read_manifest(root: Path) -> _Manifest:
    path = root / MANIFEST
    advice = "give a folder made by python -m trainer simulate, prepare or import-clips"
    try:
        content = read_json(path, MANIFEST_BYTES)
    except FileNotFoundError as error:
        raise InputError(f"{root}: no {MANIFEST}, so no finished folder of clips; {advice}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {advice}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: expected format {FORMAT!r}; {advice}")
    shape, made, hashes = content.get("shape"), content.get("made"), content.get("sha256")
    if not (isinstance(shape, list) and len(shape) == 3 and all(isinstance(n, int) and n > 0 for n in shape)):
        raise InputError(f"{path}: 'shape' must be three positive whole numbers, is {shape!r}; {advice}")
    if not isinstance(hashes, dict) or not isinstance(made, dict):
        raise InputError(f"{path}: 'sha256' and 'made' must be objects; {advice}")
    return _Manifest((shape[0], shape[1], shape[2]), made, hashes)


def _damaged(root: Path, manifest: _Manifest, rows: Mapping[int, ClipRow]) -> Iterator[str]:
    """Yield a line for each file whose content is not what the manifest promises."""
    hashes = manifest.sha256
    listed = {row.file: line for line, row in rows.items()}
    for file in [*sorted(set(hashes) - set(listed)), *listed]:
        path = root / file
        where = f"{root / TABLE}, line {listed[file]}: {file}" if file in listed else str(path)
        if file in listed and not (path.is_file() and lies_inside(root, file)):
            continue  # already reported when the rows were read
        if file not in hashes:
            yield f"{where}: is not in {MANIFEST}; add clips with the command that made the folder"
        elif not path.is_file():
            yield f"{where}: is in {MANIFEST} and missing"
        elif not lies_inside(root, file):
            yield f"{where}: lies outside the folder"
        elif damage := _damage(path, hashes[file]):
            yield f"{where}: {damage}"
        elif file in listed:
            try:
                found = read_clip(path).shape
            except InputError as error:
                yield f"{root / TABLE}, line {listed[file]}: {error}"
                continue
            if found != manifest.shape:
                yield f"{where}: shape {found}, expected {manifest.shape}"


def _damage(path: Path, promised: str) -> str:
    """Return how a file is not the one that the manifest promises; empty where it is."""
    try:
        found = sha256_of(path, FILE_BYTES)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if found != promised:
        return f"its content is not what {MANIFEST} promises (another SHA-256): altered or swapped"
    return ""
