"""``python -m trainer pretrain``: teach a new network to see before it is trained on votes.

A vision transformer that is given votes alone needs far more clips than a computer without a GPU can show it. Two ways,
by what ``--clips`` is:

- a folder of clips, votes or not: a lab's own recordings. Most of each clip is hidden and the network predicts what was
  hidden (``trainer.pretraining.masked``).
- a number: films of simulated sperm. The simulation knows where head and tail lie in every frame and how the sperm is
  made, so the patch tokens learn that first: alone, without attention, which is cheap (``tokens``); then in the whole
  network, a few frames a clip, together with the criteria and the votes (``frames``).

The result is a checkpoint for ``python -m trainer train --init``.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Final

from station.console import Console
from station.errors import InputError, MissingExtraError
from station.files import write_atomically
from station.output import say
from trainer.data.dataset import open_clips
from trainer.data.synthetic import FRAMES, SHARES
from trainer.training.options import network_changes
from trainer.training.recipe import LAST, build_recipe, write_recipe

EPILOG: Final = """\
examples:
  python -m trainer pretrain --clips UNLABELLED --out SEEN       on your own clips, without votes
  python -m trainer pretrain --out SEEN                          on simulated films
  python -m trainer train --data DATA --init SEEN/last.pt --out RUN"""
OF_FILMS: Final = ("token_clips", "token_lr", "shares", "workers")
OF_CLIPS: Final = ("epochs", "hidden")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder to make; must not exist")
    parser.add_argument("--seed", type=int, default=1, help="random seed (default: %(default)s)")
    parser.add_argument("--network", action="append", default=[], metavar="FIELD=VALUE",
                        help="change a field of the preset's network, such as depth=4 (repeatable)")  # fmt: skip
    parser.add_argument("--init", type=Path, metavar="CHECKPOINT",
                        help="continue from another pretraining: its last.pt")  # fmt: skip
    parser.add_argument("--clips", default="30000", metavar="DATA|N",
                        help="a folder of your own clips, or how many films of simulated sperm are shown to the whole "
                        "network (default: %(default)s)")  # fmt: skip
    parser.add_argument("--frames", type=int, default=4,
                        help="frames of each of these, spread over its second (default: %(default)s)")  # fmt: skip
    parser.add_argument("--epochs", type=int, metavar="N", help="of a folder: passes over its clips (default: 50)")
    parser.add_argument("--hidden", type=float, metavar="SHARE",
                        help="of a folder: share of the patches that is hidden (default: 0.75)")  # fmt: skip
    parser.add_argument(
        "--token-clips", type=int, metavar="N", help="of films: clips shown to the patch tokens alone (default: 30000)"
    )
    parser.add_argument("--token-lr", type=float, help="of films: learning rate of the tokens (default: 1e-3)")
    parser.add_argument("--lr", type=float, default=5e-4, help="learning rate (default: %(default)s)")
    parser.add_argument("--shares", choices=SHARES, help="of films: as in simulate (default: mixed)")
    parser.add_argument(
        "--workers", type=int, metavar="W", help="of films: processes that make them (default: the training process)"
    )
    parser.add_argument("--threads", type=int, default=0, help="threads of torch (default: torch's choice)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32",
                        help="of the matrix products (default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Pretrain."""
    if args.out.exists():
        raise InputError(f"--out {args.out} exists already; remove it or give another folder")
    if args.frames < 1:
        raise InputError(f"--frames {args.frames}: expected 1 or more")
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError('pretraining needs torch; install it with pip install ".[train]"') from error
    if args.threads:
        torch.set_num_threads(args.threads)
    films = args.clips.lstrip("-").isdigit()
    for name in OF_CLIPS if films else OF_FILMS:
        if getattr(args, name) is not None:
            other = "--clips is a number of films" if films else "--clips is a folder"
            raise InputError(f"--{name.replace('_', '-')}: does nothing here, as {other}; leave it out")
    if films:
        _on_films(args)
    else:
        _on_clips(args)
    say(f"{args.out}: go on with python -m trainer train --init {args.out / LAST}")
    return 0


def _on_clips(args: argparse.Namespace) -> None:
    """Learn from a lab's own clips."""
    from trainer.pretraining.masked import MaskedPlan, MaskedPretrainer, Passed

    plan = MaskedPlan(
        50 if args.epochs is None else args.epochs, args.lr, 0.75 if args.hidden is None else args.hidden,
        args.precision == "bfloat16",
    )  # fmt: skip
    if plan.epochs < 1 or not plan.rate > 0 or not 0 < plan.hidden < 1:
        raise InputError("--epochs must be at least 1, --lr above 0, and --hidden between 0 and 1")
    clips = open_clips(Path(args.clips), unlabelled=True)
    network = network_changes(args.network) | {"frames": args.frames}
    recipe = build_recipe({"network": network, "seed": args.seed, "data": clips.sha256}, "options")
    pretrainer = MaskedPretrainer(recipe, clips, plan)
    if args.init:
        pretrainer.load(args.init)
    args.out.mkdir(parents=True)
    write_recipe(args.out, recipe)
    console, log = Console(soft_wrap=True), list[Passed]()
    for passed in pretrainer.run():
        log.append(passed)
        held = "" if passed.held_out is None else f", {passed.held_out:.3f} of other sources"
        console.print(f"pass {passed.epoch} of {plan.epochs}: unexplained {passed.unexplained:.3f}{held}")
        pretrainer.save(args.out / LAST, log)
    lines = "".join(json.dumps(asdict(entry)) + "\n" for entry in log)
    write_atomically(args.out / "log.jsonl", lines.encode())


def _on_films(args: argparse.Namespace) -> None:
    """Learn from simulated sperm."""
    from trainer.pretraining.run import PhasePlan, PretrainingJob, pretrain, token_plan

    clips = int(args.clips)
    token_clips = 30000 if args.token_clips is None else args.token_clips
    token_rate = 1e-3 if args.token_lr is None else args.token_lr
    workers = args.workers or 0
    if min(token_clips, clips, args.seed, workers) < 0 or token_clips + clips == 0:
        raise InputError(
            "--token-clips, --clips, --seed and --workers must be at least 0, and one of the first two above 0"
        )
    if FRAMES % args.frames:
        raise InputError(f"--frames {args.frames} must divide the {FRAMES} frames of a clip")
    if not (args.lr > 0 and token_rate > 0):
        raise InputError("--lr and --token-lr must be above 0")
    network = network_changes(args.network) | {"frames": args.frames}
    recipe = build_recipe({"network": network, "seed": args.seed, "data": f"films:{args.seed}"}, "options")
    plans = (
        token_plan(token_clips, token_rate),
        PhasePlan("frames", clips, args.lr, args.frames, args.shares or "mixed"),
    )
    job = PretrainingJob(recipe, args.out, args.init, plans, workers, args.precision == "bfloat16")
    pretrain(job, Console(soft_wrap=True))
