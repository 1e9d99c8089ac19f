"""``python -m trainer pretrain``: teach a fresh network to see, on films of simulated sperm, before it is trained.

A vision transformer that is given votes alone needs far more clips than a computer without a GPU can show it. The
simulation knows where head and tail lie in every frame and how the sperm is made, so the patch tokens are taught that
first: alone, without attention, which is cheap (``tokens``); then in the whole network, a few frames a clip, together
with the criteria and the votes (``frames``). The result is a checkpoint for ``python -m trainer train --init``.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from station.errors import InputError, MissingExtraError
from station.files import write_atomically
from trainer.data.synthetic import FRAMES, SHARES
from trainer.pretraining.synthetic import lessons
from trainer.training.recipe import build_recipe

SAVED_EVERY: Final = 500
"""Batches between two checkpoints."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder to make; must not exist")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (default: %(default)s)")
    parser.add_argument("--network", action="append", default=[], metavar="FIELD=VALUE",
                        help="change a field of the preset's network, such as depth=4 (repeatable)")  # fmt: skip
    parser.add_argument("--init", type=Path, metavar="CHECKPOINT",
                        help="go on from another pretraining: its last.pt")  # fmt: skip
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
                        help="processes that film (default: none, the training process does)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=0, help="threads of torch (default: torch's choice)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32",
                        help="of the matrix products (default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Pretrain."""
    try:
        import torch

        from trainer.pretraining.loop import Pupil, Stage
    except ImportError as error:
        raise MissingExtraError('pretraining needs torch; install it with pip install ".[train]"') from error
    _check(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    changes = dict(_assignment(text) for text in args.network) | {"frames": args.frames}
    recipe = build_recipe({"network": changes, "seed": args.seed, "data": f"films:{args.seed}"}, "options")
    pupil = Pupil(recipe, args.precision == "bfloat16")
    if args.init:
        pupil.load(args.init)
    args.out.mkdir(parents=True)
    write_atomically(args.out / "recipe.json", (recipe.model_dump_json(indent=1) + "\n").encode())
    console = Console(highlight=False, soft_wrap=True)
    started = time.monotonic()
    # The tokens are not told the votes, so they get the shares that are quickest to draw.
    plan: tuple[tuple[Stage, int, float, int, str], ...] = (
        ("tokens", args.token_clips, args.token_lr, FRAMES, "table1"),
        ("frames", args.clips, args.lr, args.frames, args.shares),
    )
    for stage, count, rate, frames, shares in plan:
        if count:
            batches = lessons(args.seed, frames, shares, args.workers)
            for entry in pupil.learn(stage, batches, by_clips(count), rate):
                entry |= {"hours": round((time.monotonic() - started) / 3600, 3)}
                console.print(", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                                        for name, value in entry.items()))  # fmt: skip
                sys.stdout.flush()
                pupil.log.append(entry)
                if entry["batch"] % SAVED_EVERY == 0:
                    pupil.save(args.out / "last.pt")
            batches.close()
            pupil.save(args.out / "last.pt")
    lines = "".join(json.dumps(past) + "\n" for past in pupil.log)
    write_atomically(args.out / "log.jsonl", lines.encode())
    console.print(f"{args.out}: go on with python -m trainer train --init {args.out / 'last.pt'}")
    return 0


def by_clips(count: int) -> Callable[[int], float]:
    """Return what tells the share of a stage that is done from the clips seen."""
    return lambda seen: seen / count


def _assignment(text: str) -> tuple[str, Any]:
    """Return FIELD=VALUE as name and value; the value is JSON where it reads as such."""
    name, sign, value = text.partition("=")
    if not sign:
        raise InputError(f"--network {text}: expected FIELD=VALUE, such as depth=4")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _check(args: argparse.Namespace) -> None:
    """Refuse options that cannot be."""
    if args.out.exists():
        raise InputError(f"--out {args.out} exists already; remove it or give another folder")
    if min(args.token_clips, args.clips, args.seed, args.workers) < 0 or args.token_clips + args.clips == 0:
        raise InputError("--token-clips, --clips, --seed and --workers must be at least 0, and some clips be asked for")
    if args.frames < 1 or FRAMES % args.frames:
        raise InputError(f"--frames {args.frames} must divide the {FRAMES} frames of a clip")
    if not (args.lr > 0 and args.token_lr > 0):
        raise InputError("--lr and --token-lr must be above 0")
