"""A strict fake of ``pycuda.driver``, for tests on machines without a GPU.

It offers the calls that ``engine.tensorrt.session`` makes and forgives nothing that a GPU would punish: work runs only
when the host waits for it (so memory read too early holds garbage, and a pinned buffer refilled too early corrupts the
result), addresses are checked on every access (freed, unknown, too short), a second context is refused, and ``leaks``
lists what was not released. It measures no time.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNWRITTEN = 0xFF
"""Every byte of unwritten memory: NaN as float32."""


class _Error(Exception):
    """Base, as ``pycuda.driver.Error``."""


class _LogicError(_Error):
    pass


class _MemoryError(_Error):
    pass


class _RuntimeError(_Error):
    pass


class Misuse(AssertionError):
    """A call that a GPU might let pass although it is wrong."""


class FakeCuda:
    """Replaces the module ``pycuda.driver``. ``gpu``: whether there is one; ``memory_bytes``: its memory."""

    Error, LogicError, MemoryError, RuntimeError = _Error, _LogicError, _MemoryError, _RuntimeError

    def __init__(self, *, gpu: bool = True, memory_bytes: int = 1 << 30) -> None:
        self._gpu = gpu
        self._free_bytes = memory_bytes
        self._initialised = False
        self._next = 1 << 20
        self.allocations: dict[int, Allocation] = {}
        self.pinned: list[tuple[int, int]] = []
        self.streams: dict[int, Stream] = {}
        self.contexts: list[Context] = []
        self.current: list[Context] = []
        self.fail_next = ""
        """Name of a call that fails the next time."""
        self.dead = False
        """True: every call fails from now on, as on a GPU that has fallen off the bus."""
        self.Context = SimpleNamespace(pop=self._pop)

    def leaks(self) -> list[str]:
        """Return what was not released."""
        found = [f"{len(a.content)} bytes at {a.base:#x}" for a in self.allocations.values() if not a.freed]
        found += ["a current context"] * len(self.current) + ["a retained context"] * len(self.contexts)
        return found + ["unfinished work" for stream in self.streams.values() if stream.work]

    # Driver --------------------------------------------------------------------------------------------------------

    def init(self) -> None:
        """Start the driver."""
        if not self._gpu:
            raise _RuntimeError("cuInit failed: no CUDA-capable device is detected")
        self._initialised = True

    def Device(self, number: int) -> Any:
        """Return a GPU."""
        if not self._initialised:
            raise _LogicError("cuDeviceGet failed: initialization error")
        if number != 0:
            raise _LogicError("cuDeviceGet failed: invalid device ordinal")
        return SimpleNamespace(name=lambda: "Fake GPU", retain_primary_context=self._retain)

    def _retain(self) -> "Context":
        if self.contexts:
            raise Misuse("a second context is retained while the first is still retained")
        context = Context(self)
        self.contexts.append(context)
        return context

    def _pop(self) -> None:
        if not self.current:
            raise _LogicError("cuCtxPopCurrent failed: invalid device context")
        self.current.pop()

    def require_context(self, call: str) -> None:
        """Raise if no context is current, or if this call is set to fail."""
        if not self.current:
            raise _LogicError(f"{call} failed: invalid device context")
        if self.dead:
            raise _LogicError(f"{call} failed: the GPU is lost")
        if self.fail_next == call:
            self.fail_next = ""
            raise _LogicError(f"{call} failed: unspecified launch failure")

    # Memory --------------------------------------------------------------------------------------------------------

    def mem_alloc(self, size: int) -> "Allocation":
        """Return uninitialised device memory."""
        self.require_context("mem_alloc")
        if size > self._free_bytes:
            raise _MemoryError("cuMemAlloc failed: out of memory")
        self._free_bytes -= size
        allocation = Allocation(self, self._next, size)
        # An unowned gap, so that an overrun is noticed.
        self._next += size + (1 << 12)
        self.allocations[allocation.base] = allocation
        return allocation

    def returned(self, size: int) -> None:
        """Take memory back."""
        self._free_bytes += size

    def pagelocked_empty(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return uninitialised pinned host memory."""
        self.require_context("pagelocked_empty")
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        array: NDArray[Any] = np.full(size, UNWRITTEN, np.uint8).view(dtype).reshape(shape)
        start = array.__array_interface__["data"][0]
        self.pinned.append((start, start + array.nbytes))
        return array

    def at(self, address: int, size: int) -> NDArray[np.uint8]:
        """Return ``size`` bytes of device memory. Raises Misuse for a freed or foreign address or a wrong size."""
        for allocation in self.allocations.values():
            if allocation.base <= address < allocation.base + len(allocation.content):
                if allocation.freed:
                    raise Misuse(f"device memory at {address:#x} is used after it was freed")
                offset = address - allocation.base
                if offset + size > len(allocation.content):
                    raise Misuse(f"{size} bytes at {address:#x} run over the end of their allocation")
                return allocation.content[offset : offset + size]
        raise Misuse(f"{address:#x} is not device memory")

    def _host(self, array: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the bytes of a host array that asynchronous copies may touch."""
        if not array.flags.c_contiguous:
            raise Misuse("an asynchronous copy needs contiguous host memory")
        start = array.__array_interface__["data"][0]
        if not any(low <= start and start + array.nbytes <= high for low, high in self.pinned):
            raise Misuse("an asynchronous copy needs pinned host memory")
        return array.reshape(-1).view(np.uint8)

    def memcpy_htod_async(self, target: int, source: NDArray[Any], stream: "Stream") -> None:
        """Queue an upload; the source is read when it runs."""
        self.require_context("memcpy_htod_async")
        host = self._host(source)
        self.at(target, source.nbytes)

        def copy() -> None:
            self.at(target, len(host))[:] = host

        stream.work.append(copy)

    def memcpy_dtoh_async(self, target: NDArray[Any], source: int, stream: "Stream") -> None:
        """Queue a download; the target holds garbage until it has run."""
        self.require_context("memcpy_dtoh_async")
        host = self._host(target)
        self.at(source, target.nbytes)
        host[:] = UNWRITTEN

        def copy() -> None:
            host[:] = self.at(source, len(host))

        stream.work.append(copy)

    def memcpy_dtod_async(self, target: int, source: int, size: int, stream: "Stream") -> None:
        """Queue a copy within the device."""
        self.require_context("memcpy_dtod_async")
        self.at(target, size)
        self.at(source, size)

        def copy() -> None:
            self.at(target, size)[:] = self.at(source, size)

        stream.work.append(copy)

    # Streams and events --------------------------------------------------------------------------------------------

    def Stream(self) -> "Stream":
        """Return a stream."""
        self.require_context("Stream")
        stream = Stream(self, len(self.streams) + 1)
        self.streams[stream.handle] = stream
        return stream

    def Event(self) -> "Event":
        """Return an event."""
        self.require_context("Event")
        return Event(self)


class Context:
    """The GPU's primary context."""

    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda

    def push(self) -> None:
        """Make it current."""
        self._cuda.current.append(self)

    def detach(self) -> None:
        """Release it."""
        if self in self._cuda.current:
            raise Misuse("the context is released while it is current")
        self._cuda.contexts.remove(self)


class Allocation:
    """Device memory."""

    def __init__(self, cuda: FakeCuda, base: int, size: int) -> None:
        self._cuda = cuda
        self.base = base
        self.content = np.full(size, UNWRITTEN, np.uint8)
        self.freed = False

    def __int__(self) -> int:
        return self.base

    def free(self) -> None:
        """Free it, once."""
        self._cuda.require_context("free")
        if self.freed:
            raise Misuse("device memory is freed twice")
        self.freed = True
        self._cuda.returned(len(self.content))


class Stream:
    """Work in order, run when the host waits."""

    def __init__(self, cuda: FakeCuda, handle: int) -> None:
        self._cuda = cuda
        self.handle = handle
        self.work: list[Callable[[], None]] = []

    def synchronize(self) -> None:
        """Do all work."""
        self._cuda.require_context("synchronize")
        while self.work:
            self.work.pop(0)()


class Event:
    """A place in a stream's work."""

    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda
        self._stream: Stream | None = None
        self._done = False

    def record(self, stream: Stream) -> None:
        """Mark the stream's end as of now."""
        self._cuda.require_context("record")
        self._stream, self._done = stream, False

        def pass_by() -> None:
            self._done = True

        stream.work.append(pass_by)

    def synchronize(self) -> None:
        """Do the stream's work up to here."""
        self._cuda.require_context("event synchronize")
        if self._stream is None:
            raise Misuse("an event that was never recorded is waited for")
        while not self._done:
            self._stream.work.pop(0)()

    def time_since(self, earlier: "Event") -> float:
        """Return the ms between two events: always 1, and only once both have passed."""
        if not (self._done and earlier._done):
            raise _LogicError("cuEventElapsedTime failed: device not ready")
        return 1.0
