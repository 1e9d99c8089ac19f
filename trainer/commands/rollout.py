"""``python -m trainer rollout``: draw where a grade comes from, by attention rollout (``trainer.model.rollout``)."""

import argparse
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch

from station.errors import InputError
from station.output import say
from trainer.data.clip_files import read_clips
from trainer.data.loader import describe_frames, middle_frames
from trainer.model.rollout import draw, rollout
from trainer.model.weights import load_weights

SHOWN_CLIPS: Final = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="FILE", help=".safetensors, or .pt of a training run"
    )
    parser.add_argument("--clips", type=Path, required=True, metavar="FILE", help=".npy, uint8 (N, T, H, W)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=f".png; the first {SHOWN_CLIPS} clips")


def run(args: argparse.Namespace) -> int:
    """Draw."""
    network = load_weights(args.weights).network
    clips = np.array(read_clips(args.clips, network.config)[:SHOWN_CLIPS])
    frames = describe_frames(clips.shape[1], network.config.frames)
    if clips.ndim != 4:
        raise InputError(f"--clips {args.clips}: expected mono clips (N, T, H, W), got colour; give one channel")
    clips = np.stack([middle_frames(clip, network.config.frames) for clip in clips])
    picture = draw(clips, rollout(network, torch.from_numpy(clips)).numpy(), network.config)
    done, content = cv2.imencode(".png", picture)
    if args.out.suffix != ".png" or not done:
        raise InputError(f"--out {args.out}: expected a name that ends in .png")
    args.out.write_bytes(content.tobytes())
    if frames:
        say(f"note: {frames}")
    say(f"{args.out}: {len(clips)} clips, {picture.shape[1]} x {picture.shape[0]} px")
    return 0
