"""``python -m trainer crossval``: train once for every fold of the data; score each network on the fold it never saw.

Folds keep the clips of one source video together and are stratified by the most-voted grade. Within a fold's other
clips a share of the sources (``--holdout``) chooses the best epoch and stops early, so that the fold itself decides
nothing and its score is not flattered; ``--holdout 0`` trains on all of them and scores the last epoch.
"""

import argparse
from pathlib import Path
from typing import Final

from station.console import Console
from station.errors import InputError
from station.notice import NOTICE
from trainer.data.dataset import open_clips
from trainer.evaluation.folds import METRICS, fold_overview, fold_table
from trainer.training.cross_validation import new_cross_validation, resumed_cross_validation, train_folds
from trainer.training.options import add_recipe_options, new_recipe, resumed_recipe
from trainer.training.run import check_new, require_training, set_threads

EPILOG: Final = """\
CV holds folds.json (the split), fold-1, fold-2, ... (each a run of python -m trainer train, with its own metrics.json
and predictions.csv) and metrics.json: every fold, mean and standard deviation (of the folds, n - 1). A run that was cut
off continues with --resume: finished folds are kept, an unfinished one continues after its last whole epoch.

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
    parser.add_argument("--resume", action="store_true", help="continue the cross-validation in --out")
    add_recipe_options(parser)


def run(args: argparse.Namespace) -> int:
    """Train and score every fold."""
    require_training()
    from trainer.training.fabric import first_of_machine, open_fabric

    set_threads(args.threads)
    clips = open_clips(args.data, verify=first_of_machine())
    if args.resume:
        if args.folds or args.split:
            raise InputError("--resume uses the folds in --out; leave out --folds and --split")
        recipe = resumed_recipe(args, clips)
        validation = resumed_cross_validation(clips, recipe, args.out, args.init)
    else:
        check_new(args.out)
        recipe = new_recipe(args, data=clips.sha256)
        validation = new_cross_validation(clips, recipe, args.out, args.init, args.split, args.folds or 5)
    with open_fabric(args.device, recipe.precision) as fabric:
        console = Console(quiet=not fabric.is_global_zero)
        fabric.barrier()  # nobody writes before everybody has looked
        if not args.resume:
            validation = validation.begin(fabric)
        console.print(fold_overview(clips, validation.folds))
        try:
            runs, summary = train_folds(validation, fabric, console)
        except KeyboardInterrupt:
            command = f"python -m trainer crossval --data {args.data} --out {args.out} --resume"
            console.print(f"finished folds and epochs are kept; go on with: {command}", soft_wrap=True)
            raise
        console.print(fold_table(runs, summary))
        console.print(NOTICE)
        console.print(f"{args.out / METRICS}", soft_wrap=True)
    return 0
