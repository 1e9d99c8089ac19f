"""``python -m trainer predict``: run a network in torch on clips in a file, and keep everything it says.

For comparing and analysing; the station runs artifacts instead. It does not know what the grades are good for.
"""

import argparse
from pathlib import Path

from station.errors import InputError, MissingExtraError
from station.files import write_atomically
from station.output import say
from trainer.data.clip_files import read_clips
from trainer.data.loader import describe_frames


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="FILE", help=".safetensors, or .pt of a training run"
    )
    parser.add_argument("--clips", type=Path, required=True, metavar="FILE",
                        help=".npy, uint8 (N, T, H, W) or (N, T, H, W, 3)")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="FILE",
                        help=".npz with grade and, of RoSTFine, heads, attention, v_g, v_s, v_t")  # fmt: skip
    parser.add_argument("--batch", type=int, default=4, help="clips at a time (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Predict."""
    try:
        from trainer.model.weights import load_weights
    except ImportError as error:
        raise MissingExtraError('predicting needs torch; install it with pip install ".[train]"') from error
    from trainer.model.predictions import npz, predict_arrays
    from trainer.model.rostfine import Rostfine

    network = load_weights(args.weights).network
    clips = read_clips(args.clips, network.config)
    if clips.ndim != 4 and not isinstance(network, Rostfine):
        raise InputError(
            f"--clips {args.clips}: {network.config.system} takes mono clips (N, T, H, W); give one channel"
        )
    arrays = predict_arrays(network, clips, max(1, args.batch))
    # Through a buffer, so that the name is kept as it was given and a cut-off run leaves no half file.
    write_atomically(args.out, npz(arrays))
    frames = describe_frames(clips.shape[1], network.config.frames)
    if frames:
        say(f"note: {frames}")
    say(f"{args.out}: {len(clips)} clips, {', '.join(arrays)}")
    return 0
