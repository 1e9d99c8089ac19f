"""The network on ONNX Runtime: a CPU by default, CUDA or OpenVINO where their packages are installed.

It limits its threads and lets them sleep while idle, so that the tracker keeps a core. It knows neither windows nor
schedules.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from engine.artifact import EXPORT_HINT, MAX_BATCH, Artifact, Precision
from engine.runtime import Grades, SomeOutputs, WindowId, batches, concatenated
from station.errors import ArtifactError, InputError
from station.machine import usable_cores
from station.offline import forbid_telemetry

forbid_telemetry()
import onnxruntime as ort  # type: ignore[import-untyped]  # noqa: E402  (only after the opt-out)

VERSION = str(ort.__version__)
"""The module's own: onnxruntime-gpu and others bring it too."""
PROVIDERS = {
    "CUDAExecutionProvider": "CUDA",
    "OpenVINOExecutionProvider": "OpenVINO",
    "CPUExecutionProvider": "CPU",
}
"""Order of preference, and their names for people."""
OUTPUTS = ("grade", "heads", "attention")
CLIPS_AT_ONCE_ON_A_CPU = 1
"""One clip's tensors fit the core's cache: eight at once take a tenth longer per clip, and one clip keeps all threads
busy."""


def available_providers() -> list[str]:
    """Return the usable providers of the installed package, best first."""
    installed = ort.get_available_providers()
    return [name for name in PROVIDERS if name in installed]


def default_threads() -> int:
    """Return the number of cores this process may use, less one, at least one."""
    return max(1, usable_cores() - 1)


def session_options(threads: int) -> Any:
    """Return the options of every ONNX Runtime session of the program."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised; its log would colour the terminal, names of the file in it
    # A pool that spins between batches would take the core that the tracker needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Allocate per batch: a memory plan per batch size would keep the largest of all for good.
    options.enable_mem_pattern = False
    return options


def cpu_session(model: bytes, threads: int) -> Any:
    """Return a session on the CPU of a graph that is in memory."""
    return ort.InferenceSession(model, session_options(threads), providers=["CPUExecutionProvider"])


class OnnxSession:
    """A Runtime on ONNX Runtime.

    Args:
        artifact: Whose model is run.
        threads: CPU threads; 0: all cores but one.
        providers: Providers in order of preference; None: ``available_providers()``.
        precision: "float32" or "int8", where the model has integers; those run on the CPU alone.

    Raises:
        ArtifactError: The graph cannot be loaded, or its file is damaged.
        InputError: Another precision, one that the model does not have, or threads < 0.
    """

    def __init__(
        self,
        artifact: Artifact,
        threads: int = 0,
        providers: list[str] | None = None,
        precision: Precision = "float32",
    ) -> None:
        if threads < 0:
            raise InputError(f"threads {threads}: expected a number of CPU threads, or 0 for all cores but one")
        threads = threads or default_threads()
        options = session_options(threads)
        path = _graph(artifact, precision)
        if precision == "int8":
            providers = ["CPUExecutionProvider"]
        try:
            self._session = ort.InferenceSession(path, options, providers=providers or available_providers())
        except Exception as error:  # the package raises a dozen pybind types that share no public base
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ArtifactError(
                f"model {artifact.folder}: ONNX Runtime cannot load {path.name} ({first_line}); {EXPORT_HINT}"
            ) from error
        device = PROVIDERS[self._session.get_providers()[0]]
        self.on_cpu = device == "CPU"
        """Then several threads may infer at once, and none of them changes what the others get."""
        self._at_once = CLIPS_AT_ONCE_ON_A_CPU if self.on_cpu else MAX_BATCH
        detail = f"{device}, {threads} thread{'s' * (threads > 1)}" if self.on_cpu else device
        self.name = f"onnxruntime ({detail}{', int8' if precision == 'int8' else ''})"
        self.plan_sha256 = artifact.int8_sha256 if precision == "int8" else ""
        self.precision: Precision = precision  # float16 weights are widened to float32 on loading
        self._shape = artifact.manifest.inputs[0].shape[1:]
        self._outputs = [spec.name for spec in artifact.manifest.outputs]

    def infer(self, clips: NDArray[np.uint8], ids: Sequence[WindowId] | None = None) -> Grades:
        """Grade clips (N, T, H, W) uint8; see ``Runtime``. On a CPU a clip's grades do not depend on the others."""
        del ids  # nothing is uploaded
        return concatenated([self._run(clips[part]) for part in batches(clips, self._shape, self._at_once)])

    def _run(self, clips: NDArray[np.uint8]) -> SomeOutputs:
        found = dict(zip(self._outputs, self._session.run(self._outputs, {"clip": clips}), strict=True))
        return cast(NDArray[np.float32], found["grade"]), found.get("heads"), found.get("attention")

    def close(self) -> None:
        """Release the session."""
        self.__dict__.pop("_session", None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _graph(artifact: Artifact, precision: Precision) -> Path:
    """Return the file that holds the network in a precision. Raises InputError where there is none.

    Raises ArtifactError where it is damaged.
    """
    if precision == "float32":
        return artifact.model_path
    if precision != "int8":
        raise InputError(f"runtime onnxruntime: computes in float32 or int8 on a CPU, not in {precision}")
    if artifact.int8_path is None:
        raise InputError(
            f"model {artifact.folder}: has no integers; make them with `python -m trainer export --from-model "
            f"{artifact.folder} --precision int8`, or take float32"
        )
    if artifact.int8_fault:
        raise ArtifactError(artifact.int8_fault)
    return artifact.int8_path
