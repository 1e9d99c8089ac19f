"""What an export needs beside the weights: golden clips with their scale and rate, figures, notes, training data.

It reads and checks files; it writes nothing.
"""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.artifact import TrainingData
from engine.network_shape import NetworkShape
from station.errors import InputError
from station.files import TEXT_BYTES, read_bounded, read_json
from trainer.data.clip_files import read_clips
from trainer.data.dataset import open_clips
from trainer.data.loader import describe_frames, middle_frames
from trainer.model.golden import GOLDEN_CLIPS, pattern_clips

if TYPE_CHECKING:
    from trainer.model.weights import Loaded

MOST_CALIBRATION: Final = 1200
"""Clips that are read to calibrate and to prove a precision, drawn from all by a fixed seed."""


class GoldenClips(NamedTuple):
    """Clips to take an artifact's golden ones from."""

    clips: NDArray[np.uint8]
    """(N, T, H, W)"""
    um_per_px: float | None
    """None: not known."""
    fps: float | None
    """Rate of the frames that the network takes, 1/s; None: not known."""
    frames: str
    """In words, which frames of the clips it takes; empty where it takes all."""


class CalibrationClips(NamedTuple):
    """Clips that a lower precision is made and proven with."""

    clips: NDArray[np.uint8]
    """(N, T, H, W)"""
    described: str
    """Which clips these are, for the card."""


def calibration_clips(path: Path, network: NetworkShape) -> CalibrationClips:
    """Return the clips of a folder or a .npy file. Raises InputError where they do not fit."""
    if path.is_dir():
        folder = open_clips(path, verify=False, unlabelled=True)
        drawn = _drawn(len(folder))
        clips = np.stack([folder.pixels(index) for index in drawn])
        sources = sorted({folder.rows[index].source.split(":")[0] for index in drawn})
        described = f"{path.resolve().name}: {', '.join(sources)}"
    else:
        stored = read_clips(path, network)
        clips, described = np.array(stored[_drawn(len(stored))]), path.name
    taken = _fitting(path, clips, network, "--calibration")
    return CalibrationClips(taken, described)


def _drawn(count: int) -> list[int]:
    """Return which of so many clips are read, in their order."""
    return sorted(np.random.default_rng(0).permutation(count)[:MOST_CALIBRATION].tolist())


def _fitting(path: Path, clips: NDArray[np.uint8], network: NetworkShape, option: str) -> NDArray[np.uint8]:
    """Return the frames that a network takes of clips. Raises InputError where they are of another shape."""
    shape = (network.frames, network.clip_px, network.clip_px)
    if clips.ndim != 4 or clips.shape[2:] != shape[1:] or clips.shape[1] % network.frames:
        raise InputError(
            f"{option} {path}: expected uint8 (N, {', '.join(map(str, shape))}), or a multiple of {network.frames} "
            f"frames, is {clips.dtype} {clips.shape}"
        )
    return np.stack([middle_frames(clip, network.frames) for clip in clips])


def golden_clips(path: Path | None, network: NetworkShape) -> GoldenClips:
    """Return clips from a folder or a .npy file, or seeded patterns. Raises InputError where they do not fit."""
    shape = (network.frames, network.clip_px, network.clip_px)
    if path is None:
        return GoldenClips(pattern_clips(GOLDEN_CLIPS, shape), None, None, "")
    um_per_px = fps = None
    if path.is_dir():
        folder = open_clips(path, verify=False, unlabelled=True)
        first = folder.rows[0]
        um_per_px, fps = first.um_per_px, first.fps * network.frames / folder.shape[0]
        clips = np.stack([folder.pixels(index) for index in range(min(GOLDEN_CLIPS, len(folder)))])
    else:
        clips = np.array(read_clips(path, network)[:GOLDEN_CLIPS])
    taken = _fitting(path, clips, network, "--clips")
    return GoldenClips(taken, um_per_px, fps, describe_frames(clips.shape[1], network.frames))


def read_note(path: Path) -> str:
    """Read a note for the model card. Raises InputError where it is no text."""
    try:
        return read_bounded(path, TEXT_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--notes {path}: expected a text file in UTF-8, got {error}") from error


def read_figures(path: Path) -> dict[str, float]:
    """Read a flat JSON object of numbers. Raises InputError for anything else."""
    try:
        figures: Any = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"--metrics {path}: expected a JSON object of numbers, got {error}") from error
    if not isinstance(figures, dict) or not all(
        type(value) in (int, float) and math.isfinite(value) for value in figures.values()
    ):
        raise InputError(f'--metrics {path}: expected a flat JSON object of numbers, such as {{"mse": 0.01}}')
    return figures


def training_data(loaded: "Loaded", text: str | None, clips: int) -> TrainingData:
    """Return what the user's text, or else the weights' own file, says about the training data."""
    recipe = loaded.recipe
    if not text and recipe:
        text = f"Training run: {json.dumps(recipe, sort_keys=True)}"
    return TrainingData(description=text or loaded.origin or "Not known.", clips=clips, seed=recipe.get("seed"))
