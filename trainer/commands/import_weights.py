"""``python -m trainer import``: convert weights that other programs wrote (``trainer.model.foreign_weights``).

Files are read without running any code of theirs (``weights_only``).
"""

import argparse
from pathlib import Path

from rich.console import Console

from station.errors import InputError
from trainer.model.foreign_weights import import_weights
from trainer.model.weights import save_weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="state dict or checkpoint (.pt, .pth, .pyth, .safetensors)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="weights to write (.safetensors)")
    parser.add_argument("--frames", type=int, help="frames of a clip (default: the file's; encoders alone: 16)")
    parser.add_argument("--image-px", type=int, help="edge clips are resized to (default: the file's)")
    parser.add_argument(
        "--clip-px", type=int, default=150, help="edge of the clips that come in (default: %(default)s)"
    )
    parser.add_argument("--heads", type=int, help="attention heads of the encoder (default: width / 64)")
    parser.add_argument("--selected", type=int, default=3, help="K, patches selected a frame (default: %(default)s)")
    parser.add_argument("--branch-heads", type=int, default=8, help="H, heads of the branches (default: %(default)s)")
    parser.add_argument("--branch", choices=("paper", "reference", "prenorm"), default="prenorm",
                        help="branches to add, untrained, to a lone encoder (default: %(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of untrained weights (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Import."""
    if args.out.suffix != ".safetensors":
        raise InputError(f"--out {args.out}: expected a name that ends in .safetensors")
    changes = {
        "frames": args.frames,
        "image_px": args.image_px,
        "clip_px": args.clip_px,
        "heads": args.heads,
        "selected": args.selected,
        "branch_heads": args.branch_heads,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    imported = import_weights(args.file, branch=args.branch, seed=args.seed, **given)
    origin = f"{imported.kind}, imported from {args.file.name}"
    if imported.untrained:  # the model card of an export repeats it
        origin += f"; {imported.untrained}"
    save_weights(imported.network, args.out, origin=origin)
    console = Console(highlight=False, soft_wrap=True)
    count = sum(parameter.numel() for parameter in imported.network.parameters())
    console.print(f"{args.file}: {imported.kind}")
    for note in imported.notes:
        console.print(f"note: {note}")
    console.print(f"{args.out}: {count / 1e6:.1f} million weights, {imported.network.config}")
    return 0
