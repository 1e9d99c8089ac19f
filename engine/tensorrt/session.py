"""The network as a TensorRT plan on an NVIDIA GPU, with pycuda for memory, streams and events.

One context, one stream. Two sets of pinned host buffers, so that one batch is filled while the previous one runs.
Windows with an id (``WindowId``) are cached on the device and only new frames are uploaded. TensorRT-RTX replays the
network as one CUDA graph and caches its just-in-time kernels beside the plan; ``tensorrt`` offers neither through
pycuda and runs without them. This module does not build plans (``engine.tensorrt.compile``).
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from engine.artifact import MAX_BATCH, Artifact, Precision
from engine.runtime import Grades, Outputs, WindowId, batches, concatenated
from engine.tensorrt.driver import Log, make_logger, open_device
from engine.tensorrt.plans import MOST_PLAN_BYTES, Plan, jit_path, rebuild
from engine.tensorrt.window_cache import WindowCache
from station.errors import ArtifactError, InputError, ProcessError
from station.files import read_bounded, write_atomically

SLOTS: Final = 2


@dataclass(frozen=True, slots=True)
class _Slot:
    """Pinned buffers of one batch in flight, and the events of its begin and end on the GPU."""

    clips: NDArray[np.uint8]
    outputs: Outputs
    began: Any
    ended: Any


class TensorRtSession:
    """A Runtime on a plan. Use it from the thread that created it.

    Args:
        artifact: Whose model is run.
        plan: A plan of that model.
        trt: The module ``tensorrt`` or ``tensorrt_rtx``.
        cuda: The module ``pycuda.driver``.
        cuda_graph: Whether TensorRT-RTX replays the network as one CUDA graph.

    Raises:
        InputError: No usable GPU, or not enough memory on it.
        ArtifactError: The plan is damaged, of another version, or has other inputs and outputs than the artifact.
    """

    def __init__(self, artifact: Artifact, plan: Plan, trt: Any, cuda: Any, *, cuda_graph: bool = True) -> None:
        self._cuda = cuda
        self._shape = artifact.manifest.inputs[0].shape[1:]
        self.precision: Precision = plan.info.precision
        self.plan_sha256 = plan.info.plan_sha256
        self.gpu_ms = float("nan")
        """Upload, network and download of the latest batch, by the GPU's clock."""
        self.uploaded_bytes = 0
        """Clip bytes sent to the GPU so far."""
        with contextlib.ExitStack() as stack:
            device = open_device(cuda)
            self.name = f"{plan.info.runtime} ({device.name()}, {plan.info.precision})"
            try:
                self._enter_context(stack, device)
                self._load(stack, artifact, plan, trt, str(device.name()), cuda_graph)
                self._allocate(stack, artifact)
            except cuda.MemoryError as error:
                raise InputError(
                    f"runtime {plan.info.runtime}: not enough memory on {device.name()} ({error}); "
                    "close other programs that use the GPU, or use the runtime onnxruntime"
                ) from error
            except cuda.Error as error:
                raise InputError(
                    f"runtime {plan.info.runtime}: {device.name()} cannot be used ({error}); use onnxruntime instead"
                ) from error
            self._stack = stack.pop_all()

    def infer(self, clips: NDArray[np.uint8], ids: Sequence[WindowId] | None = None) -> Grades:
        """Grade clips (N, T, H, W) uint8; see ``Runtime``. Raises ProcessError if the GPU fails."""
        if ids is not None and [len(window.frame_seqs) for window in ids] != [self._shape[0]] * len(clips):
            raise ValueError(
                f"expected ids of {len(clips)} clips, {self._shape[0]} frame numbers each, got {list(ids)}"
            )
        parts: list[Outputs] = []
        under_way: tuple[_Slot, int] | None = None
        try:
            for index, part in enumerate(batches(clips, self._shape)):
                slot = self._slots[index % SLOTS]
                count = self._submit(slot, clips[part], None if ids is None else ids[part])
                if under_way:
                    parts.append(self._collect(*under_way))
                under_way = slot, count
            if under_way:
                parts.append(self._collect(*under_way))
        except ProcessError:
            self._windows.forget()
            raise
        except self._cuda.Error as error:
            self._windows.forget()
            raise ProcessError(f"engine: {self.name} failed ({error})") from error
        return concatenated(parts)

    def close(self) -> None:
        """Wait for the GPU and release everything, the context last."""
        # A GPU that failed before fails here again; the first failure is the one to report.
        with contextlib.suppress(self._cuda.Error):
            self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _submit(self, slot: _Slot, clips: NDArray[np.uint8], ids: Sequence[WindowId] | None) -> int:
        """Queue one batch: upload, network, download. Returns its number of clips."""
        cuda, count = self._cuda, len(clips)
        slot.began.record(self._stream)
        if ids is None:
            slot.clips[:count] = clips
            cuda.memcpy_htod_async(int(self._device["clip"]), slot.clips[:count], self._stream)
            self.uploaded_bytes += clips.nbytes
        else:
            for row, window in enumerate(ids):
                target = int(self._device["clip"]) + row * clips[0].nbytes
                fresh = self._windows.place(window, clips[row], slot.clips[row], target, self._stream)
                self.uploaded_bytes += fresh * clips[row, 0].nbytes
        if not self._execution.set_input_shape("clip", (count, *self._shape)):
            raise ProcessError(f"engine: {self.name} refuses a batch of {count}")
        if not self._execution.execute_async_v3(self._stream.handle):
            raise ProcessError(f"engine: {self.name} did not run ({self._log.last()})")
        for name, pinned in zip(("grade", "heads", "attention"), slot.outputs, strict=True):
            cuda.memcpy_dtoh_async(pinned[:count], int(self._device[name]), self._stream)
        slot.ended.record(self._stream)
        return count

    def _collect(self, slot: _Slot, count: int) -> Outputs:
        """Wait for a batch and return its outputs, copied out of the pinned buffers."""
        slot.ended.synchronize()
        self.gpu_ms = slot.ended.time_since(slot.began)
        grade, heads, attention = (pinned[:count].copy() for pinned in slot.outputs)
        return grade, heads, attention

    def _enter_context(self, stack: contextlib.ExitStack, device: Any) -> None:
        """Make the GPU's primary context current, which other libraries in this process (torch) share."""
        context = device.retain_primary_context()
        stack.callback(context.detach)
        context.push()
        stack.callback(self._cuda.Context.pop)
        self._stream = self._cuda.Stream()
        stack.callback(self._forget, "_stream")

    def _load(
        self, stack: contextlib.ExitStack, artifact: Artifact, plan: Plan, trt: Any, gpu: str, cuda_graph: bool
    ) -> None:
        """Load the plan onto the GPU."""
        if plan.info.version != trt.__version__:
            raise ArtifactError(
                f"plan {plan.path}: was built by {plan.info.runtime} {plan.info.version}, this machine has "
                f"{trt.__version__}; {rebuild(plan)}"
            )
        content = plan.read()
        self._log = Log()
        self._runtime = trt.Runtime(make_logger(trt, self._log))
        stack.callback(self._forget, "_runtime")
        self._engine = self._runtime.deserialize_cuda_engine(content)
        stack.callback(self._forget, "_engine")
        if self._engine is None:
            raise ArtifactError(
                f"plan {plan.path}: {plan.info.runtime} cannot load it ({self._log.last()}); {rebuild(plan)}"
            )
        self._require_io(artifact, plan, trt)
        options, save = _jit_cache(trt, self._engine, plan, gpu, cuda_graph)
        self._execution = self._engine.create_execution_context(*options)
        stack.callback(self._forget, "_execution")
        if self._execution is None:
            raise ArtifactError(f"plan {plan.path}: makes no execution context ({self._log.last()}); {rebuild(plan)}")
        stack.callback(save)

    def _require_io(self, artifact: Artifact, plan: Plan, trt: Any) -> None:
        """Raise ArtifactError if the plan's inputs and outputs are not the artifact's."""
        found = {}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            dtype = np.dtype(trt.nptype(self._engine.get_tensor_dtype(name))).name
            found[name] = (dtype, tuple(self._engine.get_tensor_shape(name)))
        specs = (*artifact.manifest.inputs, *artifact.manifest.outputs)
        expected = {spec.name: (str(spec.dtype), spec.shape) for spec in specs}
        if found != expected:
            raise ArtifactError(f"plan {plan.path}: expected {expected}, it has {found}; {rebuild(plan)}")
        largest = tuple(self._engine.get_tensor_profile_shape("clip", 0)[2])
        if largest != (MAX_BATCH, *self._shape):
            raise ArtifactError(f"plan {plan.path}: takes batches up to {largest[0]}, not {MAX_BATCH}; {rebuild(plan)}")

    def _allocate(self, stack: contextlib.ExitStack, artifact: Artifact) -> None:
        """Allocate all buffers, once."""
        cuda = self._cuda
        self._device: dict[str, Any] = {}
        pinned: dict[str, list[NDArray[Any]]] = {}
        for spec in (*artifact.manifest.inputs, *artifact.manifest.outputs):
            shape = (MAX_BATCH, *spec.shape[1:])
            size = int(np.prod(shape)) * np.dtype(spec.dtype).itemsize
            self._device[spec.name] = cuda.mem_alloc(size)
            stack.callback(self._device[spec.name].free)
            self._execution.set_tensor_address(spec.name, int(self._device[spec.name]))
            pinned[spec.name] = [cuda.pagelocked_empty(shape, np.dtype(spec.dtype)) for _ in range(SLOTS)]
        self._windows = WindowCache(cuda, self._shape)
        stack.callback(self._windows.close)
        self._slots = [
            _Slot(
                pinned["clip"][index],
                (pinned["grade"][index], pinned["heads"][index], pinned["attention"][index]),
                cuda.Event(),
                cuda.Event(),
            )
            for index in range(SLOTS)
        ]
        # Pinned memory and events are freed with the last reference, which must happen while the context still exists.
        stack.callback(self._forget, "_slots")
        pinned.clear()
        stack.callback(self._stream.synchronize)

    def _forget(self, attribute: str) -> None:
        """Drop the last reference to an object that frees itself."""
        self.__dict__.pop(attribute, None)


def _jit_cache(
    trt: Any, engine: Any, plan: Plan, gpu: str, cuda_graph: bool
) -> tuple[tuple[Any, ...], Callable[[], None]]:
    """Return the options of an execution context, and a function that saves its just-in-time compiled kernels.

    Only TensorRT-RTX has them. The runtime itself refuses a cache of another driver or GPU, and it is rewritten; a
    cache that cannot be written only costs the next start some seconds.
    """
    if not hasattr(engine, "create_runtime_config"):
        return (), lambda: None
    options = engine.create_runtime_config()
    strategy = trt.CudaGraphStrategy
    options.cuda_graph_strategy = strategy.WHOLE_GRAPH_CAPTURE if cuda_graph else strategy.DISABLED
    cache = options.create_runtime_cache()
    path = jit_path(plan, gpu)
    with contextlib.suppress(OSError):
        cache.deserialize(read_bounded(path, MOST_PLAN_BYTES))
    options.set_runtime_cache(cache)

    def save() -> None:
        with contextlib.suppress(OSError):
            write_atomically(path, bytes(cache.serialize()))

    return (options,), save
