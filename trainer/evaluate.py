"""``python -m trainer evaluate``: score a training run or an exported model on clips it has not seen.

Prints a table and writes ``metrics.json`` (everything) and ``figures.json`` (the main numbers, flat, as
``python -m trainer export --metrics`` takes them). An exported model is run by ONNX Runtime, without torch, as at the
microscope. The measures are in ``trainer.metrics``.
"""

import argparse
import csv
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from engine.artifact import MAX_BATCH, Artifact
from station.errors import InputError, MissingExtraError
from station.messages import GRADES
from station.offline import forbid_telemetry
from trainer.data import Clips, open_clips, write_atomically
from trainer.metrics import Scores, confusion, entropy, reference_predictors, score
from trainer.simulate import SECOND_PANEL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", type=Path, metavar="RUN", help="training run: its best.pt is scored")
    what.add_argument("--model", type=Path, metavar="DIR", help="exported model: scored as the station runs it")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="folder of clips to score on")
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="DATA",
        help="folder whose mean distribution and mode the reference predictors give (the training data; default: the "
        "scored clips themselves, whose mean no other constant beats)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for metrics.json and figures.json")


def run(args: argparse.Namespace) -> int:
    """Score."""
    clips = open_clips(args.data)
    reference = open_clips(args.reference, verify=False) if args.reference else clips
    predicted = _predict_run(args.run, clips) if args.run else _predict_model(args.model, clips)
    target = clips.distributions
    scores = {"model": score(predicted, target)}
    for name, constant in reference_predictors(reference.distributions, len(clips)).items():
        scores[name] = score(constant, target)
    second = second_panel(clips)
    if second is not None:
        scores["second panel"] = score(second, target)
    matrix = confusion(predicted, target)
    _print(scores, matrix, len(clips), float(entropy(target).mean()))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        everything = {
            "scored": str(args.run or args.model),
            "data": {"sha256": clips.sha256, "clips": len(clips), "made": dict(clips.made)},
            "scores": {name: dataclasses.asdict(item) for name, item in scores.items()},
            "raters_entropy": float(entropy(target).mean()),
            "confusion": matrix.tolist(),
        }
        _write_json(args.out / "metrics.json", everything)
        _write_json(args.out / "figures.json", figures(scores, len(clips)))
    return 0


def figures(scores: Mapping[str, Scores], count: int) -> dict[str, float]:
    """Return the main numbers by name, as they stand in a model's manifest."""
    model, mean = scores["model"], scores["mean distribution"]
    chosen = {
        "held-out clips": float(count),
        "MSE x100": model.mse_x100,
        "MSE x100 of the mean distribution": mean.mse_x100,
        "JS x100": model.js_x100,
        "JS x100 of the mean distribution": mean.js_x100,
        "EMD": model.emd,
        "EMD of the mean distribution": mean.emd,
        "calibration error": model.calibration_error,
        "balanced accuracy of the most voted grade": model.balanced_accuracy[0],
        "balanced accuracy, mean over n = 1..5": model.mean_balanced_accuracy,
    }
    if "second panel" in scores:
        chosen["MSE x100 of a second panel of raters"] = scores["second panel"].mse_x100
        chosen["JS x100 of a second panel of raters"] = scores["second panel"].js_x100
    return {name: round(value, 5) for name, value in chosen.items()}


def second_panel(clips: Clips) -> NDArray[np.float64] | None:
    """Return (N, C) distributions of other raters on the same clips, None where the folder has none.

    The difference between two panels is what no model can predict.
    """
    path = clips.root / SECOND_PANEL
    if not path.exists():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        votes = {row["id"]: [float(row[grade]) for grade in GRADES] for row in csv.DictReader(file)}
    table = np.array([votes[row.id] for row in clips.rows])
    return np.asarray(table / table.sum(axis=1, keepdims=True), np.float64)


def _predict_run(folder: Path, clips: Clips) -> NDArray[np.float64]:
    try:
        import torch

        from trainer import fit
        from trainer.weights import load_weights
    except ImportError as error:
        raise MissingExtraError('scoring a run needs torch; install it with pip install ".[train]"') from error
    network = load_weights(folder / fit.BEST).network
    return fit.predict(network, clips, range(len(clips)), torch.device("cpu"))


def _predict_model(folder: Path, clips: Clips) -> NDArray[np.float64]:
    forbid_telemetry()
    import onnxruntime  # type: ignore[import-untyped]

    artifact = Artifact.open(folder)
    shape = artifact.manifest.inputs[0].shape[1:]
    if clips.shape != shape:
        raise InputError(f"{clips.root}: clips are {clips.shape}, the model takes {shape}; give clips made for it")
    session = onnxruntime.InferenceSession(artifact.model_path, providers=["CPUExecutionProvider"])
    answers = []
    for start in track(range(0, len(clips), MAX_BATCH), description="grading", transient=True):
        stop = min(start + MAX_BATCH, len(clips))
        batch = np.stack([clips.pixels(index) for index in range(start, stop)])
        answers.append(session.run(["grade"], {"clip": batch})[0])
    return np.concatenate(answers).astype(np.float64)


def _print(scores: Mapping[str, Scores], matrix: NDArray[np.int64], count: int, raters_entropy: float) -> None:
    console = Console(highlight=False)
    table = Table(title=f"{count} clips (lower is better, accuracies: higher)")
    table.add_column("")
    for name in scores:
        table.add_column(name, justify="right")
    rows = {
        "MSE x100": [item.mse_x100 for item in scores.values()],
        "JS x100": [item.js_x100 for item in scores.values()],
        "EMD": [item.emd for item in scores.values()],
        "calibration error": [item.calibration_error for item in scores.values()],
        f"entropy (raters {raters_entropy:.3f})": [item.entropy for item in scores.values()],
    }
    for n in range(len(GRADES)):
        rows[f"balanced accuracy, n = {n + 1}"] = [item.balanced_accuracy[n] for item in scores.values()]
    rows["balanced accuracy, mean"] = [item.mean_balanced_accuracy for item in scores.values()]
    for name, values in rows.items():
        table.add_row(name, *(f"{value:.3f}" for value in values))
    console.print(table)
    grid = Table(title="clips by most selected grade: raters down, model across")
    grid.add_column("")
    for grade in GRADES:
        grid.add_column(f"grade {grade}", justify="right")
    for grade, line in zip(GRADES, matrix, strict=True):
        grid.add_row(f"grade {grade}", *(str(value) for value in line))
    console.print(grid)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
