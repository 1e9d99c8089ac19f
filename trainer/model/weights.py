"""Weights of a Rostfine network in a file: written as safetensors with the network's shape beside them.

It also reads the checkpoints of ``python -m trainer train``. Files of other programs are the matter of
``trainer.commands.import_weights``.
"""

import dataclasses
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.artifact import NetworkConfig
from station.errors import InputError
from trainer.model.rostfine import Rostfine

FORMAT = "rostfine-weights/1"
_CONFIG = TypeAdapter(NetworkConfig)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network as a file holds it, in evaluation mode."""

    network: Rostfine
    origin: str
    """Where the weights come from, in words; empty where the file does not say."""
    recipe: dict[str, Any]
    """The training run's recipe; empty for imported weights."""
    log: tuple[dict[str, Any], ...]
    """The training run's entries, one per epoch; empty for imported weights."""


def save_weights(network: Rostfine, path: Path, origin: str = "") -> None:
    """Write a network's weights and shape. Raises InputError where the file cannot be written."""
    shape = json.dumps(dataclasses.asdict(network.config), sort_keys=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    try:
        save_file(tensors, path, metadata={"format": FORMAT, "network": shape, "origin": origin})
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be written ({_first_line(error)}); give another path") from error


def load_weights(path: Path) -> Loaded:
    """Read a file of ``save_weights`` or a checkpoint of a training run. Raises InputError for anything else."""
    if path.suffix == ".safetensors":
        shape, tensors, origin = _read_safetensors(path)
        recipe, log = {}, []
    else:
        state = _read_checkpoint(path)
        shape, tensors, origin = state["network"], state["model"], ""
        recipe, log = state.get("recipe", {}), state.get("log", [])
    try:
        network = Rostfine(_CONFIG.validate_python(shape))
        network.load_state_dict(tensors)
    except (ValidationError, RuntimeError) as error:
        raise InputError(f"{path}: its weights do not fit its network ({_first_line(error)}); make it again") from error
    return Loaded(network.eval(), origin, recipe, tuple(log))


def _read_safetensors(path: Path) -> tuple[Any, dict[str, Tensor], str]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: no readable safetensors file ({_first_line(error)}); give another") from error
    if metadata.get("format") != FORMAT or "network" not in metadata:
        raise InputError(
            f"{path}: expected weights of this program ({FORMAT}), found another safetensors file; "
            "bring it in with `python -m trainer import`"
        )
    return json.loads(metadata["network"]), tensors, metadata.get("origin", "")


def read_torch_file(path: Path) -> Any:
    """Return what torch saved in a file, if it is data alone: no code in it is run. Raises InputError else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about other pickle protocols: what matters is whether it can be read
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # rubbish makes the reader fail in a dozen ways
        raise InputError(
            f"{path}: cannot be read as weights ({_first_line(error)}); give a file saved by torch"
        ) from error


def _read_checkpoint(path: Path) -> dict[str, Any]:
    state = read_torch_file(path)
    if not isinstance(state, dict) or not {"network", "model"} <= state.keys():
        raise InputError(
            f"{path}: expected a checkpoint of `python -m trainer train`, found another file; "
            "bring it in with `python -m trainer import`"
        )
    return state


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
