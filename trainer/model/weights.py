"""A network in a file: safetensors with the network's shape beside the weights, or a run's checkpoint.

The files of other programs are the matter of ``trainer.model.foreign_weights``.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from station.errors import InputError
from trainer.model.checkpoint import Checkpoint, read_checkpoint
from trainer.model.rostfine import ENCODER, Rostfine
from trainer.model.systems import Network, network_from
from trainer.model.weight_files import FORMAT, first_line, is_safetensors, read_safetensors, read_torch_file

TIME_EMBED: Final = ENCODER + "time_embed"
LAYERS: Final = ("depth", "score_blocks", "branch_depth")
MOST_OTHERWISE: Final = 100
"""Layers of a network whose layers are not its own to count: SlowFast has depth 50."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network as a file holds it, in evaluation mode."""

    network: Network
    origin: str
    """Where the weights come from, in words; empty where the file does not say."""
    recipe: dict[str, Any]
    """The training run's recipe; empty for imported weights."""
    log: tuple[dict[str, Any], ...]
    """The training run's entries, one per epoch; empty for imported weights."""


def save_weights(network: Network, path: Path, origin: str = "") -> None:
    """Write a network's weights and shape. Raises InputError where the file cannot be written."""
    shape = json.dumps(dataclasses.asdict(network.config), sort_keys=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    try:
        save_file(tensors, path, metadata={"format": FORMAT, "network": shape, "origin": origin})
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be written ({first_line(error)}); give another path") from error


def load_weights(path: Path) -> Loaded:
    """Read a file of ``save_weights`` or a checkpoint of a training run. Raises InputError for anything else."""
    if is_weights_file(path):
        shape, tensors, origin = _read_safetensors(path)
        saved = Checkpoint(shape, tensors)
    else:
        saved, origin = read_checkpoint(path), ""
    try:
        _require_fit(saved)
        network = network_from(saved.network)
        network.load_state_dict(saved.model)
    except (ValidationError, RuntimeError) as error:
        raise InputError(f"{path}: its weights do not fit its network ({first_line(error)}); make it again") from error
    return Loaded(network.eval(), origin, saved.recipe, tuple(saved.log))


def _require_fit(saved: Checkpoint) -> None:
    """Raise RuntimeError where weights do not fit the network that a file describes, before memory is taken for it."""
    layers = max(
        (value for name, value in saved.network.items() if name in LAYERS and isinstance(value, int)), default=0
    )
    if layers > max(MOST_OTHERWISE, len(saved.model)):
        raise RuntimeError(f"{layers} layers, of which {len(saved.model)} tensors cannot be the weights")
    with torch.device("meta"):
        outline = network_from(saved.network)
    shapes = {name: torch.empty(tensor.shape, device="meta") for name, tensor in saved.model.items()}
    outline.load_state_dict(shapes, assign=True)


def is_weights_file(path: Path) -> bool:
    """Return whether a file is one of ``save_weights``, by name or content, and not a checkpoint."""
    return path.suffix == ".safetensors" or is_safetensors(path)


def is_own(path: Path) -> bool:
    """Return whether this program wrote a file, by its content. Raises InputError where it holds no weights."""
    if is_safetensors(path):
        return read_safetensors(path).metadata.get("format") == FORMAT
    content = read_torch_file(path)
    return isinstance(content, dict) and content.keys() >= {"recipe", "network", "model"}


def require_rostfine(loaded: Loaded, what: str) -> Rostfine:
    """Return a loaded network that is RoSTFine's or TimeSformer's. Raises InputError for any other."""
    if isinstance(loaded.network, Rostfine):
        return loaded.network
    raise InputError(f"{what}: works on RoSTFine and TimeSformer, not on {loaded.network.config.system}")


def with_frames(weights: dict[str, Tensor], frames: int) -> dict[str, Tensor]:
    """Return a network's weights with its time embeddings (1, T, D) brought to another number of frames.

    Nearest neighbour, as TimeSformer does it: of 4 frames grown to 8 each embedding stands twice.
    """
    time = weights[TIME_EMBED]
    return {**weights, TIME_EMBED: time[:, torch.arange(frames) * time.shape[1] // frames]}


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Tensor], str]:
    tensors, metadata = read_safetensors(path)
    if metadata.get("format") != FORMAT or "network" not in metadata:
        raise InputError(
            f"{path}: expected weights of this program ({FORMAT}), found another safetensors file; "
            "bring it in with `python -m trainer import`"
        )
    try:
        network = json.loads(metadata["network"])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its description of the network cannot be read; {error}") from error
    if not isinstance(network, dict):
        raise InputError(f"{path}: its description of the network is none; take the file from its origin again")
    return network, tensors, metadata.get("origin", "")
