"""A strict fake of ``tensorrt_rtx`` on ``engine.tensorrt.fake_cuda``, for tests on machines without a GPU.

It reads only complete plans of its own and of its own version, and runs the callable it is given as the network. It
compiles nothing: the real compiler needs no GPU and is tested directly.
"""

import hashlib
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.artifact import MAX_BATCH, TensorSpec
from engine.tensorrt.fake_cuda import FakeCuda, Misuse

Network = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], ...]]


class FakeTensorRt:
    """Replaces the module ``tensorrt_rtx``: runs plans made by ``plan`` with a callable."""

    __name__ = "tensorrt_rtx"
    uint8, float32 = "uint8", "float32"
    CudaGraphStrategy = SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole graph", DISABLED="disabled")

    class ILogger:
        """Base of loggers."""

        WARNING, ERROR, INTERNAL_ERROR = "warning", "error", "internal error"

        def __init__(self) -> None: ...

    def __init__(self, cuda: FakeCuda, network: Network, version: str = "1.0") -> None:
        self.cuda = cuda
        self.network = network
        self.__version__ = version
        self.saved_jit: list[bytes] = []
        """Just-in-time caches that were loaded back into the runtime."""

    def plan(self, specs: tuple[TensorSpec, ...]) -> bytes:
        """Return a plan with these inputs and outputs."""
        body = json.dumps([[spec.name, spec.dtype, spec.shape] for spec in specs]).encode()
        return b"fake " + self.__version__.encode() + b"\n" + hashlib.sha256(body).digest() + body

    def nptype(self, dtype: str) -> Any:
        """Return numpy's name for a type."""
        return np.dtype(dtype).type

    def Runtime(self, logger: Any) -> Any:
        """Return the object that reads plans."""
        return SimpleNamespace(deserialize_cuda_engine=lambda content: self._engine(content, logger))

    def _engine(self, content: bytes, logger: Any) -> "Engine | None":
        self.cuda.require_context("deserialize")
        head, _, rest = content.partition(b"\n")
        if head != b"fake " + self.__version__.encode():
            logger.log(self.ILogger.ERROR, f"the plan is {head.decode(errors='replace')!r}, version mismatch")
            return None
        if hashlib.sha256(rest[32:]).digest() != rest[:32]:
            logger.log(self.ILogger.ERROR, "the plan is corrupt")
            return None
        return Engine(self, {name: (dtype, tuple(shape)) for name, dtype, shape in json.loads(rest[32:])})


class Engine:
    """A plan on the device."""

    def __init__(self, trt: FakeTensorRt, tensors: dict[str, tuple[str, tuple[int, ...]]]) -> None:
        self.trt = trt
        self.tensors = tensors
        self.num_io_tensors = len(tensors)

    def get_tensor_name(self, index: int) -> str:
        """Return a name."""
        return list(self.tensors)[index]

    def get_tensor_dtype(self, name: str) -> str:
        """Return a type."""
        return self.tensors[name][0]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """Return a shape, -1 for the batch."""
        return self.tensors[name][1]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        """Return smallest, preferred and largest shape."""
        assert profile == 0
        return [(batch, *self.tensors[name][1][1:]) for batch in (1, 4, MAX_BATCH)]

    def create_runtime_config(self) -> Any:
        """Return the options of an execution context."""
        trt = self.trt

        def restore(content: bytes) -> bool:
            trt.saved_jit.append(content)
            return True

        cache = SimpleNamespace(deserialize=restore, serialize=lambda: b"kernels")
        return SimpleNamespace(
            cuda_graph_strategy=None, create_runtime_cache=lambda: cache, set_runtime_cache=lambda given: given is cache
        )

    def create_execution_context(self, config: Any) -> "Execution":
        """Return the object that runs the plan."""
        assert config.cuda_graph_strategy in ("whole graph", "disabled")
        return Execution(self)


class Execution:
    """Runs a plan on addresses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self._shape: tuple[int, ...] = ()

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """Set the batch; False if it is outside the profile."""
        expected = self._engine.tensors[name][1]
        self._shape = tuple(shape)
        return 1 <= shape[0] <= MAX_BATCH and tuple(shape[1:]) == expected[1:]

    def set_tensor_address(self, name: str, address: int) -> bool:
        """Set where a tensor lies."""
        self._addresses[name] = address
        return name in self._engine.tensors

    def execute_async_v3(self, handle: int) -> bool:
        """Queue one run."""
        cuda, tensors = self._engine.trt.cuda, self._engine.tensors
        cuda.require_context("execute_async_v3")
        if set(self._addresses) != set(tensors):
            raise Misuse("a tensor has no address")
        shape, addresses = self._shape, dict(self._addresses)

        def compute() -> None:
            clips = cuda.at(addresses["clip"], int(np.prod(shape))).reshape(shape)
            for name, values in zip(list(tensors)[1:], self._engine.trt.network(clips), strict=True):
                content = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
                cuda.at(addresses[name], len(content))[:] = content

        cuda.streams[handle].work.append(compute)
        return True
