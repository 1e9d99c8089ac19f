"""Letting networks predict the clips they are scored on: one network, or each fold's own; whole or changed clips.

It computes no measure (``trainer.evaluation.report`` does).
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from station.errors import InputError
from trainer.data.dataset import Clips
from trainer.data.input_changes import INPUT_CHANGES, Pixels
from trainer.data.loader import describe_frames
from trainer.data.splits import FOLDS, SPLIT, read_folds, read_split
from trainer.evaluation.predictors import Predictor, model_predictor, named, predict, weights_predictor
from trainer.evaluation.report import ChangeSettings
from trainer.evaluation.scored import Evaluated, compare, pool
from trainer.training.recipe import BEST

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class InputChanges:
    """The changes of the input to score, besides the whole clips."""

    names: tuple[str, ...]
    settings: ChangeSettings

    def check(self, clips: Clips) -> None:
        """Raise InputError where a head would be wider than the clips."""
        edge_um = min(clips.shape[1:]) * min(row.um_per_px for row in clips.rows)
        if set(self.names) - {"freeze"} and self.settings.head_um >= edge_um:
            raise InputError(f"--head-um {self.settings.head_um:g}: the clips show {edge_um:g} um; give less")


@dataclass(frozen=True, slots=True)
class Subject:
    """The one network to be scored: one of the three paths is given."""

    run: Path | None
    """Training run, its best network."""
    weights: Path | None
    """Imported weights, or a checkpoint."""
    model: Path | None
    """Artifact."""
    device: str = "cpu"
    """Of a run or weights."""
    heads: str = ""
    """Those that are averaged, of "g", "s", "t"; empty: all that the network has."""

    def open(self, stack: ExitStack) -> Predictor:
        """Return it, open until the stack is left."""
        if self.run:
            return weights_predictor(self.run / BEST, str(self.run), self.device, self.heads)
        if self.weights:
            return weights_predictor(self.weights, str(self.weights), self.device, self.heads)
        assert self.model is not None
        return stack.enter_context(model_predictor(self.model, self.heads))


def score_network(subject: Subject, clips: Clips, train: Array, changes: InputChanges) -> Evaluated:
    """Let a network predict the clips.

    Args:
        subject: The network.
        clips: To be scored on.
        train: (M, C) distributions that the reference predictors may know.
        changes: What else to score.
    """
    with ExitStack() as stack:
        predictor = subject.open(stack)
        scored = compare(clips, predict(predictor, clips), train)
        ablated = _ablated(predictor, clips, range(len(clips)), changes)
    return Evaluated(predictor.name, scored, ablated, describe_frames(clips.shape[0], predictor.frames))


def score_folds(folder: Path, clips: Clips, changes: InputChanges, device: str, heads: str = "") -> Evaluated:
    """Let each fold's own network predict the clips that it never saw."""
    folds, _ = read_folds(folder / FOLDS, clips)
    parts, ablated = [], []
    for number, fold in enumerate(folds, start=1):
        run = folder / f"fold-{number}"
        if not (run / BEST).exists():
            raise InputError(f"{run}: no {BEST}, so this fold is not done; finish it with crossval --resume")
        split = read_split(run / SPLIT, clips)
        if sorted(split.test) != sorted(fold):
            raise InputError(f"{run / SPLIT}: was not trained for this fold of {FOLDS}; train it again")
        predictor = weights_predictor(run / BEST, str(run), device, heads)
        held = clips.subset(fold)
        predicted = predict(predictor, held, what=f"fold {number}")
        parts.append(compare(held, predicted, clips.subset(split.train + split.validation).distributions))
        ablated.append(_ablated(predictor, held, fold, changes))
    joined = {name: np.concatenate([one[name] for one in ablated]) for name in changes.names}
    frames = describe_frames(clips.shape[0], predictor.frames)
    return Evaluated(named(str(folder), heads), pool(clips, folds, parts), joined, frames, tuple(parts))


def parse_changes(text: str) -> tuple[str, ...]:
    """Return the names of the changes asked for, "all" or names with commas. Raises InputError for unknown ones."""
    names: Iterable[str] = INPUT_CHANGES if text == "all" else [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in INPUT_CHANGES]
    if unknown:
        raise InputError(f"--change-input {unknown[0]}: expected some of {', '.join(INPUT_CHANGES)}, or all")
    return tuple(dict.fromkeys(names))


def _ablated(predictor: Predictor, clips: Clips, places: Sequence[int], changes: InputChanges) -> Mapping[str, Array]:
    """Return (N, C) predictions with each change; ``places`` are those of the clips in their folder."""
    return {
        name: predict(predictor, clips, partial(_changed, clips, places, name, changes.settings), name)
        for name in changes.names
    }


def _changed(
    clips: Clips, places: Sequence[int], name: str, settings: ChangeSettings, clip: Pixels, index: int
) -> Pixels:
    """Return a clip without what a change takes out; what is drawn follows from the clip's place in its folder."""
    radius_px = settings.head_um / 2 / clips.rows[index].um_per_px
    return INPUT_CHANGES[name](clip, radius_px, settings.seed + places[index])
