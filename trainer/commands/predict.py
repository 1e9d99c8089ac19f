"""``python -m trainer predict``: run a network in torch on clips in a file, and keep everything it says.

For comparing and analysing; the station runs artifacts instead. It does not know what the grades are good for.
"""

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.artifact import NetworkConfig
from station.errors import InputError, MissingExtraError
from station.files import write_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="FILE", help=".safetensors, or .pt of a training run"
    )
    parser.add_argument("--clips", type=Path, required=True, metavar="FILE",
                        help=".npy, uint8 (N, T, H, W) or (N, T, H, W, 3)")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="FILE",
                        help=".npz with grade, heads, attention, v_g, v_s, v_t")  # fmt: skip
    parser.add_argument("--batch", type=int, default=4, help="clips at a time (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Predict."""
    try:
        import torch

        from trainer.model.weights import load_weights
    except ImportError as error:
        raise MissingExtraError('predicting needs torch; install it with pip install ".[train]"') from error
    network = load_weights(args.weights).network
    clips = read_clips(args.clips, network.config)
    answers: dict[str, list[NDArray[Any]]] = {}
    with torch.inference_mode():
        for start in range(0, len(clips), max(1, args.batch)):
            output = network(torch.from_numpy(clips[start : start + max(1, args.batch)].copy()))
            for name, tensor in output._asdict().items():
                if tensor is not None:
                    answers.setdefault(name, []).append(tensor.numpy())
    # Through a buffer, so that the name is kept as it was given and a cut-off run leaves no half file.
    write_atomically(args.out, _npz({name: np.concatenate(parts) for name, parts in answers.items()}))
    print(f"{args.out}: {len(clips)} clips, {', '.join(answers)}")
    return 0


def read_clips(path: Path, network: NetworkConfig) -> NDArray[np.uint8]:
    """Map a .npy file of clips. Raises InputError where they are not what the network takes."""
    try:
        clips: NDArray[np.uint8] = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise InputError(f"--clips {path}: expected a .npy file, got {error}") from error
    shape = (network.frames, network.clip_px, network.clip_px)
    if clips.dtype != np.uint8 or clips.shape[1:] not in (shape, (*shape, 3)):
        raise InputError(
            f"--clips {path}: expected uint8 (N, {', '.join(map(str, shape))}) or (..., 3), "
            f"is {clips.dtype} {clips.shape}"
        )
    if not len(clips):
        raise InputError(f"--clips {path}: holds no clip; give at least one")
    return clips


def _npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # the stub takes the names for options
    return buffer.getvalue()
