"""What only the simulation knows of a clip: every criterion of its sperm, in ``truth.csv`` beside the clips.

Read for the auxiliary task of training and for error analysis; there is none at the microscope.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Final, get_type_hints

import numpy as np
from numpy.typing import NDArray

from capture.simulator.sperm import Sperm
from station.errors import InputError
from trainer.data.dataset import Clips
from trainer.data.raters import defect_scores
from trainer.data.tables import read_table, table

TRUTH: Final = "truth.csv"


def truth_table(sperm: Iterable[tuple[str, Sperm]]) -> bytes:
    """Return ``truth.csv`` for clips, each with its id."""
    return table(
        ("id", *(field.name for field in fields(Sperm))), ([name, *asdict(one).values()] for name, one in sperm)
    )


def read_truth(clips: Clips) -> Sequence[Sperm]:
    """Return the sperm of every clip, in order. Raises InputError where the clips are not simulated ones."""
    path = clips.root / TRUTH
    kinds = get_type_hints(Sperm)
    try:
        found = read_table(path, ("id", *kinds))
        numbers = found.number_format(kinds)
        by_id = {
            row.cells["id"]: Sperm(**{name: kind(numbers.number(row.cells[name])) for name, kind in kinds.items()})
            for row in found.rows
        }
        return [by_id[row.id] for row in clips.rows]
    except (InputError, KeyError, ValueError) as error:
        raise InputError(f"{path}: expected the truth of every clip ({error}); only simulated clips have it") from error


def true_defect_scores(clips: Clips) -> NDArray[np.float32]:
    """Return (N, criteria) float32: the defect scores of each clip's sperm, each scaled to mean 0 and spread 1."""
    scores = np.array([defect_scores(sperm) for sperm in read_truth(clips)])
    return np.asarray((scores - scores.mean(axis=0)) / (scores.std(axis=0) + 1e-6), np.float32)
