"""The network on OpenVINO: the runtime that computes in bfloat16 on a processor that has it (extra ``openvino``).

It is never taken for a model that was not exported for bfloat16: in float32 it is no faster than ONNX Runtime here, and
int8 there is faster than bfloat16 here (docs/decisions/0071). It knows neither windows nor schedules.
"""

import importlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.artifact import EXPORT_HINT, Artifact, Precision
from engine.onnx_runtime import OUTPUTS, default_threads
from engine.runtime import Grades, Outputs, WindowId, batches, concatenated
from station.errors import ArtifactError, InputError, MissingExtraError

HINTS = {"float32": "f32", "bfloat16": "bf16"}
CLIPS_AT_ONCE = 1


def load_openvino() -> Any:
    """Return the module. Raises MissingExtraError if it is not installed."""
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        cure = 'install it with pip install ".[openvino]", or use the runtime onnxruntime'
        raise MissingExtraError(f"runtime openvino: the package openvino is missing ({error}); {cure}") from error


class OpenVinoSession:
    """A Runtime on OpenVINO's CPU.

    Args:
        artifact: Whose model is run.
        threads: CPU threads; 0: all cores but one.
        precision: "float32" or "bfloat16".

    Raises:
        MissingExtraError: The package is not installed.
        InputError: This processor does not compute in that precision.
        ArtifactError: The graph cannot be loaded.
    """

    def __init__(self, artifact: Artifact, threads: int = 0, precision: Precision = "float32") -> None:
        openvino = load_openvino()
        if precision not in HINTS:
            raise InputError(f"runtime openvino: computes in float32 or bfloat16 on a CPU, not in {precision}")
        threads = threads or default_threads()
        core = openvino.Core()
        if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise InputError("runtime openvino: this processor does not compute in bfloat16; take float32 or int8")
        options = {
            "INFERENCE_PRECISION_HINT": HINTS[precision], "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }  # fmt: skip
        try:
            self._request = core.compile_model(str(artifact.model_path), "CPU", options).create_infer_request()
        except RuntimeError as error:
            first_line = str(error).strip().splitlines()[0]
            raise ArtifactError(
                f"model {artifact.folder}: OpenVINO cannot load model.onnx ({first_line}); {EXPORT_HINT}"
            ) from error
        self.name = f"openvino (CPU, {threads} thread{'s' * (threads > 1)}, {precision})"
        self.precision: Precision = precision
        self.plan_sha256 = ""
        self._shape = artifact.manifest.inputs[0].shape[1:]

    def infer(self, clips: NDArray[np.uint8], ids: Sequence[WindowId] | None = None) -> Grades:
        """Grade clips (N, T, H, W) uint8; see ``Runtime``."""
        del ids  # nothing is uploaded
        return concatenated([self._run(clips[part]) for part in batches(clips, self._shape, CLIPS_AT_ONCE)])

    def _run(self, clips: NDArray[np.uint8]) -> Outputs:
        found = self._request.infer({"clip": np.ascontiguousarray(clips)})
        grade, heads, attention = (np.array(found[name], np.float32) for name in OUTPUTS)
        return grade, heads, attention

    def close(self) -> None:
        """Release the network."""
        self.__dict__.pop("_request", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
