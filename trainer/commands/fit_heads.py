"""``python -m trainer fit-heads``: grow a trained network to more frames and fit its grade heads to the end.

The way from a network that was trained on few frames, which is cheap, to one that takes whole clips. The fit itself is
in ``trainer.model.head_fitting``.
"""

import argparse
from pathlib import Path

from station.errors import InputError, MissingExtraError
from station.files import write_atomically
from trainer.data.dataset import open_clips
from trainer.data.splits import SPLIT, read_split
from trainer.data.synthetic import SHARES
from trainer.training.recipe import build_recipe, read_recipe


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
        help="let the clips count as if their most-voted grades had the paper's shares (0) or equal ones (1) or "
        "between; the more even, the more often are rare grades called, and the larger is the error (default: clips "
        "count alike)",
    )


def run(args: argparse.Namespace) -> int:
    """Grow and fit."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError('fitting needs torch; install it with pip install ".[train]"') from error
    from trainer.commands.train import check_shape
    from trainer.model.head_fitting import counting_as, fit_heads
    from trainer.training.run_folder import BEST, LAST
    from trainer.training.state import Training

    if args.out.exists():
        raise InputError(f"--out {args.out} exists already; remove it or give another folder")
    clips = open_clips(args.data)
    if min(args.frames, args.fit_frames) < 1 or clips.shape[0] % args.frames or clips.shape[0] % args.fit_frames:
        raise InputError(f"--frames and --fit-frames must divide the clips' {clips.shape[0]} frames; mend the option")
    if args.evenness is not None and not 0 <= args.evenness <= 1:
        raise InputError(f"--evenness {args.evenness}: expected a number from 0 to 1")
    if (args.clips is not None and args.clips < 1) or not 0 <= args.decay < float("inf"):
        raise InputError("--clips must be at least 1 and --decay at least 0; mend the option")
    recipe = read_recipe(args.run)
    own = recipe.data == clips.sha256 and (args.run / SPLIT).exists()
    never = set(read_split(args.run / SPLIT, clips).test) if own else set()  # of a cross-validation: not to be seen
    chosen = [index for index in range(len(clips)) if index not in never][: args.clips]

    def grown(frames: int) -> Training:
        # The clips that the heads are fitted to are what the run was last trained on: scoring warns of them.
        values = recipe.model_dump() | {"network": {**recipe.network, "frames": frames}, "data": clips.sha256}
        training = Training(build_recipe(values, str(args.run)), torch.device("cpu"))
        training.start_from(args.run / LAST)
        return training

    few, full = grown(args.fit_frames), grown(args.frames)
    if few.network.config.aggregation != "mean":
        raise InputError(f"{args.run}: has one head for all features; heads fits networks of aggregation 'mean'")
    check_shape(few, clips)
    weights = None
    if args.evenness is not None:
        shares = SHARES["table1"] ** (1 - args.evenness)
        weights = counting_as(clips.distributions[list(chosen)], shares / shares.sum())
    loss = fit_heads(few.network, clips, chosen, args.decay, weights=weights)
    for name in full.network.config.features:
        head = few.network.get_submodule(f"head_{name}").state_dict()
        full.network.get_submodule(f"head_{name}").load_state_dict(head)
    args.out.mkdir(parents=True)
    write_atomically(args.out / "recipe.json", (full.recipe.model_dump_json(indent=1) + "\n").encode())
    full.save(args.out / BEST)
    full.save(args.out / LAST)
    print(f"{args.out}: heads fitted, cross-entropy {loss:.4f}")
    return 0
