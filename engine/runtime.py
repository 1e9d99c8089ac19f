"""The Runtime protocol: clips go in, grades come out, whatever library executes the network.

Callers know this protocol only; ``name`` says which library, device and precision is behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from engine.artifact import MAX_BATCH, Precision


@dataclass(frozen=True, slots=True)
class Grades:
    """The network's outputs for N clips. The arrays belong to the caller."""

    grade: NDArray[np.float32]
    """(N, 5) probability of each grade, A to E; each row sums to 1 within 1e-5."""
    heads: NDArray[np.float32] | None
    """(N, 3, 5) the same from the global, spatial and temporal head; None where the network has no such output."""
    attention: NDArray[np.float32] | None
    """(N, T, P) selection score of each patch; None where the network has no such output."""


class WindowId(NamedTuple):
    """Which frames of which sperm a clip shows: equal frames of one sperm have equal pixels.

    A runtime with device memory keeps frames it has seen and uploads only the new ones of a clip.
    """

    sperm_id: int
    frame_seqs: tuple[int, ...]
    """(T,) oldest first."""


class Runtime(Protocol):
    """A network ready to run. A context manager; ``close`` may be called more than once."""

    @property
    def name(self) -> str:
        """For people: "onnxruntime (CPU, 1 thread)"."""
        ...

    @property
    def precision(self) -> Precision:
        """The precision it computes in; sets the tolerance of verification."""
        ...

    @property
    def plan_sha256(self) -> str:
        """Hash of the compiled plan, or the quantized graph, in use; empty if the model file itself is run."""
        ...

    def infer(self, clips: NDArray[np.uint8], ids: Sequence[WindowId] | None = None) -> Grades:
        """Grade clips (N, T, H, W) uint8, N >= 1, any N. ``clips`` is not kept.

        Args:
            clips: The clips.
            ids: What each clip shows; lets a runtime skip uploads. The grades are the same without.

        Raises:
            ValueError: Clips of another shape or type.
        """
        ...

    def close(self) -> None:
        """Release the network and its memory."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


Outputs = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""``grade``, ``heads``, ``attention`` of one batch."""
SomeOutputs = tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32] | None]
"""The same of any network: None for what it does not have."""


def batches(clips: NDArray[np.uint8], shape: tuple[int, ...], size: int = MAX_BATCH) -> list[slice]:
    """Check clips against (T, H, W) ``shape`` and return the batches of at most ``size`` to run them in."""
    if clips.dtype != np.uint8 or clips.ndim != 4 or clips.shape[1:] != shape or not len(clips):
        raise ValueError(f"expected clips (N, {', '.join(map(str, shape))}) uint8, got {clips.shape} {clips.dtype}")
    return [slice(start, start + size) for start in range(0, len(clips), size)]


def concatenated(parts: Sequence[SomeOutputs]) -> Grades:
    """Return the outputs of one or more batches as one."""
    if len(parts) == 1:
        return Grades(*parts[0])
    grade, heads, attention = zip(*parts, strict=True)
    return Grades(np.concatenate(grade), _joined(heads), _joined(attention))


def _joined(arrays: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if present else None
