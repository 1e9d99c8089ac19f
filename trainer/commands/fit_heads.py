"""``python -m trainer fit-heads``: grow a trained network to more frames and fit its grade heads to the end.

The way from a network that was trained on few frames, which is cheap, to one that takes whole clips.
"""

import argparse
from pathlib import Path

from station.errors import InputError, MissingExtraError
from station.output import say
from trainer.data.dataset import open_clips


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--run", type=Path, required=True, metavar="RUN", help="training run to begin from: its last.pt"
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="folder of clips to fit to")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the new run; must not exist")
    parser.add_argument("--frames", type=int, default=16, help="frames of the new network (default: %(default)s)")
    parser.add_argument("--fit-frames", type=int, default=4,
                        help="frames of a clip that the heads are fitted on (default: %(default)s)")  # fmt: skip
    parser.add_argument("--clips", type=int, metavar="N", help="fit to the first N clips (default: all)")
    parser.add_argument("--decay", type=float, default=3e-3, help="decay of the heads' weights (default: %(default)s)")
    parser.add_argument(
        "--evenness",
        type=float,
        metavar="E",
        help="weight the clips as if their most-voted grades had the paper's shares (0), equal shares (1) or shares in "
        "between: the more even, the more often rare grades are predicted, and the larger the error (default: no "
        "weighting)",
    )


def run(args: argparse.Namespace) -> int:
    """Grow and fit."""
    try:
        from trainer.training.refit import Refit, refit
    except ImportError as error:
        raise MissingExtraError('fitting needs torch; install it with pip install ".[train]"') from error
    if args.out.exists():
        raise InputError(f"--out {args.out} exists already; remove it or give another folder")
    clips = open_clips(args.data)
    if min(args.frames, args.fit_frames) < 1 or clips.shape[0] % args.frames or clips.shape[0] % args.fit_frames:
        raise InputError(f"--frames and --fit-frames must divide the clips' {clips.shape[0]} frames; change the option")
    if args.evenness is not None and not 0 <= args.evenness <= 1:
        raise InputError(f"--evenness {args.evenness}: expected a number from 0 to 1")
    if (args.clips is not None and args.clips < 1) or not 0 <= args.decay < float("inf"):
        raise InputError("--clips must be at least 1 and --decay at least 0; change the option")
    job = Refit(
        run=args.run, clips=clips, out=args.out, frames=args.frames, fit_frames=args.fit_frames, count=args.clips,
        decay=args.decay, evenness=args.evenness,
    )  # fmt: skip
    say(f"{args.out}: heads fitted, cross-entropy {refit(job):.4f}")
    return 0
