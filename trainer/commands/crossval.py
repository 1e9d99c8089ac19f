"""``python -m trainer crossval``: train once for every fold of the data; score each network on the fold it never saw.

Folds keep the clips of one source video together and are stratified by the most-voted grade. Within a fold's other
clips a share of the sources (``--holdout``) chooses the best epoch and stops early, so that the fold itself decides
nothing and its score is not flattered; ``--holdout 0`` trains on all of them and scores the last epoch.
"""

import argparse
import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from station.errors import InputError
from station.files import write_atomically
from station.notice import NOTICE
from station.transport.messages import GRADES
from trainer.commands.train import (
    Job,
    check_new,
    check_shape,
    read_own_recipe,
    require_training,
    set_threads,
    train_one,
    write_recipe,
)
from trainer.data.dataset import Clips, open_clips
from trainer.data.splits import FOLDS, fold_counts, make_folds, read_folds, write_folds
from trainer.evaluation.metrics import reference_predictors, score
from trainer.training.options import add_recipe_options, file_sha256, new_recipe
from trainer.training.recipe import Recipe, build_recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

METRICS: Final = "metrics.json"
PREDICTIONS: Final = "predictions.csv"
EPILOG: Final = """\
CV holds folds.json (the split), fold-1, fold-2, ... (each a run of python -m trainer train, with its own metrics.json
and predictions.csv) and metrics.json: every fold, mean and standard deviation (of the folds, n - 1). A run that was cut
off goes on with --resume: finished folds are kept, the one under way continues after its last whole epoch.

examples:
  python -m trainer crossval --data DATA --out CV --folds 5
  python -m trainer crossval --data DATA --out CV --resume
  python -m trainer crossval --data DATA --out CV_JS --split CV/folds.json --loss js"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "%(prog)s --data DATA --out CV [--folds N | --split FILE] [--resume] [options]"
    parser.epilog = EPILOG
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="folder of clips")
    parser.add_argument("--out", type=Path, required=True, metavar="CV", help="folder of the cross-validation")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--folds", type=int, metavar="N", help="number of folds (default: 5)")
    which.add_argument("--split", type=Path, metavar="FILE", help="use the folds.json of another cross-validation")
    parser.add_argument("--resume", action="store_true", help="go on with the cross-validation in --out")
    add_recipe_options(parser)


def run(args: argparse.Namespace) -> int:
    """Train and score every fold."""
    require_training()
    from trainer.training.fabric import first_of_machine, launch

    set_threads(args.threads)
    clips = open_clips(args.data, verify=first_of_machine())
    if args.resume:
        if args.folds or args.split:
            raise InputError("--resume goes on with the folds in --out; leave out --folds and --split")
        recipe = read_own_recipe(args, clips, None)
        if recipe.init and args.init and file_sha256(args.init) != recipe.init:
            raise InputError(f"--init {args.init}: another file than the folds before began from; give the same")
        folds, sha256 = read_folds(args.out / FOLDS, clips)
        if sha256 != recipe.folds:
            raise InputError(
                f"{args.out / FOLDS}: was changed since the first fold began; start a new cross-validation"
            )
    else:
        check_new(args.out)
        recipe = new_recipe(args, data=clips.sha256)
        reused = args.split is not None
        folds = read_folds(args.split, clips)[0] if reused else make_folds(clips, args.folds or 5, recipe.seed)
        _check_recipe(recipe, args.init, clips)
    with launch(args.device, recipe.precision) as fabric:
        console = Console(highlight=False, quiet=not fabric.is_global_zero)
        fabric.barrier()  # nobody writes before everybody has looked
        if not args.resume and fabric.is_global_zero:
            args.out.mkdir(parents=True, exist_ok=True)
            write_folds(args.out / FOLDS, clips, folds, recipe.seed)
        fabric.barrier()
        if not args.resume:
            folds, sha256 = read_folds(args.out / FOLDS, clips)
            recipe = build_recipe(recipe.model_dump() | {"folds": sha256}, "options")
            if fabric.is_global_zero:
                write_recipe(args.out, recipe)
        console.print(_describe(clips, folds))
        try:
            _run_folds(args, clips, folds, recipe, fabric, console)
        except KeyboardInterrupt:
            command = f"python -m trainer crossval --data {args.data} --out {args.out} --resume"
            console.print(f"folds and epochs that are done are kept; go on with: {command}", soft_wrap=True)
            raise
    return 0


def _check_recipe(recipe: Recipe, init: Path | None, clips: Clips) -> None:
    """Refuse what no fold could be trained by, before there is a folder. Raises InputError."""
    import torch

    from trainer.data.ground_truth import true_defect_scores
    from trainer.training.loop import Training
    from trainer.training.state import read_checkpoint

    if recipe.patience and not recipe.holdout:
        raise InputError("--patience needs clips to validate on; give a --holdout above 0")
    if recipe.criteria:
        true_defect_scores(clips)  # raises where the clips have none
    training = Training(recipe, torch.device("cpu"))
    check_shape(training, clips)
    if init:
        known = "" if init.suffix == ".safetensors" else read_checkpoint(init, training.device)["recipe"].get("data")
        if known == recipe.data:
            raise InputError(
                f"--init {init}: was trained on these very clips, so no fold would be scored unseen; begin from "
                "weights that never saw them"
            )
        training.start_from(init, recipe.init_part)


def _run_folds(
    args: argparse.Namespace,
    clips: Clips,
    folds: Sequence[Sequence[int]],
    recipe: Recipe,
    fabric: "Fabric",
    console: Console,
) -> None:
    results = []
    for number, fold in enumerate(folds, start=1):
        out: Path = args.out / f"fold-{number}"
        if not (out / METRICS).exists():
            begun = (out / "recipe.json").exists()
            fabric.barrier()
            console.print(f"[bold]fold {number} of {len(folds)}[/bold]{', taken up again' if begun else ''}")
            if recipe.init and not begun and not args.init:
                raise InputError(f"fold {number} has not begun; give the same --init as before")
            own = build_recipe(recipe.model_dump() | {"fold": number}, str(out))
            train_one(Job(clips, None, own, out, begun, args.init, None), fold, fabric, console)
            _score(out, number, clips, fold, fabric)
        fabric.barrier()
        results.append(json.loads((out / METRICS).read_bytes()))
    summary = summarise(results)
    if fabric.is_global_zero:
        data = {"sha256": clips.sha256, "clips": len(clips)}
        everything = {"notice": NOTICE, "data": data, "recipe": recipe.model_dump(mode="json"), "folds": results}
        _write_json(args.out / METRICS, everything | summary)
    console.print(fold_table(results, summary))
    console.print(NOTICE)
    console.print(f"{args.out / METRICS}", soft_wrap=True)


def _score(out: Path, number: int, clips: Clips, fold: Sequence[int], fabric: "Fabric") -> None:
    """Score a fold's best network on the fold; write predictions and then metrics, which mark the fold as finished."""
    from trainer.data.splits import SPLIT, read_split
    from trainer.model.weights import load_weights
    from trainer.training.loop import BEST, predict_shared

    loaded = load_weights(out / BEST)
    predicted = predict_shared(loaded.network.to(fabric.device), clips, fold, fabric)
    target = clips.distributions
    seen = read_split(out / SPLIT, clips)
    scores = {"model": score(predicted, target[list(fold)])}
    for name, constant in reference_predictors(target[seen.train + seen.validation], len(fold)).items():
        scores[name] = score(constant, target[list(fold)])
    if fabric.is_global_zero:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["id", *GRADES])
        writer.writerows([clips.rows[index].id, *row.tolist()] for index, row in zip(fold, predicted, strict=True))
        write_atomically(out / PREDICTIONS, text.getvalue().encode())
        result = {
            "fold": number,
            "clips": len(fold),
            "epoch": loaded.log[-1]["epoch"],
            "scores": {name: dataclasses.asdict(item) for name, item in scores.items()},
        }
        _write_json(out / METRICS, result)


def summarise(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return mean and standard deviation over the folds (divided by n - 1) of every measure of every predictor.

    Args:
        results: One per fold, each with ``scores``: measure by name, by predictor.
    """
    mean: dict[str, Any] = {}
    sd: dict[str, Any] = {}
    for predictor, measures in results[0]["scores"].items():
        tables = {name: np.array([result["scores"][predictor][name] for result in results]) for name in measures}
        mean[predictor] = {name: table.mean(axis=0).tolist() for name, table in tables.items()}
        sd[predictor] = {name: table.std(axis=0, ddof=1).tolist() for name, table in tables.items()}
    return {"mean": mean, "sd": sd}


def _describe(clips: Clips, folds: Sequence[Sequence[int]]) -> Table:
    table = Table(title=f"{len(clips)} clips of {len(set(clips.sources))} sources: most-voted grades")
    for name in ("fold", "clips", "sources", *GRADES):
        table.add_column(name, justify="right")
    for number, fold in enumerate(folds, start=1):
        sources = {clips.rows[index].source for index in fold}
        table.add_row(*(str(value) for value in (number, len(fold), len(sources), *fold_counts(clips, fold))))
    return table


def fold_table(results: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> Table:
    """Return the table of the folds' scores, and of their mean and sd, for people. Arguments as of ``summarise``."""
    table = Table(
        title="each fold scored by the network that never saw it",
        caption="MSE, JS: x100; ECE: calibration error; n: balanced accuracy of the n-th\n"
        "most voted grade in %, and their mean; mean votes: predicts the mean of the\ntraining clips",
        box=box.SIMPLE,
        padding=0,
        pad_edge=False,
    )  # as narrow as ten figures need: 80 columns
    for name in ("", "MSE", "JS", "EMD", "ECE", *(f"n={n + 1}" for n in range(len(GRADES))), "mean"):
        table.add_column(name, justify="right", no_wrap=True)
    for result in results:
        table.add_row(f"fold {result['fold']}", *_figures(result["scores"]["model"]))
    table.add_section()
    table.add_row("mean", *_figures(summary["mean"]["model"]))
    table.add_row("sd", *_figures(summary["sd"]["model"]))
    table.add_section()
    table.add_row("mean votes", *_figures(summary["mean"]["mean distribution"]))
    table.add_row("sd", *_figures(summary["sd"]["mean distribution"]))
    return table


def _figures(measures: Mapping[str, Any]) -> list[str]:
    each = [measures[name] for name in ("mse_x100", "js_x100", "emd", "calibration_error")]
    shares = [*measures["balanced_accuracy"], measures["mean_balanced_accuracy"]]
    return [
        *(f"{value:.2f}" if value >= 10 else f"{value:.3f}" for value in each),
        *(f"{100 * share:.1f}" for share in shares),
    ]


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
