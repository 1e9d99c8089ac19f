"""``python -m trainer pretrain``: teach a new network to see, on films of simulated sperm, before it is trained.

A vision transformer that is given votes alone needs far more clips than a computer without a GPU can show it. The
simulation knows where head and tail lie in every frame and how the sperm is made, so the patch tokens learn that first:
alone, without attention, which is cheap (``tokens``); then in the whole network, a few frames a clip, together with the
criteria and the votes (``frames``). The result is a checkpoint for ``python -m trainer train --init``.
"""

import argparse
from pathlib import Path

from station.console import Console
from station.errors import InputError, MissingExtraError
from station.output import say
from trainer.data.synthetic import FRAMES, SHARES
from trainer.training.options import network_changes
from trainer.training.recipe import LAST, build_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder to make; must not exist")
    parser.add_argument("--seed", type=int, default=1, help="random seed (default: %(default)s)")
    parser.add_argument("--network", action="append", default=[], metavar="FIELD=VALUE",
                        help="change a field of the preset's network, such as depth=4 (repeatable)")  # fmt: skip
    parser.add_argument("--init", type=Path, metavar="CHECKPOINT",
                        help="continue from another pretraining: its last.pt")  # fmt: skip
    parser.add_argument("--token-clips", type=int, default=30000, metavar="N",
                        help="clips of 16 frames shown to the patch tokens alone (default: %(default)s)")  # fmt: skip
    parser.add_argument("--clips", type=int, default=30000, metavar="N",
                        help="clips shown to the whole network (default: %(default)s)")  # fmt: skip
    parser.add_argument("--frames", type=int, default=4,
                        help="frames of each of these, spread over its second (default: %(default)s)")  # fmt: skip
    parser.add_argument("--token-lr", type=float, default=1e-3, help="learning rate (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=5e-4, help="learning rate (default: %(default)s)")
    parser.add_argument("--shares", choices=SHARES, default="mixed", help="as in simulate (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=0, metavar="W",
                        help="processes that simulate clips (default: none, the training process does it)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=0, help="threads of torch (default: torch's choice)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32",
                        help="of the matrix products (default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Pretrain."""
    try:
        import torch

        from trainer.pretraining.run import PhasePlan, PretrainingJob, pretrain, token_plan
    except ImportError as error:
        raise MissingExtraError('pretraining needs torch; install it with pip install ".[train]"') from error
    if args.out.exists():
        raise InputError(f"--out {args.out} exists already; remove it or give another folder")
    if min(args.token_clips, args.clips, args.seed, args.workers) < 0 or args.token_clips + args.clips == 0:
        raise InputError(
            "--token-clips, --clips, --seed and --workers must be at least 0, and one of the first two above 0"
        )
    if args.frames < 1 or FRAMES % args.frames:
        raise InputError(f"--frames {args.frames} must divide the {FRAMES} frames of a clip")
    if not (args.lr > 0 and args.token_lr > 0):
        raise InputError("--lr and --token-lr must be above 0")
    if args.threads:
        torch.set_num_threads(args.threads)
    network = network_changes(args.network) | {"frames": args.frames}
    recipe = build_recipe({"network": network, "seed": args.seed, "data": f"films:{args.seed}"}, "options")
    plans = (
        token_plan(args.token_clips, args.token_lr),
        PhasePlan("frames", args.clips, args.lr, args.frames, args.shares),
    )
    job = PretrainingJob(recipe, args.out, args.init, plans, args.workers, args.precision == "bfloat16")
    pretrain(job, Console(soft_wrap=True))
    say(f"{args.out}: go on with python -m trainer train --init {args.out / LAST}")
    return 0
