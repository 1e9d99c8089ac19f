"""``python -m trainer import``: convert weights that other programs wrote (``trainer.model.foreign_weights``).

Files are read without running any code of theirs (``weights_only``).
"""

import argparse
import dataclasses
from pathlib import Path

from station.console import Console
from station.errors import InputError
from trainer.model.foreign_weights import import_weights
from trainer.model.weights import save_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="state dict or checkpoint (.pt, .pth, .pyth, .safetensors)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="weights to write (.safetensors)")
    parser.add_argument(
        "--key", metavar="NAME", help="which network, where the file holds several, such as model_ema or teacher"
    )
    shape = parser.add_argument_group("network", "What the file does not hold; values that are assumed are printed.")
    shape.add_argument("--selected", type=int, metavar="K", help="patches selected a frame (default: 3)")
    shape.add_argument("--branch-heads", type=int, metavar="H", help="attention heads of the branches (default: 8)")
    shape.add_argument("--score-blocks", type=int, metavar="N", help="last blocks that give the selection scores: the "
                       "authors' --top_attn (default: 1 in the authors' network, else 2)")  # fmt: skip
    shape.add_argument("--heads", type=int, help="attention heads of the encoder (default: width / 64)")
    shape.add_argument("--clip-px", type=int, help="edge of the clips that come in (default: 150)")
    shape.add_argument("--image-px", type=int, help="edge they are resized to (default: the file's)")
    shape.add_argument("--frames", type=int, help="frames of a clip (default: the file's; encoders alone: 16)")
    alone = parser.add_argument_group("files with an encoder alone", "Branches and grade heads are added, untrained.")
    alone.add_argument(
        "--branch", choices=("paper", "reference", "prenorm"), help="kind of branches (default: prenorm)"
    )
    alone.add_argument("--branch-depth", type=int, metavar="L", help="blocks of a branch (default: 6; of reference: 2)")
    alone.add_argument("--seed", type=int, default=0, help="of untrained weights (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Import."""
    if args.out.suffix != ".safetensors":
        raise InputError(f"--out {args.out}: expected a name that ends in .safetensors")
    fields = ("frames", "image_px", "clip_px", "heads", "selected", "branch_heads", "branch_depth", "score_blocks")
    given = {name: getattr(args, name) for name in fields if getattr(args, name) is not None}
    imported = import_weights(args.file, key=args.key, branch=args.branch, seed=args.seed, **given)
    origin = f"{imported.kind}, imported from {args.file.name}"
    if imported.assumed:  # the model card of an export repeats it
        origin += f"; assumed: {', '.join(imported.assumed)}"
    if imported.untrained:
        origin += f"; {imported.untrained}"
    save_weights(imported.network, args.out, origin=origin)
    console = Console(soft_wrap=True)
    count = sum(parameter.numel() for parameter in imported.network.parameters())
    console.print(f"{args.file}: {imported.kind}")
    for note in imported.notes:
        console.print(f"note: {note}")
    if imported.assumed:
        console.print(f"assumed, as the file does not say: {'; '.join(imported.assumed)}")
    config = imported.network.config
    shape = ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(config).items())
    console.print(f"network: {shape}")
    console.print(f"{args.out}: {count / 1e6:.1f} million weights, takes {config.frames} frames of {config.clip_px} px")
    return 0
