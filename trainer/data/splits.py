"""Which clips a run trains on, validates on and tests on: splits of a folder, kept as files.

Clips of one source (video) always stay together; otherwise a network could be tested on a sperm it has seen. The folds
of a cross-validation are also stratified by the most-voted grade, as far as whole sources allow, by scikit-learn's
``StratifiedGroupKFold``. Files name clips by their ids and the folder by the SHA-256 of its manifest, so that a split
can be used again and is never applied to other clips. This module knows no torch.
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from station.errors import InputError
from station.files import read_json, sha256_of, write_atomically
from station.transport.messages import GRADES
from trainer.data.dataset import Clips
from trainer.data.loader import split_by_source

FOLDS: Final = "folds.json"
SPLIT: Final = "split.json"
FOLDS_FORMAT: Final = "rostfine-folds/1"
SPLIT_FORMAT: Final = "rostfine-split/1"
SPLIT_BYTES: Final = 128 << 20
"""Most of a split: of a million clips."""


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of the clips of one folder."""

    train: list[int]
    validation: list[int]
    """Picks the best epoch and stops training early; empty: none, or they are in another folder."""
    test: list[int]
    """Never seen by the run; empty where it is not part of a cross-validation."""


def split_off(clips: Clips, test: Sequence[int], share: float, seed: int) -> Split:
    """Return the split that tests on ``test`` and holds out a share of the other clips' sources for validation."""
    never = set(test)
    rest = [index for index in range(len(clips)) if index not in never]
    kept, held = split_by_source([clips.rows[index].source for index in rest], share, seed)
    return Split([rest[place] for place in kept], [rest[place] for place in held], list(test))


def write_split(path: Path, clips: Clips, split: Split) -> None:
    """Write a run's split."""
    parts = {name: [clips.rows[i].id for i in getattr(split, name)] for name in ("train", "validation", "test")}
    _write(path, {"format": SPLIT_FORMAT, "data": clips.sha256, **parts})


def read_split(path: Path, clips: Clips) -> Split:
    """Read a run's split. Raises InputError where it is not one of these clips."""
    content = _read(path, SPLIT_FORMAT, clips)
    return Split(*(_indices(path, clips, content.get(name)) for name in ("train", "validation", "test")))


def make_folds(clips: Clips, count: int, seed: int) -> list[list[int]]:
    """Return the indices of each fold. Raises InputError where there are fewer sources than folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    sources = clips.sources
    if not 2 <= count <= len(set(sources)):
        raise InputError(
            f"--folds {count}: expected 2 up to the number of source videos, which is {len(set(sources))}; clips of "
            "one source stay in one fold"
        )
    grades = clips.votes.argmax(axis=1)
    # It wants every grade at least once in each fold, which rare grades cannot give: ``fold_counts`` shows it.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        try:
            folds = [test.tolist() for _, test in splitter.split(np.zeros(len(clips)), grades, sources)]
        except ValueError as error:  # every grade has fewer clips than there are folds
            raise InputError(f"--folds {count}: {len(clips)} clips are too few; take fewer folds") from error
    if not all(folds):
        raise InputError(f"--folds {count}: the sources are too unequal, one fold would be empty; take fewer folds")
    return folds


def fold_counts(clips: Clips, fold: Sequence[int]) -> list[int]:
    """Return (C,) how many clips of a fold have each grade as the most voted."""
    most_voted = clips.votes.argmax(axis=1)[list(fold)]
    return [int(count) for count in np.bincount(most_voted, minlength=len(GRADES))]


def write_folds(path: Path, clips: Clips, folds: Sequence[Sequence[int]], seed: int) -> None:
    """Write the folds of a cross-validation."""
    named = [[clips.rows[index].id for index in fold] for fold in folds]
    _write(path, {"format": FOLDS_FORMAT, "data": clips.sha256, "seed": seed, "folds": named})


def read_folds(path: Path, clips: Clips) -> tuple[list[list[int]], str]:
    """Return the indices of each fold and the file's SHA-256.

    Raises:
        InputError: They are not folds of these clips, or do not hold each clip once, or split a source.
    """
    content = _read(path, FOLDS_FORMAT, clips)
    named = content.get("folds")
    if not isinstance(named, list) or len(named) < 2:
        raise InputError(f"{path}: 'folds' must be two or more lists of clip ids; make the folds again")
    folds = [_indices(path, clips, fold) for fold in named]
    if sorted(index for fold in folds for index in fold) != list(range(len(clips))) or not all(folds):
        raise InputError(f"{path}: every clip must be in one fold, and no fold empty; make the folds again")
    home: dict[str, int] = {}
    for number, fold in enumerate(folds):
        for index in fold:
            source = clips.rows[index].source
            if home.setdefault(source, number) != number:
                raise InputError(f"{path}: clips of source {source!r} are in two folds; make the folds again")
    return folds, sha256_of(path)


def _write(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def _read(path: Path, expected: str, clips: Clips) -> dict[str, Any]:
    try:
        content = read_json(path, SPLIT_BYTES)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a file written by this program") from error
    if not isinstance(content, dict) or content.get("format") != expected:
        raise InputError(f"{path}: expected format {expected!r}; give a file written by this program")
    if content.get("data") != clips.sha256:
        raise InputError(f"{path}: was made for other clips than {clips.root}; give the folder it was made for")
    return content


def _indices(path: Path, clips: Clips, names: Any) -> list[int]:
    known = {row.id: index for index, row in enumerate(clips.rows)}
    if not isinstance(names, list) or not all(isinstance(name, str) and name in known for name in names):
        raise InputError(f"{path}: expected lists of ids of {clips.root}; give a file written by this program")
    return [known[name] for name in names]
