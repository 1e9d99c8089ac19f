"""What only the simulation knows of a clip: every criterion of its sperm, in ``truth.csv`` beside the clips.

Read for the auxiliary task of training and for error analysis; there is none at the microscope.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Final, get_type_hints

import numpy as np
from numpy.typing import NDArray

from capture.simulator.sperm import Sperm
from station.errors import InputError
from trainer.data.dataset import Clips
from trainer.data.raters import defect_scores

TRUTH: Final = "truth.csv"


def truth_table(sperm: Iterable[tuple[str, Sperm]]) -> bytes:
    """Return ``truth.csv`` for clips, each with its id."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", *(field.name for field in fields(Sperm))])
    writer.writerows([name, *asdict(one).values()] for name, one in sperm)
    return text.getvalue().encode()


def read_truth(clips: Clips) -> Sequence[Sperm]:
    """Return the sperm of every clip, in order. Raises InputError where the clips are not simulated ones."""
    path = clips.root / TRUTH
    kinds = get_type_hints(Sperm)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = {
                row["id"]: Sperm(**{name: kind(row[name]) for name, kind in kinds.items()})
                for row in csv.DictReader(file)
            }
        return [table[row.id] for row in clips.rows]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: expected the truth of every clip ({error}); only simulated clips have it") from error


def true_defect_scores(clips: Clips) -> NDArray[np.float32]:
    """Return (N, criteria) float32: the defect scores of each clip's sperm, each scaled to mean 0 and spread 1."""
    table = np.array([defect_scores(sperm) for sperm in read_truth(clips)])
    return np.asarray((table - table.mean(axis=0)) / (table.std(axis=0) + 1e-6), np.float32)
