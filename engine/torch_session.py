"""The exported graph run by torch: the stand-in on a CUDA GPU for which there is no TensorRT plan that runs.

Node by node, with the precision that the compute casts are set to. On a GPU one CUDA graph per number of clips is
captured and replayed, so that its host code costs nothing. It uploads whole windows (TensorRT's session sends only new
frames). torch is loaded only when this runtime is opened: it takes seconds and is no part of a CPU station.
"""

import importlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.artifact import EXPORT_HINT, MAX_BATCH, Artifact, Precision
from engine.onnx_file import MOST_BYTES
from engine.onnx_nodes import Node, read_graph
from engine.onnx_runtime import OUTPUTS, default_threads
from engine.runtime import Grades, Outputs, WindowId, batches, concatenated
from engine.torch_operators import Operators, Values
from station.errors import ArtifactError, InputError, MissingExtraError, ProcessError
from station.files import read_bounded

WARM_UP = 2
"""Runs before a capture: libraries choose their kernels and allocate their workspace."""


def load_torch() -> Any:
    """Return the module. Raises MissingExtraError if it is not installed."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        cure = 'install it with pip install ".[gpu]", or use the runtime onnxruntime'
        raise MissingExtraError(f"runtime torch: the package torch is missing ({error}); {cure}") from error


class TorchSession:
    """A Runtime on torch.

    Args:
        artifact: Whose model is run.
        threads: CPU threads, where there is no GPU; 0: all cores but one.
        precision: "float16" or "bfloat16" on a GPU, "float32" or "bfloat16" on a CPU, or "float32" on both.
        device: "cuda", "cpu", or "auto".
        cuda_graph: Whether a GPU replays the network as one CUDA graph.

    Raises:
        MissingExtraError: torch is not installed.
        InputError: There is no such device, or it does not compute in that precision.
        ArtifactError: The graph cannot be run by torch.
    """

    def __init__(
        self,
        artifact: Artifact,
        threads: int = 0,
        precision: Precision = "float32",
        device: str = "auto",
        *,
        cuda_graph: bool = True,
    ) -> None:
        self._cuda_graph = cuda_graph
        torch = self._torch = load_torch()
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("runtime torch: sees no CUDA GPU; fix the driver, or use the runtime onnxruntime")
        if precision == "int8" or (device == "cpu" and precision == "float16"):
            raise InputError(f"runtime torch: does not compute in {precision} on {device}; take float32")
        self._on_gpu = device == "cuda"
        threads = threads or default_threads()
        if self._on_gpu:
            where = torch.cuda.get_device_name(0)
        else:
            torch.set_num_threads(threads)
            where = f"CPU, {threads} thread{'s' * (threads > 1)}"
        self.name = f"torch ({where}, {precision})"
        self.precision: Precision = precision
        self.plan_sha256 = ""
        self._device = torch.device(device)
        self._shape = artifact.manifest.inputs[0].shape[1:]
        self._operators = Operators(torch, self._device, getattr(torch, precision))
        self._load(artifact)
        self._captured: dict[int, _Captured] = {}

    def infer(self, clips: NDArray[np.uint8], ids: Sequence[WindowId] | None = None) -> Grades:
        """Grade clips (N, T, H, W) uint8; see ``Runtime``. Raises ProcessError if the GPU fails."""
        del ids  # whole windows are uploaded
        at_once = MAX_BATCH if self._on_gpu else 1
        return concatenated([self._run(clips[part]) for part in batches(clips, self._shape, at_once)])

    def close(self) -> None:
        """Release the network and its memory."""
        for name in ("_captured", "_constants", "_operators"):
            self.__dict__.pop(name, None)
        if self.__dict__.pop("_on_gpu", False):
            self._torch.cuda.empty_cache()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _load(self, artifact: Artifact) -> None:
        """Read the graph, and compute once what depends on no clip."""
        try:
            graph = read_graph(read_bounded(artifact.model_path, MOST_BYTES))
            unknown = self._operators.unknown(graph)
            if unknown:
                raise ValueError(f"it has the operators {', '.join(sorted(unknown))}")
        except ValueError as error:
            raise ArtifactError(
                f"model {artifact.folder}: torch cannot run model.onnx ({error}); {EXPORT_HINT}"
            ) from error
        self._constants: Values = self._operators.constants(graph)
        fixed = [node for node in graph.nodes if _is_fixed(node, self._constants)]
        with self._torch.inference_mode():
            self._operators.run(fixed, self._constants)
        self._nodes = [node for node in graph.nodes if node not in fixed]

    def _forward(self, clips: Any) -> tuple[Any, ...]:
        values = self._constants | {"clip": clips}
        self._operators.run(self._nodes, values)
        return tuple(values[name] for name in OUTPUTS)

    def _run(self, clips: NDArray[np.uint8]) -> Outputs:
        torch = self._torch
        with torch.inference_mode():
            if not self._on_gpu:
                found = self._forward(torch.from_numpy(np.ascontiguousarray(clips)))
                grade, heads, attention = (one.numpy() for one in found)
                return grade, heads, attention
            try:
                if not self._cuda_graph:
                    on_gpu = torch.from_numpy(np.ascontiguousarray(clips)).to(self._device)
                    grade, heads, attention = (one.cpu().numpy() for one in self._forward(on_gpu))
                    return grade, heads, attention
                if len(clips) not in self._captured:
                    self._captured[len(clips)] = self._capture(len(clips))
                return self._captured[len(clips)].replay(torch, clips)
            except RuntimeError as error:
                raise ProcessError(f"engine: {self.name} failed ({str(error).splitlines()[0]})") from error

    def _capture(self, count: int) -> "_Captured":
        """Record the network for a number of clips."""
        torch = self._torch
        clips = torch.zeros((count, *self._shape), dtype=torch.uint8, device=self._device)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._forward(clips)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Another thread may use the GPU meanwhile (the torch matcher).
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            outputs = self._forward(clips)
        pinned = torch.empty(clips.shape, dtype=torch.uint8, pin_memory=True)
        return _Captured(graph, clips, pinned, outputs)


class _Captured:
    """The network as one CUDA graph for a number of clips, with the memory that it reads and writes."""

    def __init__(self, graph: Any, clips: Any, pinned: Any, outputs: tuple[Any, ...]) -> None:
        self._graph, self._clips, self._pinned, self._outputs = graph, clips, pinned, outputs

    def replay(self, torch: Any, clips: NDArray[np.uint8]) -> Outputs:
        """Upload, run and download."""
        self._pinned.numpy()[:] = clips
        self._clips.copy_(self._pinned, non_blocking=True)
        self._graph.replay()
        found = [one.to("cpu", non_blocking=True) for one in self._outputs]
        torch.cuda.current_stream().synchronize()
        grade, heads, attention = (one.numpy() for one in found)
        return grade, heads, attention


def _is_fixed(node: Node, known: Values) -> bool:
    """Whether a node casts a constant: every weight passes one."""
    return node.kind == "Cast" and node.inputs[0] in known
