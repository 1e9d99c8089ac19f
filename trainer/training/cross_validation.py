"""One training run for every fold of the data, each network scored on the fold that it never saw.

A fold's figures mark it as finished: a resumed cross-validation keeps it and continues with the next.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from station.errors import InputError
from station.files import write_atomically
from station.notice import NOTICE
from station.transport.messages import GRADES
from trainer.data.dataset import Clips
from trainer.data.ground_truth import true_defect_scores
from trainer.data.splits import FOLDS, SPLIT, make_folds, read_folds, read_split, write_folds
from trainer.data.tables import table
from trainer.evaluation.folds import METRICS, PREDICTIONS, FoldSummary, RunSummary, read_run_summary, summarise
from trainer.evaluation.metrics import reference_predictors, score
from trainer.evaluation.report_files import write_json
from trainer.model.systems import require_start
from trainer.training.options import file_sha256
from trainer.training.recipe import BEST, RECIPE, Recipe, build_recipe, write_recipe
from trainer.training.run import Job, check_shape, train_one

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """A cross-validation in its folder."""

    clips: Clips
    folds: Sequence[Sequence[int]]
    """Indices of the clips of each."""
    recipe: Recipe
    out: Path
    init: Path | None
    """Weights that every fold begins from."""

    def begin(self, fabric: "Fabric") -> "CrossValidation":
        """Write folds and recipe into the folder; return the cross-validation as they say it."""
        if fabric.is_global_zero:
            self.out.mkdir(parents=True, exist_ok=True)
            write_folds(self.out / FOLDS, self.clips, self.folds, self.recipe.seed)
        fabric.barrier()
        folds, sha256 = read_folds(self.out / FOLDS, self.clips)
        recipe = build_recipe(self.recipe.model_dump() | {"folds": sha256}, "options")
        if fabric.is_global_zero:
            write_recipe(self.out, recipe)
        return dataclasses.replace(self, folds=folds, recipe=recipe)


def new_cross_validation(
    clips: Clips, recipe: Recipe, out: Path, init: Path | None, split: Path | None, count: int
) -> CrossValidation:
    """Return a cross-validation with folds of its own, or those of another one. Raises InputError where it can't be.

    Args:
        clips: The clips.
        recipe: For every fold.
        out: Folder of the cross-validation.
        init: Weights that every fold begins from.
        split: Folds of another cross-validation; None: new ones.
        count: How many new ones.
    """
    folds = read_folds(split, clips)[0] if split else make_folds(clips, count, recipe.seed)
    check_recipe(recipe, init, clips)
    return CrossValidation(clips, folds, recipe, out, init)


def resumed_cross_validation(clips: Clips, recipe: Recipe, out: Path, init: Path | None) -> CrossValidation:
    """Return the cross-validation in a folder. Raises InputError where it is no longer what it was."""
    if recipe.init and init and file_sha256(init) != recipe.init:
        raise InputError(f"--init {init}: another file than the folds before began from; give the same")
    folds, sha256 = read_folds(out / FOLDS, clips)
    if sha256 != recipe.folds:
        raise InputError(f"{out / FOLDS}: was changed since the first fold began; start a new cross-validation")
    return CrossValidation(clips, folds, recipe, out, init)


def train_folds(
    validation: CrossValidation, fabric: "Fabric", console: Console
) -> tuple[list[RunSummary], FoldSummary]:
    """Train and score every fold that is not finished; write and return the figures of all of them."""
    runs = []
    for number, fold in enumerate(validation.folds, start=1):
        out = validation.out / f"fold-{number}"
        if not (out / METRICS).exists():
            _train_fold(validation, number, fold, fabric, console)
            score_fold(out, number, validation.clips, fold, fabric)
        fabric.barrier()
        runs.append(read_run_summary(out / METRICS))
    summary = summarise(runs)
    if fabric.is_global_zero:
        document = {
            "notice": NOTICE,
            "data": {"sha256": validation.clips.sha256, "clips": len(validation.clips)},
            "recipe": validation.recipe.model_dump(mode="json"),
            "folds": [run.to_dict() for run in runs],
            **dataclasses.asdict(summary),
        }
        write_json(validation.out / METRICS, document)
    return runs, summary


def _train_fold(
    validation: CrossValidation, number: int, fold: Sequence[int], fabric: "Fabric", console: Console
) -> None:
    recipe, init = validation.recipe, validation.init
    out = validation.out / f"fold-{number}"
    begun = (out / RECIPE).exists()
    fabric.barrier()
    console.print(f"fold {number} of {len(validation.folds)}{', resumed' if begun else ''}", style="bold")
    if recipe.init and not begun and not init:
        raise InputError(f"fold {number} has not begun; give the same --init as before")
    own = build_recipe(recipe.model_dump() | {"fold": number}, str(out))
    train_one(Job(validation.clips, own, out, begun, test=fold, init=init), fabric, console)


def score_fold(out: Path, number: int, clips: Clips, fold: Sequence[int], fabric: "Fabric") -> None:
    """Score a fold's best network on the fold; write predictions and then metrics, which mark the fold as finished."""
    from trainer.model.weights import load_weights
    from trainer.training.loop import predict_shared

    loaded, held = load_weights(out / BEST), clips.subset(fold)
    predicted = predict_shared(loaded.network.to(fabric.device), held, fabric)
    seen = read_split(out / SPLIT, clips)
    train = clips.subset(seen.train + seen.validation).distributions
    scores = {"model": score(predicted, held.distributions)}
    for name, constant in reference_predictors(train, len(fold)).items():
        scores[name] = score(constant, held.distributions)
    if fabric.is_global_zero:
        rows = ([row.id, *grade.tolist()] for row, grade in zip(held.rows, predicted, strict=True))
        write_atomically(out / PREDICTIONS, table(["id", *(f"grade_{grade}" for grade in GRADES)], rows))
        write_json(out / METRICS, RunSummary(number, len(fold), loaded.log[-1]["epoch"], scores).to_dict())


def check_recipe(recipe: Recipe, init: Path | None, clips: Clips) -> None:
    """Refuse what no fold could be trained by, before there is a folder. Raises InputError."""
    import torch

    from trainer.model.checkpoint import read_checkpoint
    from trainer.model.weights import is_own, is_weights_file
    from trainer.training.state import Training

    if recipe.patience and not recipe.holdout:
        raise InputError("--patience needs clips to validate on; give a --holdout above 0")
    if recipe.criteria:
        true_defect_scores(clips)  # raises where the clips have none
    require_start(recipe.system, init, recipe.scratch)
    training = Training(recipe, torch.device("cpu"))
    check_shape(training, clips)
    if init:
        known = "" if is_weights_file(init) or not is_own(init) else read_checkpoint(init).recipe.get("data")
        if known == recipe.data:
            raise InputError(
                f"--init {init}: was trained on these very clips, so no fold would be scored unseen; begin from "
                "weights that never saw them"
            )
        training.initialize_from(init, recipe.init_part)
