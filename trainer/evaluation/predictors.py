"""A trained network as a function from clips to grade distributions, whatever holds it: a run, or an exported model.

An exported model is run as at the microscope, by the engine's own ONNX Runtime session, without torch. This module
knows neither votes nor measures.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from engine.artifact import MAX_BATCH, Artifact
from engine.baseline_config import BaselineConfig
from engine.factory import open_verified_runtime
from engine.network_shape import NetworkShape
from station.errors import InputError, MissingExtraError
from trainer.data.dataset import Clips
from trainer.model.inference import Change, Pixels, answers, torch_forward

Array = NDArray[np.float64]
HEADS: Final = "gst"
"""Global, spatial and temporal, in the order of the network's outputs."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """One network."""

    name: str
    """What it was made from, for people."""
    frames: int
    """Frames of a clip that it takes; clips may have a multiple of it, of which the middle ones are taken."""
    edge_px: int
    """Edge of the clips that it takes."""
    grade: Callable[[Pixels], Array]
    """From (N, T, H, W) uint8, N at most ``MAX_BATCH``, to (N, C)."""


def parse_heads(text: str) -> str:
    """Return which heads are asked for, "g,s" as "gs"; empty for all. Raises InputError for anything else."""
    names = [name for name in text.split(",") if name]
    if set(names) - set(HEADS) or len(set(names)) != len(names):
        raise InputError(f"--heads {text}: expected some of g, s and t (global, spatial, temporal), with commas")
    return "".join(name for name in HEADS if name in names)


def named(name: str, heads: str) -> str:
    """Return a network's name, with the heads that are averaged where these are not all."""
    return f"{name} (heads {', '.join(heads)})" if heads else name


def check_heads(heads: str, network: NetworkShape, name: str) -> list[int]:
    """Return the rows of ``heads`` (N, 3, C) that are averaged; none where all are. Raises InputError."""
    if not heads:
        return []
    if isinstance(network, BaselineConfig) or network.aggregation != "mean":
        raise InputError(f"--heads: {name} has one head; leave it out")
    missing = [one for one in heads if one not in network.features]
    if missing:
        raise InputError(f"--heads: {name} has no head {missing[0]!r}, only {', '.join(network.features)}")
    return [HEADS.index(one) for one in heads]


def weights_predictor(path: Path, name: str, device: str = "cpu", heads: str = "") -> Predictor:
    """Return the network of a file of weights, run by torch, its grade the mean of the heads named.

    Raises InputError where the file cannot be read or the network has no such heads.
    """
    try:
        from trainer.model.rostfine import RostfineOutput
        from trainer.model.weights import load_weights
    except ImportError as error:
        raise MissingExtraError('scoring a run needs torch; install it with pip install ".[train]"') from error
    network = load_weights(path).network
    try:
        network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {device}: cannot be used ({str(error).splitlines()[0]}); take cpu") from error
    forward, rows = torch_forward(network, device), check_heads(heads, network.config, name)

    def grade(pixels: Pixels) -> Array:
        output = forward(pixels)
        found = output.heads[:, rows].mean(1) if rows and isinstance(output, RostfineOutput) else output.grade
        return np.asarray(found.double().cpu().numpy(), np.float64)

    return Predictor(named(name, heads), network.config.frames, network.config.clip_px, grade)


@contextmanager
def model_predictor(folder: Path, heads: str = "") -> Iterator[Predictor]:
    """Open an exported model as the station does, on its golden clips' word, its grade the mean of the heads named.

    Raises ArtifactError where it fails, InputError where it has no such heads.
    """
    artifact = Artifact.open(folder)
    network = artifact.manifest.network
    rows = check_heads(heads, network, str(folder))
    with open_verified_runtime(artifact, "onnxruntime") as session:

        def grade(pixels: Pixels) -> Array:
            found = session.infer(pixels)
            if rows and found.heads is not None:
                return np.asarray(found.heads[:, rows].mean(1), np.float64)
            return found.grade.astype(np.float64)

        yield Predictor(named(str(folder), heads), network.frames, network.clip_px, grade)


def predict(predictor: Predictor, clips: Clips, change: Change | None = None, what: str = "scoring") -> Array:
    """Return (N, C) distributions of the clips.

    Args:
        predictor: The network.
        clips: The clips.
        change: Applied to each clip (T, H, W) first, with its place among the clips.
        what: Shown beside the progress bar.

    Raises:
        InputError: The network takes clips of another shape.
    """
    frames, *edges = clips.shape
    if edges != [predictor.edge_px] * 2 or frames % predictor.frames:
        raise InputError(
            f"{clips.root}: clips are {clips.shape}, {predictor.name} takes {predictor.frames} frames (or a multiple) "
            f"of {predictor.edge_px} px; give clips made for it"
        )
    batches = answers(predictor.grade, clips, predictor.frames, MAX_BATCH, change)
    total = -(-len(clips) // MAX_BATCH)
    return np.concatenate(list(track(batches, total=total, description=what, transient=True)))
