"""What each precision of an exported model costs and saves: its error, its distance from float32, its time a clip.

Every way in which this machine can run the model is scored on the same clips, whether the station would take it or not.
The times are those of this run, beside whatever else the machine does; ``python -m bench engine`` measures them.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast, get_args

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from engine.artifact import Artifact
from engine.factory import open_runtime
from engine.selection import CpuRuntime, Way
from station.errors import InputError
from trainer.data.dataset import Clips
from trainer.evaluation.metrics import balanced_accuracy, ranking, score
from trainer.evaluation.predictors import Predictor, predict

PLAIN: Final = Way("onnxruntime", "float32")
SHORT: Final = dict(zip(get_args(CpuRuntime), ("ort", "ov"), strict=True))
TRIED: Final = (PLAIN, Way("onnxruntime", "int8"), Way("openvino", "float32"), Way("openvino", "bfloat16"))


@dataclass(frozen=True, slots=True)
class PrecisionScore:
    """One way of running the model on the scored clips."""

    runtime: str
    precision: str
    mse_x100: float
    js_x100: float
    balanced_accuracy: float
    """Of the most selected grade."""
    off_float32: float
    """Mean square difference of the probabilities to those in float32."""
    off_share: float
    """The same as a share of float32's own mean square error against the raters."""
    same_grade: float
    """Share of the clips with the same most likely grade as in float32."""
    ms: float
    """Time of one clip in this run, median."""


def score_precisions(folder: Path, clips: Clips) -> tuple[list[PrecisionScore], list[str]]:
    """Return the scores of every way that runs here, float32 first, and why others do not."""
    artifact = Artifact.open(folder)
    rows: list[PrecisionScore] = []
    missing: dict[str, None] = {}
    plain: NDArray[np.float64] | None = None
    for way in TRIED:
        try:
            predicted, ms = _predict(artifact, way, clips)
        except InputError as error:
            missing[str(error)] = None
            continue
        plain = predicted if plain is None else plain
        scores, own = score(predicted, clips.distributions), score(plain, clips.distributions)
        off = float(np.mean((predicted - plain) ** 2))
        rows.append(
            PrecisionScore(
                way.runtime, way.precision, scores.mse_x100, scores.js_x100,
                balanced_accuracy(ranking(predicted)[:, 0], ranking(clips.distributions)[:, 0]),
                off, off / (own.mse_x100 / 100), float((predicted.argmax(1) == plain.argmax(1)).mean()), ms,
            )
        )  # fmt: skip
    return rows, list(missing)


def precision_table(rows: list[PrecisionScore]) -> Table:
    """Return the table, 80 columns wide."""
    caption = "off: mean square difference to float32; share: of float32's own MSE;\nsame: most likely grade unchanged"
    shown = Table(title="what each precision costs, and its time here", caption=caption, box=SIMPLE_HEAD)
    headings = ("", "MSE x100", "JS x100", "acc.", "off", "share", "same", "ms")
    for name in headings:
        shown.add_column(name, justify="left" if not name else "right", no_wrap=True)
    for row in rows:
        shown.add_row(
            f"{SHORT[cast(CpuRuntime, row.runtime)]} {row.precision}", f"{row.mse_x100:.3f}", f"{row.js_x100:.3f}",
            f"{row.balanced_accuracy:.3f}", f"{row.off_float32:.1e}", f"{row.off_share:.2%}", f"{row.same_grade:.2%}",
            f"{row.ms:.1f}",
        )  # fmt: skip
    return shown


def _predict(artifact: Artifact, way: Way, clips: Clips) -> tuple[NDArray[np.float64], float]:
    """Return (N, C) grades and the median time of a clip in ms."""
    network = artifact.manifest.network
    times_ms: list[float] = []
    with open_runtime(artifact, way.runtime, precision=way.precision) as session:

        def grade(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
            parts = []
            for index in range(len(pixels)):
                start_s = time.perf_counter()
                parts.append(session.infer(pixels[index : index + 1]).grade)
                times_ms.append((time.perf_counter() - start_s) * 1e3)
            return np.concatenate(parts).astype(np.float64)

        predictor = Predictor(str(artifact.folder), network.frames, network.clip_px, grade)
        predicted = predict(predictor, clips, what=str(way))
    return predicted, float(np.median(times_ms))
