"""An exported model in a lower precision: made, proven on clips beside float32, and stated in manifest and card.

The float32 network stays in the artifact, for machines on which the lower precision does not hold. How layers are
quantized is in ``trainer.model.quantization``.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from engine.artifact import INT8_MODEL, Artifact, Manifest, Precision, PrecisionCost
from engine.onnx_runtime import OnnxSession
from engine.openvino_runtime import OpenVinoSession
from engine.runtime import Runtime
from engine.verify import compare
from station.console import Console
from station.errors import InputError
from station.files import TEXT_BYTES, read_bounded, write_atomically
from station.machine import usable_cores
from trainer.model.artifact_export import write_manifest
from trainer.model.export_inputs import CalibrationClips
from trainer.model.model_card import restated

MOST_RANGING: Final = 64
MOST_WEIGHING: Final = 32
LEAST_PROVING: Final = 200
"""Clips that prove a precision: if none of 200 changes its most likely grade, fewer than 1.5 % of all do (95 %)."""
MOST_MEAN_SQUARE: Final = 1e-4
"""Mean square difference of the grades to float32 up to which a precision is taken, where the model's error is not
known."""
MOST_OF_ERROR: Final = 0.01
"""The same as a share of the model's own mean square error, where the manifest has it."""
SEED: Final = 0
LEAST_SAME_GRADE: Final = 0.985
"""Share of the clips whose most likely grade must stay the same."""


def lower_precision(
    artifact: Artifact,
    precision: Precision,
    material: CalibrationClips,
    console: Console,
    least_proving: int = LEAST_PROVING,
) -> None:
    """Give the artifact in its folder a lower precision, int8 or bfloat16.

    A quarter of the clips at most, 64 and 32, give the ranges and weigh the layers; all others prove the result. Which
    is drawn by a fixed seed: clips lie in a folder by grade, film or cell.

    Raises:
        InputError: Too few clips, or the grades differ too much.
        MissingExtraError: Nothing here computes in that precision.
    """
    count, left_out = len(material.clips), tuple[str, ...]()
    integers = precision == "int8"
    ranging = min(MOST_RANGING, count // 4) if integers else 0
    weighing = ranging + (min(MOST_WEIGHING, count // 4) if integers else 0)
    if count - weighing < least_proving:
        needed = least_proving + (MOST_RANGING + MOST_WEIGHING if integers else 0)
        raise InputError(
            f"--calibration: expected at least {needed} clips, {least_proving} of them to prove {precision}, are "
            f"{count}; give more, such as those of `python -m trainer simulate --clips 300`"
        )
    clips = material.clips[np.random.default_rng(SEED).permutation(count)]
    proving = clips[weighing:]
    (artifact.folder / INT8_MODEL).unlink(missing_ok=True)
    if integers:
        left_out = _write_integers(artifact, clips[:ranging], clips[ranging:weighing], console)
    manifest = artifact.manifest.model_copy(
        update={"schema_version": 2, "precision": precision, "precision_cost": None}
    )
    _state(artifact, manifest)
    artifact = Artifact.open(artifact.folder)
    lower: Runtime
    if precision == "int8":
        lower = OnnxSession(artifact, usable_cores(), precision=precision)
    else:
        lower = OpenVinoSession(artifact, usable_cores(), precision)
    with lower, OnnxSession(artifact, usable_cores(), ["CPUExecutionProvider"]) as plain:
        wrong = next((one for one in compare(artifact, lower) if not one.passed), None)
        if wrong is not None:
            raise InputError(
                f"nothing was written: in {precision} the golden clips' {wrong.output} is {wrong.largest:.2g} off, "
                f"allowed {wrong.tolerance:.2g}; export with --precision float16"
            )
        cost = measure(plain, lower, proving, material.described, left_out)
    allowed = most_mean_square(artifact.manifest.metrics)
    if cost.mean_square > allowed or cost.same_grade < LEAST_SAME_GRADE:
        raise InputError(
            f"nothing was written: in {precision} the grades of {cost.clips} clips differ by {cost.mean_square:.2g} "
            f"(mean square, allowed {allowed:.2g}) and {cost.same_grade:.1%} keep their most likely grade "
            f"(at least {LEAST_SAME_GRADE:.1%}); export with --precision float16"
        )
    _state(artifact, artifact.manifest.model_copy(update={"precision_cost": cost}))


def most_mean_square(metrics: dict[str, float]) -> float:
    """Return the mean square difference that is allowed to a model with these figures on held-out clips."""
    error = metrics.get("mse", metrics.get("MSE x100", 0.0) / 100)
    return MOST_OF_ERROR * error if error > 0 else MOST_MEAN_SQUARE


def measure(
    plain: Runtime, lower: Runtime, clips: NDArray[np.uint8], described: str, left_out: tuple[str, ...] = ()
) -> PrecisionCost:
    """Return how far a runtime's grades are from those of one in float32."""
    true, found = (np.asarray(runtime.infer(clips).grade, np.float64) for runtime in (plain, lower))
    difference = found - true
    return PrecisionCost(
        clips=len(clips),
        described=described,
        mean_square=float(np.mean(difference**2)),
        largest=float(np.abs(difference).max()),
        same_grade=float((found.argmax(axis=1) == true.argmax(axis=1)).mean()),
        left_out=left_out,
    )


def as_stored(artifact: Artifact) -> None:
    """Take the lower precision away again."""
    (artifact.folder / INT8_MODEL).unlink(missing_ok=True)
    stored = {"schema_version": 2, "precision": artifact.manifest.weights, "precision_cost": None}
    _state(artifact, artifact.manifest.model_copy(update=stored))


def state_figures(artifact: Artifact, metrics: dict[str, float]) -> None:
    """Write other figures on held-out clips into manifest and card."""
    _state(artifact, artifact.manifest.model_copy(update={"metrics": metrics}))


def _state(artifact: Artifact, manifest: Manifest) -> None:
    card = artifact.folder / "MODEL_CARD.md"
    write_atomically(card, restated(read_bounded(card, TEXT_BYTES).decode("utf-8"), manifest).encode())
    write_manifest(artifact.folder, manifest)


def _write_integers(
    artifact: Artifact, ranging: NDArray[np.uint8], weighing: NDArray[np.uint8], console: Console
) -> tuple[str, ...]:
    """Write ``model.int8.onnx``; return the layers that were left out."""
    import onnx

    from trainer.model.quantization import quantize

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(phase: str, done: int, steps: int) -> None:
            if phase not in tasks:
                tasks[phase] = progress.add_task(phase, total=steps)
            progress.update(tasks[phase], completed=done)

        quantized = quantize(onnx.load(artifact.model_path), ranging, weighing, report)
    write_atomically(artifact.folder / INT8_MODEL, quantized.model.SerializeToString(deterministic=True))
    return quantized.left_out
