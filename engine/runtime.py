"""The Runtime protocol: whatever executes the network, clips go in and grades come out.

Callers know this protocol; which library, device or precision stands behind it they read from ``name``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from engine.artifact import MAX_BATCH, Precision


@dataclass(frozen=True, slots=True)
class Grades:
    """What the network says about N clips. The arrays belong to the receiver."""

    grade: NDArray[np.float32]
    """(N, 5) probability of each grade, A to E; each row sums to 1 within 1e-5."""
    heads: NDArray[np.float32]
    """(N, 3, 5) the same by the global, spatial and temporal head."""
    attention: NDArray[np.float32]
    """(N, T, P) selection score of each patch."""


class Runtime(Protocol):
    """A network ready to run. A context manager; ``close`` may be called more than once."""

    @property
    def name(self) -> str:
        """For people: "onnxruntime (CPU, 1 thread)"."""
        ...

    @property
    def precision(self) -> Precision:
        """The coarsest precision between clip and grade; decides the tolerance of verification."""
        ...

    def infer(self, clips: NDArray[np.uint8]) -> Grades:
        """Grade clips (N, T, H, W) uint8, N >= 1, any N. ``clips`` is not kept. Raises ValueError for another shape."""
        ...

    def close(self) -> None:
        """Give the network and its memory back."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


def in_batches(
    clips: NDArray[np.uint8],
    shape: tuple[int, ...],
    run: Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]],
) -> Grades:
    """Check clips against (T, H, W) ``shape`` and run them at most ``MAX_BATCH`` at a time."""
    if clips.dtype != np.uint8 or clips.ndim != 4 or clips.shape[1:] != shape or not len(clips):
        raise ValueError(f"expected clips (N, {', '.join(map(str, shape))}) uint8, got {clips.shape} {clips.dtype}")
    parts = [run(clips[start : start + MAX_BATCH]) for start in range(0, len(clips), MAX_BATCH)]
    if len(parts) == 1:
        return Grades(*parts[0])
    grade, heads, attention = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Grades(grade, heads, attention)
