"""``python -m trainer simulate``: make a folder of simulated clips with the votes of simulated raters.

What is in the folder, and how it is made: ``trainer.data.synthetic``.
"""

import argparse
from pathlib import Path

from station.errors import InputError
from station.output import say
from trainer.data.synthetic import SHARES, simulate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--clips", type=int, required=True, metavar="N", help="how many clips")
    parser.add_argument(
        "--seed", type=int, required=True, metavar="S", help="two folders of one seed share their clips"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DATA", help="folder to make; must not exist")
    parser.add_argument(
        "--shares",
        choices=SHARES,
        default="mixed",
        help="how the most-voted grades are spread: as in the paper's Table 1, or half-way from there to equal shares, "
        "which is better to learn from (default: %(default)s)",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="W", help="processes (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Make the folder."""
    if args.clips < 1 or args.workers < 1 or args.seed < 0:
        raise InputError("--clips and --workers must be at least 1 and --seed at least 0; correct the option")
    if args.out.exists():
        raise InputError(f"--out {args.out} exists already; remove it or give another folder")
    simulate(args.out, args.clips, args.seed, args.shares, args.workers)
    say(f"{args.clips} clips in {args.out}")
    return 0
