"""Everything a network says of an array of clips, for comparing and analysing."""

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.model.inference import Pixels, answers, torch_forward
from trainer.model.systems import Network

KEPT: Final = ("grade", "heads", "attention", "v_g", "v_s", "v_t")


class ArrayClips:
    """Clips that lie in one array, perhaps mapped from a file."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        """Take clips (N, T, H, W) or (N, T, H, W, 3)."""
        self._array = array

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._array)

    def pixels(self, index: int) -> Pixels:
        """Return one clip."""
        return np.asarray(self._array[index])


def predict_arrays(network: Network, clips: NDArray[np.uint8], batch: int) -> dict[str, NDArray[Any]]:
    """Return every output that the network has, by name, each (N, ...).

    Args:
        network: The network.
        clips: (N, T, H, W) or (N, T, H, W, 3).
        batch: Clips at a time.
    """
    parts: dict[str, list[NDArray[Any]]] = {}
    for output in answers(torch_forward(network), ArrayClips(clips), network.config.frames, batch):
        for name, tensor in output._asdict().items():
            if tensor is not None and name in KEPT:
                parts.setdefault(name, []).append(tensor.numpy())
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Return arrays as the content of an npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # the stub takes the names for options
    return buffer.getvalue()
