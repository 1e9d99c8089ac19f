"""Predictions for clips beside the raters' votes, and beside what needs no network to predict.

It knows folders of clips and numbers; the figures are made by ``trainer.evaluation.report``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.distances import js, mse
from station.transport.messages import GRADES
from trainer.data.dataset import Clips
from trainer.data.synthetic import SECOND_PANEL
from trainer.data.votes import read_second_panel
from trainer.evaluation.metrics import Scores, reference_predictors, score

Array = NDArray[np.float64]

MODEL: Final = "model"
MEAN: Final = "mean distribution"
MODE: Final = "train mode"
SECOND: Final = "second panel"


@dataclass(frozen=True, slots=True)
class Scored:
    """Predictions for clips, and everything they are compared with."""

    clips: Clips
    """The N scored clips."""
    predicted: Array
    """(N, C)"""
    references: Mapping[str, Array]
    """(N, C) of each predictor that never looked at a clip, by name; "mean distribution" is among them."""

    @property
    def target(self) -> Array:
        """(N, C) shares of the votes."""
        return self.clips.distributions

    @property
    def ids(self) -> list[str]:
        """(N,) ids of the scored clips."""
        return [row.id for row in self.clips.rows]

    def scores(self) -> dict[str, Scores]:
        """Return the measures of the model and of everything beside it, by name."""
        found = {MODEL: score(self.predicted, self.target)}
        found |= {name: score(constant, self.target) for name, constant in self.references.items()}
        second = second_panel(self.clips)
        if second is not None:
            found[SECOND] = score(second, self.target)
        return found


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation has found out, before it is put into figures."""

    name: str
    """The run, model or cross-validation."""
    scored: Scored
    ablated: Mapping[str, Array]
    """(N, C) of the model for each ablation, by name."""
    frames: str
    """In words, which frames of a clip the network takes; empty where it takes all."""
    folds: tuple[Scored, ...] = ()
    """Of a cross-validation."""


def compare(clips: Clips, predicted: Array, train: Array) -> Scored:
    """Return predictions beside the reference predictors.

    Args:
        clips: The predicted clips.
        predicted: (N, C) for them.
        train: (M, C) distributions that the reference predictors may know: the training clips'.
    """
    return Scored(clips, predicted, reference_predictors(train, len(clips)))


def pool(folder: Clips, folds: Sequence[Sequence[int]], parts: Sequence[Scored]) -> Scored:
    """Return the predictions of all folds as one; each clip keeps its own fold's references.

    Args:
        folder: All clips.
        folds: Places of each fold's clips in the folder.
        parts: Each fold's predictions.
    """
    references = {name: np.concatenate([part.references[name] for part in parts]) for name in parts[0].references}
    clips = folder.subset([index for fold in folds for index in fold])
    return Scored(clips, np.concatenate([part.predicted for part in parts]), references)


def second_panel(clips: Clips) -> Array | None:
    """Return (N, C) distributions of other raters on the same clips, None where the folder has none.

    The difference between two panels is how far raters agree at all; it is no bound (docs/training.md says why).
    Raises InputError where it is not of these clips.
    """
    path = clips.root / SECOND_PANEL
    if not path.exists():
        return None
    return read_second_panel(path, [row.id for row in clips.rows])


def per_clip(scored: Scored) -> tuple[list[str], list[list[object]]]:
    """Return header and rows of ``predictions.csv``: each clip's prediction, votes and error."""
    header = ["id", *(f"grade_{g}" for g in GRADES), *(f"votes_{g}" for g in GRADES), "mse_x100", "js_x100"]
    errors = 100 * mse(scored.predicted, scored.target), 100 * js(scored.predicted, scored.target)
    return header, [
        [name, *(f"{value:.6f}" for value in (*predicted, *voted, *both))]
        for name, predicted, voted, *both in zip(scored.ids, scored.predicted, scored.target, *errors, strict=True)
    ]
