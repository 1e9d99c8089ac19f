"""``python -m trainer rollout``: draw what networks attend to, one or several beside each other.

By attention rollout (``trainer.model.rollout``), or by the patches that they select (``--selected``). The sheet is laid
out by ``trainer.model.attention_figures``.
"""

import argparse
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from station.errors import InputError
from station.files import write_atomically
from station.output import say
from trainer.data.clip_files import read_clips
from trainer.data.dataset import open_clips
from trainer.data.loader import describe_frames, middle_frames
from trainer.model.attention_figures import Panel, sheet
from trainer.model.inference import torch_forward
from trainer.model.rollout import rollout
from trainer.model.rostfine import Rostfine
from trainer.model.systems import SYSTEMS
from trainer.model.weights import load_weights, require_rostfine

SHOWN_CLIPS: Final = 8
EPILOG: Final = """\
examples (the paper's Figures 4 and 6):
  python -m trainer rollout --weights TIMESFORMER/best.pt ROSTFINE/best.pt --clips DATA --out figure4.png
  python -m trainer rollout --weights RUN/best.pt --selected 1 3 10 --clips DATA --out figure6.png
  python -m trainer rollout --weights K1/best.pt K3/best.pt K10/best.pt --selected --clips DATA --out figure6.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--weights", type=Path, nargs="+", required=True, metavar="FILE",
                        help=".safetensors, or .pt of a training run, of RoSTFine or TimeSformer; several are drawn "
                             "under each other")  # fmt: skip
    parser.add_argument("--clips", type=Path, required=True, metavar="PATH",
                        help="a folder of clips, or a .npy, uint8 (N, T, H, W)")  # fmt: skip
    parser.add_argument("--selected", type=int, nargs="*", metavar="K",
                        help="draw the K patches of each frame that are selected, a row for each K (none given: as "
                             "many as the network selects), in place of the rollout")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=f".png; the first {SHOWN_CLIPS} clips")


def run(args: argparse.Namespace) -> int:
    """Draw."""
    if args.out.suffix != ".png":
        raise InputError(f"--out {args.out}: expected a name that ends in .png")
    networks = [require_rostfine(load_weights(path), f"--weights {path}: rollout") for path in args.weights]
    clips, frames = _clips(args.clips, networks)
    panels = []
    for path, network in zip(args.weights, networks, strict=True):
        label = SYSTEMS[network.config.system].title
        if len(networks) > 1:
            label += f"\n{(path.parent.name if path.suffix == '.pt' else path.stem)[:20]}"
        if args.selected is None:
            flow = rollout(network, torch.from_numpy(clips)).numpy()
            panels.append(Panel(label, network.config, flow))
            continue
        scores = torch_forward(network)(clips).attention.numpy()
        for count in args.selected or [network.config.selected]:
            if not 1 <= count <= network.config.patches:
                raise InputError(f"--selected {count}: expected 1 to {network.config.patches}, the patches of a frame")
            panels.append(Panel(f"{label}\nK = {count}", network.config, scores, count))
    picture = sheet(clips, panels)
    done, content = cv2.imencode(".png", picture)
    assert done
    write_atomically(args.out, content.tobytes())
    if frames:
        say(f"note: {frames}")
    say(f"{args.out}: {len(clips)} clips, {picture.shape[1]} x {picture.shape[0]} px")
    return 0


def _clips(path: Path, networks: list[Rostfine]) -> tuple[NDArray[np.uint8], str]:
    """Return the clips (N, T, H, W) that are drawn, and which of their frames are taken. Raises InputError."""
    config = networks[0].config
    shape = config.frames, config.clip_px
    other = next((one.config for one in networks if (one.config.frames, one.config.clip_px) != shape), None)
    if other is not None:
        raise InputError(
            f"--weights: expected networks of equal clips, got {config.frames} frames of {config.clip_px} px and "
            f"{other.frames} of {other.clip_px}"
        )
    if path.is_dir():
        folder = open_clips(path, verify=False, unlabelled=True)
        clips = np.stack([folder.pixels(index) for index in range(min(SHOWN_CLIPS, len(folder)))])
    else:
        clips = np.array(read_clips(path, config)[:SHOWN_CLIPS])
    if clips.ndim != 4:
        raise InputError(f"--clips {path}: expected mono clips (N, T, H, W), got colour; give one channel")
    if clips.shape[1] % config.frames or clips.shape[2:] != (config.clip_px, config.clip_px):
        raise InputError(
            f"--clips {path}: are {clips.shape[1:]}, the networks take {config.frames} frames (or a multiple) of "
            f"{config.clip_px} px"
        )
    frames = describe_frames(clips.shape[1], config.frames)
    return np.stack([middle_frames(clip, config.frames) for clip in clips]), frames
