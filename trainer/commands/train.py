"""``python -m trainer train``: train a network on a folder of clips, or go on with a run that was cut off."""

import argparse
from pathlib import Path
from typing import Final

from station.console import Console
from station.errors import InputError
from trainer.data.dataset import open_clips
from trainer.training.options import add_recipe_options, new_recipe, resumed_recipe
from trainer.training.run import Job, check_new, require_training, set_threads, train_one

EPILOG: Final = """\
The run's folder holds recipe.json, split.json, last.pt (every epoch), best.pt (least validation MSE), log.jsonl and
curves (tensorboard --logdir RUN). Ctrl-C, a crash or a power failure costs the current epoch at most; --resume
continues as if nothing had happened, bit for bit on a CPU.

examples:
  python -m trainer train --data DATA --out RUN
  python -m trainer train --data DATA --out RUN --resume
  python -m trainer train --data DATA --val OTHER --out RUN --optimizer adamw --schedule cosine --patience 20
  python -m trainer train --data DATA --out RUN --preset base --selected 3 --branch-depth 6 --branch-heads 8 \\
      --init timesformer.safetensors --init-part encoder --precision bfloat16 --device cuda
  torchrun --nproc-per-node 2 -m trainer train --data DATA --out RUN --device cuda"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "%(prog)s --data DATA --out RUN [--resume] [options]"
    parser.epilog = EPILOG
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="folder of clips to train on")
    parser.add_argument("--val", type=Path, metavar="DATA", help="folder to validate on (default: sources held out)")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out with its own recipe")
    parser.add_argument("--stop-after", type=int, metavar="N", help="stop when N epochs are done; --resume continues")
    add_recipe_options(parser)


def run(args: argparse.Namespace) -> int:
    """Train."""
    require_training()
    from trainer.training.fabric import first_of_machine, open_fabric

    if args.stop_after is not None and args.stop_after < 1:
        raise InputError(f"--stop-after {args.stop_after}: expected 1 or more")
    set_threads(args.threads)
    clips = open_clips(args.data, verify=first_of_machine())
    held = open_clips(args.val, verify=first_of_machine()) if args.val else None
    if args.resume:
        if args.init:
            raise InputError("--resume uses the run's own recipe; leave out --init")
        recipe = resumed_recipe(args, clips, held)
    else:
        check_new(args.out)
        if held and held.sha256 == clips.sha256:
            raise InputError(
                "--val is the folder to train on; give another, or leave it out: sources are then held out"
            )
        recipe = new_recipe(args, data=clips.sha256, validation=held.sha256 if held else "")
    with open_fabric(args.device, recipe.precision) as fabric:
        console = Console(quiet=not fabric.is_global_zero)
        job = Job(clips, recipe, args.out, args.resume, held=held, init=args.init, stop_after=args.stop_after)
        try:
            train_one(job, fabric, console)
        except KeyboardInterrupt:
            val = f" --val {args.val}" if args.val else ""
            command = f"python -m trainer train --data {args.data}{val} --out {args.out} --resume"
            console.print(f"finished epochs are kept; go on with: {command}", soft_wrap=True)
            raise
    return 0
