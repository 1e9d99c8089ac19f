"""A trained network as a function from clips to grade distributions, whatever holds it: a run, or an exported model.

An exported model is run as at the microscope, by the engine's own ONNX Runtime session, without torch. This module
knows neither votes nor measures.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from engine.artifact import MAX_BATCH, Artifact
from engine.factory import open_verified_runtime
from station.errors import InputError, MissingExtraError
from trainer.data.dataset import Clips
from trainer.model.inference import Change, Pixels, answers, torch_forward

Array = NDArray[np.float64]


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


def weights_predictor(path: Path, name: str, device: str = "cpu") -> Predictor:
    """Return the network of a file of weights, run by torch. Raises InputError where it cannot be read."""
    try:
        from trainer.model.weights import load_weights
    except ImportError as error:
        raise MissingExtraError('scoring a run needs torch; install it with pip install ".[train]"') from error
    network = load_weights(path).network
    try:
        network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {device}: cannot be used ({str(error).splitlines()[0]}); take cpu") from error
    forward = torch_forward(network, device)

    def grade(pixels: Pixels) -> Array:
        return np.asarray(forward(pixels).grade.double().cpu().numpy(), np.float64)

    return Predictor(name, network.config.frames, network.config.clip_px, grade)


@contextmanager
def model_predictor(folder: Path) -> Iterator[Predictor]:
    """Open an exported model as the station does, on its golden clips' word. Raises ArtifactError where it fails."""
    artifact = Artifact.open(folder)
    network = artifact.manifest.network
    with open_verified_runtime(artifact, "onnxruntime") as session:
        yield Predictor(
            str(folder),
            network.frames,
            network.clip_px,
            lambda pixels: np.asarray(session.infer(pixels).grade, np.float64),
        )


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
