"""``python -m trainer evaluate``: score a training run, an exported model or a cross-validation on clips not seen.

Prints tables; with --out it writes ``metrics.json`` (everything), ``figures.json`` (the main numbers, flat, as
``python -m trainer export --metrics`` takes them), ``predictions.csv`` (clip by clip) and plots as PNG and SVG. The
measures are in ``trainer.evaluation.metrics``, the pictures in ``trainer.evaluation.plots``.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from station.errors import InputError
from station.files import write_atomically
from station.notice import NOTICE
from station.transport.messages import GRADES
from trainer.commands.crossval import fold_table, summarise
from trainer.data.ablations import ABLATIONS, HEAD_UM, Pixels
from trainer.data.dataset import Clips, open_clips, read_hashes
from trainer.data.splits import FOLDS, SPLIT, read_folds, read_split
from trainer.data.tables import table
from trainer.evaluation.metrics import Scores
from trainer.evaluation.predictors import Predictor, model_grader, predict, run_grader
from trainer.evaluation.report import (
    MEAN,
    MODE,
    MODEL,
    SECOND,
    Scored,
    compare,
    figures,
    metrics,
    per_clip,
    pool,
    ratios,
)
from trainer.evaluation.report import second_panel as second_panel
from trainer.training.recipe import read_recipe

Array = NDArray[np.float64]

Change = Callable[[Pixels, int], Pixels]
"""Of a clip (T, H, W), with its index."""

BEST: Final = "best.pt"
EPILOG: Final = """\
examples:
  python -m trainer evaluate --run RUN --data HELD_OUT --reference DATA --out SCORES
  python -m trainer evaluate --model models/demo --data HELD_OUT --ablate all
  python -m trainer evaluate --crossval CV --data DATA --out SCORES

docs/training.md says what each figure means. For research use only. Not for use in diagnostic procedures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", type=Path, metavar="RUN", help="training run: its best.pt is scored")
    what.add_argument("--model", type=Path, metavar="DIR", help="exported model: scored as the station runs it")
    what.add_argument("--crossval", type=Path, metavar="CV", help="cross-validation: each clip is scored by the "
                      "network of the fold that never saw it; per fold, and mean and sd")  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="folder of clips to score on (of a "
                        "cross-validation: the folder it was made for)")  # fmt: skip
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="DATA",
        help="folder whose mean distribution and mode the reference predictors give (the training data; default: the "
        "scored clips themselves, whose mean no other constant beats)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for metrics, predictions and plots")
    parser.add_argument(
        "--ablate", default="", metavar="LIST",
        help=f"also score without some of the input, {', '.join(ABLATIONS)} (with commas between them), or all: the "
        "middle frame repeated; the head blanked; everything but the head blanked",
    )  # fmt: skip
    parser.add_argument("--head-um", type=float, default=HEAD_UM, metavar="UM",
                        help="diameter of the disc that is a head's, for --ablate (default: %(default)g)")  # fmt: skip
    parser.add_argument("--bootstrap", type=int, default=1000, metavar="N",
                        help="draws for the confidence intervals (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the draws and of what is blanked (default: 1)")
    parser.add_argument("--no-plots", action="store_true", help="leave the plots out")
    parser.add_argument("--device", default="cpu", help="of a run or cross-validation: cpu or cuda (default: cpu)")


def run(args: argparse.Namespace) -> int:
    """Score."""
    names = _ablations(args)
    clips = open_clips(args.data)
    caution = _caution(args, clips)
    edge_um = min(clips.shape[1:]) * min(row.um_per_px for row in clips.rows)
    if set(names) - {"freeze"} and args.head_um >= edge_um:
        raise InputError(f"--head-um {args.head_um:g}: the clips show {edge_um:g} um; give less")
    changes = {name: partial(_changed, clips, name, args.head_um, args.seed) for name in names}
    if args.crossval:
        if args.reference:
            raise InputError("--crossval: each fold's own training clips are the reference; leave out --reference")
        parts = _folds(args.crossval, clips, changes, args.device)
        scored = pool([part for part, _ in parts])
        ablated = {name: np.concatenate([found[name] for _, found in parts]) for name in changes}
    else:
        reference = open_clips(args.reference, verify=False) if args.reference else clips
        grader = run_grader(args.run / BEST, args.device) if args.run else model_grader(args.model)
        every = range(len(clips))
        scored = compare(clips, every, predict(grader, clips, every), reference.distributions)
        ablated = _ablated(grader, clips, every, changes)
        parts = []
    scores = scored.scores()
    everything: dict[str, Any] = {"scored": str(args.run or args.model or args.crossval)}
    everything |= {"caution": caution} | metrics(scored, scores, ablated, args.bootstrap, args.seed)
    if args.ablate:
        everything["ablation_settings"] = {"head_um": args.head_um, "seed": args.seed}
    if parts:
        folds = [{"fold": n, "clips": len(part.chosen), "scores": _plain(part.scores())}
                 for n, (part, _) in enumerate(parts, start=1)]  # fmt: skip
        everything |= {"folds": folds, **summarise(folds)}
    console = Console(highlight=False)
    _print(console, everything, scores)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        _write_json(args.out / "metrics.json", everything)
        _write_json(args.out / "figures.json", figures(scores, len(scored.chosen)))
        write_atomically(args.out / "predictions.csv", table(*per_clip(scored)))
        if not args.no_plots:
            _plot(console, args.out, scored, everything)
    if caution:
        console.print(f"caution: {caution}", style="bold", soft_wrap=True)
    console.print(NOTICE)
    return 0


def _caution(args: argparse.Namespace, clips: Clips) -> str:
    """Return why the figures may flatter: the scored clips helped to make the model. Empty where nothing shows that."""
    if args.run:
        recipe = read_recipe(args.run)
        if clips.sha256 == recipe.data:
            return "this run was trained on these clips: the figures say nothing about others"
        if clips.sha256 == recipe.validation:
            return "these clips chose this run's best epoch: the figures flatter a little"
    if args.reference:
        known = set(read_hashes(args.reference).values())
        hashes = read_hashes(clips.root)
        shared = sum(hashes[row.file] in known for row in clips.rows)
        if shared:
            return f"{shared} of the {len(clips)} scored clips are in {args.reference} too"
        both = set(clips.sources) & set(open_clips(args.reference, verify=False).sources)
        if both:
            return (
                f"{len(both)} sources (donors or videos) of the scored clips are in {args.reference} too, such as "
                f"{min(both)}: if a model was trained on them the figures flatter"
            )
    return ""


def _ablations(args: argparse.Namespace) -> list[str]:
    """Return the names of the ablations asked for. Raises InputError for options that cannot be."""
    if args.bootstrap < 1 or args.seed < 0:
        raise InputError(f"--bootstrap must be at least 1 and --seed at least 0, are {args.bootstrap} and {args.seed}")
    if not 0 < args.head_um < float("inf"):
        raise InputError(f"--head-um {args.head_um:g}: must be above 0")
    names = list(ABLATIONS) if args.ablate == "all" else [name for name in args.ablate.split(",") if name]
    unknown = [name for name in names if name not in ABLATIONS]
    if unknown:
        raise InputError(f"--ablate {unknown[0]}: expected some of {', '.join(ABLATIONS)}, or all")
    return list(dict.fromkeys(names))


def _changed(clips: Clips, name: str, head_um: float, seed: int, clip: Pixels, index: int) -> Pixels:
    """Return a clip of the folder without what an ablation takes out."""
    return ABLATIONS[name](clip, head_um / 2 / clips.rows[index].um_per_px, seed + index)


def _ablated(grader: Predictor, clips: Clips, chosen: Sequence[int], changes: Mapping[str, Change]) -> dict[str, Array]:
    """Return (N, C) predictions for the chosen clips with each change."""
    return {name: predict(grader, clips, chosen, change, name) for name, change in changes.items()}


def _folds(
    folder: Path, clips: Clips, changes: Mapping[str, Change], device: str
) -> list[tuple[Scored, dict[str, Array]]]:
    """Return each fold's clips as predicted by its own network, and the same with each change."""
    folds, _ = read_folds(folder / FOLDS, clips)
    found = []
    for number, fold in enumerate(folds, start=1):
        run = folder / f"fold-{number}"
        if not (run / BEST).exists():
            raise InputError(f"{run}: no {BEST}, so this fold is not done; finish it with crossval --resume")
        split = read_split(run / SPLIT, clips)
        if sorted(split.test) != sorted(fold):
            raise InputError(f"{run / SPLIT}: was not trained for this fold of {FOLDS}; train it again")
        grader = run_grader(run / BEST, device)
        predicted = predict(grader, clips, fold, what=f"fold {number}")
        part = compare(clips, fold, predicted, clips.distributions[split.train + split.validation])
        found.append((part, _ablated(grader, clips, fold, changes)))
    return found


def _plain(scores: Mapping[str, Scores]) -> dict[str, Any]:
    return {name: dataclasses.asdict(item) for name, item in scores.items()}


def _print(console: Console, everything: Mapping[str, Any], scores: Mapping[str, Scores]) -> None:
    _print_scores(console, everything, scores)
    if "folds" in everything:
        console.print(fold_table(everything["folds"], everything))
    if everything["ablations"]:
        _print_ablations(console, everything)
    grid = Table(title="most selected grade:\nraters down, model across", box=SIMPLE_HEAD)
    for name in ("", *GRADES):
        grid.add_column(name, justify="right")
    for grade, line in zip(GRADES, everything["confusion"], strict=True):
        grid.add_row(grade, *(str(value) for value in line))
    console.print(grid)


MEASURES: Final = {
    "MSE x100": "mse_x100",
    "JS x100": "js_x100",
    "EMD": "emd",
    "calibration error": "calibration_error",
    "entropy": "entropy",
}
SHORT: Final = {MEAN: "mean", MODE: "mode", SECOND: "panel"}
"""What stands over a column, which must be narrow."""


def _print_scores(console: Console, everything: Mapping[str, Any], scores: Mapping[str, Scores]) -> None:
    count, raters = everything["data"]["clips"], everything["raters_entropy"]
    shown = Table(
        title=f"{count} clips (the raters' entropy: {raters:.3f})",
        caption="mean, mode: what predicts without looking at a clip; panel: other raters on the same clips",
        box=SIMPLE_HEAD,
    )
    shown.add_column("", no_wrap=True)
    for name in scores:
        shown.add_column(SHORT.get(name, name), justify="right", no_wrap=True)
        if name == MODEL:
            shown.add_column("95 % interval", justify="right", no_wrap=True)

    def row(text: str, values: Sequence[float], key: str = "") -> None:
        interval = everything["intervals"].get(key)
        cells = [f"{value:.3f}" for value in values]
        cells.insert(1, f"{interval[0]:.3f} - {interval[1]:.3f}" if interval else "")
        shown.add_row(text, *cells)

    every = list(scores.values())
    for text, name in MEASURES.items():
        row(text, [getattr(item, name) for item in every], name)
    row("MSE / mean's", [ratios(scores, name)["mse"] for name in scores], "mse_ratio")
    row("JS / mean's", [ratios(scores, name)["js"] for name in scores], "js_ratio")
    for n in range(len(GRADES)):
        key = "" if n else "top_grade_balanced_accuracy"
        row(f"bal. accuracy, n = {n + 1}", [item.balanced_accuracy[n] for item in every], key)
    row("bal. accuracy, mean", [item.mean_balanced_accuracy for item in every], "mean_balanced_accuracy")
    console.print(shown)


def _print_ablations(console: Console, everything: Mapping[str, Any]) -> None:
    shown = Table(title="without some of the input", box=SIMPLE_HEAD)
    for name in ("", "MSE x100", "times", "/ mean's", "JS x100", "times", "bal. acc., n = 1"):
        shown.add_column(name, justify="left" if not name else "right", no_wrap=True)
    model = everything["scores"][MODEL]
    unchanged = everything["ratio_to_mean"][MODEL]["mse"]
    shown.add_row("unchanged", f"{model['mse_x100']:.3f}", "1.000", f"{unchanged:.3f}", f"{model['js_x100']:.3f}",
                  "1.000", f"{model['balanced_accuracy'][0]:.3f}")  # fmt: skip
    for name, item in everything["ablations"].items():
        shown.add_row(
            name,
            f"{item['scores']['mse_x100']:.3f}",
            f"{item['mse_over_unchanged']:.3f}",
            f"{item['ratio_to_mean']['mse']:.3f}",
            f"{item['scores']['js_x100']:.3f}",
            f"{item['js_over_unchanged']:.3f}",
            f"{item['scores']['balanced_accuracy'][0]:.3f}",
        )
    console.print(shown)


def _plot(console: Console, out: Path, scored: Scored, everything: Mapping[str, Any]) -> None:
    """Draw; without matplotlib say so, as the figures are there already."""
    try:
        from trainer.evaluation.plots import draw_all
    except ImportError:
        console.print('no plots: matplotlib is not installed; pip install ".[train]" brings it')
        return
    names = draw_all(out, scored, everything)
    text = f"{out}: metrics.json, figures.json, predictions.csv, {', '.join(names)} (each PNG and SVG)"
    console.print(text, soft_wrap=True)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
