"""``python -m trainer evaluate``: score a training run, an exported model or a cross-validation on clips not seen.

Prints tables; with --out it writes ``metrics.json`` (everything), ``figures.json`` (the main numbers, flat, as
``python -m trainer export --metrics`` takes them), ``predictions.csv`` (clip by clip) and plots as PNG and SVG. The
measures are in ``trainer.evaluation.metrics``, the plots in ``trainer.evaluation.plots``.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Final

from station.console import Console
from station.errors import InputError
from station.notice import NOTICE
from trainer.data.dataset import open_clips
from trainer.data.input_changes import HEAD_UM, INPUT_CHANGES
from trainer.evaluation.leakage import find_leakage
from trainer.evaluation.precisions import precision_table, score_precisions
from trainer.evaluation.predictors import parse_heads
from trainer.evaluation.report import ChangeSettings, make_report
from trainer.evaluation.report_files import write_json, write_report
from trainer.evaluation.scoring import InputChanges, Subject, parse_changes, score_folds, score_network
from trainer.evaluation.tables import report_tables

EPILOG: Final = """\
examples:
  python -m trainer evaluate --run RUN --data HELD_OUT --reference DATA --out SCORES
  python -m trainer evaluate --model models/demo --data HELD_OUT --change-input all --precisions
  python -m trainer evaluate --weights W.safetensors --data DATA
  python -m trainer evaluate --crossval CV --data DATA --out SCORES

docs/training.md says what each figure means, and how the figures of the RoSTFine authors' code differ."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", type=Path, metavar="RUN", help="training run: its best.pt is scored")
    what.add_argument("--model", type=Path, metavar="DIR", help="exported model: scored as the station runs it")
    what.add_argument("--weights", type=Path, metavar="FILE", help="imported weights (.safetensors), or any checkpoint")
    what.add_argument("--crossval", type=Path, metavar="CV", help="cross-validation: each clip is scored by the "
                      "network of the fold that never saw it; per fold, and mean and sd")  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="folder of clips to score on (of a "
                        "cross-validation: the folder it was made for)")  # fmt: skip
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="DATA",
        help="folder that the reference predictors take mean distribution and mode from (the training data; default: "
        "the scored clips themselves, whose mean no other constant beats)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for metrics, predictions and plots")
    parser.add_argument(
        "--change-input", default="", metavar="LIST",
        help=f"also score without some of the input, {', '.join(INPUT_CHANGES)} (commas between them), or all: the "
        "middle frame repeated; the head blanked; everything but the head blanked",
    )  # fmt: skip
    parser.add_argument("--ablate", dest="change_input", help=argparse.SUPPRESS)  # its name until now
    parser.add_argument("--heads", default="", metavar="LIST",
                        help="grade by the mean of some of the network's heads alone, such as g,s (global, spatial, "
                             "temporal; default: all that it has)")  # fmt: skip
    parser.add_argument("--head-um", type=float, default=HEAD_UM, metavar="UM",
                        help="diameter of a head's disc, for --change-input (default: %(default)g)")  # fmt: skip
    parser.add_argument("--precisions", action="store_true",
                        help="with --model: also what each precision costs that this machine can run it in; with --out "
                             "also as precisions.json")  # fmt: skip
    parser.add_argument("--bootstrap", type=int, default=1000, metavar="N",
                        help="draws for the confidence intervals (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=1, help="random seed of the draws and of blanked pixels (default: 1)"
    )
    parser.add_argument("--no-plots", action="store_true", help="draw no plots")
    parser.add_argument(
        "--device", default="cpu", help="of a run, weights or a cross-validation: cpu or cuda (default: cpu)"
    )


def run(args: argparse.Namespace) -> int:
    """Score."""
    if args.bootstrap < 1 or args.seed < 0:
        raise InputError(f"--bootstrap must be at least 1 and --seed at least 0, are {args.bootstrap} and {args.seed}")
    if not 0 < args.head_um < float("inf"):
        raise InputError(f"--head-um {args.head_um:g}: must be above 0")
    if args.crossval and args.reference:
        raise InputError("--crossval: each fold's own training clips are the reference; leave out --reference")
    if args.precisions and not args.model:
        raise InputError("--precisions: only an exported model has several; give --model DIR")
    heads = parse_heads(args.heads)
    changes = InputChanges(parse_changes(args.change_input), ChangeSettings(args.head_um, args.seed))
    clips = open_clips(args.data)
    changes.check(clips)
    caution = find_leakage(args.run, args.weights, args.reference, clips)
    if args.crossval:
        evaluated = score_folds(args.crossval, clips, changes, args.device, heads)
    else:
        reference = open_clips(args.reference, verify=False) if args.reference else clips
        train = reference.distributions
        subject = Subject(args.run, args.weights, args.model, args.device, heads)
        evaluated = score_network(subject, clips, train, changes)
    settings = changes.settings if changes.names else None
    report = make_report(evaluated, caution, args.bootstrap, args.seed, settings)
    console = Console()
    if evaluated.frames:
        console.print(f"note: {evaluated.frames}", soft_wrap=True)
    for table in report_tables(report):
        console.print(table)
    precisions, missing = score_precisions(args.model, clips) if args.precisions else ([], [])
    if precisions:
        console.print(precision_table(precisions))
        for line in missing:
            console.print(f"not run: {line}", soft_wrap=True)
    if args.out:
        if precisions:
            args.out.mkdir(parents=True, exist_ok=True)
            write_json(args.out / "precisions.json", {"precisions": [asdict(row) for row in precisions]})
        console.print(write_report(args.out, evaluated.scored, report, plots=not args.no_plots), soft_wrap=True)
    if caution:
        console.print(f"caution: {caution}", style="bold", soft_wrap=True)
    console.print(NOTICE)
    return 0
