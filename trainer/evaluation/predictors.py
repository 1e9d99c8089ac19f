"""A trained network as a function from clips to grade distributions, whatever holds it: a run, or an exported model.

An exported model is run by ONNX Runtime, without torch, as at the microscope. This module knows neither votes nor
measures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from engine.artifact import MAX_BATCH, Artifact
from station.errors import InputError, MissingExtraError
from station.offline import forbid_telemetry
from trainer.data.dataset import Clips
from trainer.data.loader import middle_frames

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]


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


def run_grader(best: Path, device: str = "cpu") -> Predictor:
    """Return the network of a training run's checkpoint. Raises InputError where it cannot be read."""
    try:
        import torch

        from trainer.model.weights import load_weights
    except ImportError as error:
        raise MissingExtraError('scoring a run needs torch; install it with pip install ".[train]"') from error
    network = load_weights(best).network.eval()
    try:
        network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {device}: cannot be used ({str(error).splitlines()[0]}); take cpu") from error

    def grade(pixels: Pixels) -> Array:
        with torch.inference_mode():
            answer = network(torch.from_numpy(pixels).to(device)).grade
        return np.asarray(answer.double().cpu().numpy(), np.float64)

    return Predictor(str(best.parent), network.config.frames, network.config.clip_px, grade)


def model_grader(folder: Path) -> Predictor:
    """Return an exported model, run by ONNX Runtime on the CPU. Raises ArtifactError where it is not whole."""
    forbid_telemetry()
    import onnxruntime  # type: ignore[import-untyped]

    artifact = Artifact.open(folder)
    _, frames, edge, _ = artifact.manifest.inputs[0].shape
    session = onnxruntime.InferenceSession(artifact.model_path, providers=["CPUExecutionProvider"])

    def grade(pixels: Pixels) -> Array:
        return np.asarray(session.run(["grade"], {"clip": pixels})[0], np.float64)

    return Predictor(str(folder), frames, edge, grade)


def predict(
    grader: Predictor,
    clips: Clips,
    chosen: Sequence[int],
    change: Callable[[Pixels, int], Pixels] | None = None,
    what: str = "predictors",
) -> Array:
    """Return (N, C) distributions of the chosen clips, in their order.

    Args:
        grader: The network.
        clips: The folder.
        chosen: Indices.
        change: Applied to each clip (T, H, W) first, with its index.
        what: Shown beside the progress bar.

    Raises:
        InputError: The network takes clips of another shape.
    """
    frames, *edges = clips.shape
    if edges != [grader.edge_px] * 2 or frames % grader.frames:
        raise InputError(
            f"{clips.root}: clips are {clips.shape}, {grader.name} takes {grader.frames} frames (or a multiple) of "
            f"{grader.edge_px} px; give clips made for it"
        )
    answers = []
    for start in track(range(0, len(chosen), MAX_BATCH), description=what, transient=True):
        some = [(clips.pixels(index), index) for index in chosen[start : start + MAX_BATCH]]
        changed = [change(clip, index) if change else clip for clip, index in some]
        answers.append(grader.grade(np.stack([middle_frames(clip, grader.frames) for clip in changed])))
    return np.concatenate(answers)
