"""Several batches in the network at once, where nothing may be missed and nobody waits for the single one.

Offline and in a replay one batch after the other leaves cores idle: a small network hardly gains by more threads. So
batches overlap, each computed as it would be alone, and are handed out in their order: the same bits as one by one.
Live there is one lane: a second would take the tracker's core. This module knows order and threads, not what a batch
is.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

from engine.onnx_runtime import OnnxSession
from engine.runtime import Runtime
from station.machine import usable_cores

Batch = TypeVar("Batch")
Graded = TypeVar("Graded")


def lanes_of(runtime: Runtime, *, lossless: bool) -> int:
    """Return how many batches a runtime may have at once: more than one offline on CPUs, whose sessions allow it."""
    return usable_cores() if lossless and one_by_one(runtime) else 1


def one_by_one(runtime: Runtime) -> bool:
    """Return whether a runtime runs the clips of a batch one after the other, so that a batch gains nothing."""
    return isinstance(runtime, OnnxSession) and runtime.on_cpu


class Lanes(Generic[Batch, Graded]):
    """Does ``work`` with batches, several at once; a context manager. With one lane, in the caller's own thread."""

    def __init__(self, work: Callable[[Batch], Graded], count: int) -> None:
        """``count``: lanes; ``work`` is called from so many threads at once."""
        self._work = work
        self._count = count
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="lane") if count > 1 else None
        self._under_way: deque[Future[Graded]] = deque()

    @property
    def busy(self) -> bool:
        """Whether batches have been put in that were not taken out."""
        return bool(self._under_way)

    @property
    def full(self) -> bool:
        """Whether one has to be taken out before the next is put in."""
        return len(self._under_way) >= self._count

    def put(self, batch: Batch) -> None:
        """Put the next batch in."""
        if self._threads is not None:
            self._under_way.append(self._threads.submit(self._work, batch))
            return
        done: Future[Graded] = Future()
        done.set_result(self._work(batch))
        self._under_way.append(done)

    def take(self) -> Graded:
        """Return what has become of the oldest batch, once it is done. Raises what the work raised."""
        return self._under_way.popleft().result()

    def close(self) -> None:
        """Wait for what is under way, and drop it; may be called more than once."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        self._under_way.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
