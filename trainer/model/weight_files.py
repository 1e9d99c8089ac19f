"""Files of weights: what torch or safetensors saved, read as data alone. No code in a file is ever run.

It knows the two file formats. What the tensors are called, and what they belong to, it does not know.
"""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from station.errors import InputError


class Safetensors(NamedTuple):
    """What a safetensors file holds."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def read_torch_file(path: Path, device: torch.device | str = "cpu") -> Any:
    """Return what torch saved in a file, its tensors on a device. Raises InputError where it is not data alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about other pickle protocols: what matters is whether it can be read
            return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # rubbish makes the reader fail in a dozen ways
        raise InputError(
            f"{path}: cannot be read as weights ({first_line(error)}); give a file saved by torch"
        ) from error


def read_safetensors(path: Path) -> Safetensors:
    """Return a safetensors file's tensors. Raises InputError where it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return Safetensors(tensors, file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as weights ({first_line(error)}); take the file again") from error


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its type's name where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
