"""The checkpoint of a training or pretraining run: one file (``last.pt``, ``best.pt``), written and read here alone.

It knows the file's fields. What they mean is the matter of who trains: recipe and log are kept as the plain values that
the file holds.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from station.errors import InputError
from station.files import write_atomically
from trainer.model.weight_files import read_torch_file

Tensors = dict[str, Tensor]
KINDS: Final[dict[str, type]] = {
    "network": dict, "model": dict, "recipe": dict, "criteria": dict, "optimizer": dict, "teacher": dict,
    "epochs_done": int, "log": list,
}  # fmt: skip
"""Parts of a checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything a run needs to go on, as plain values and tensors."""

    network: dict[str, Any]
    """Fields of the ``NetworkConfig``."""
    model: Tensors
    """State dict of the network."""
    recipe: dict[str, Any] = field(default_factory=dict)
    criteria: Tensors = field(default_factory=dict)
    """State dict of the layer that predicts the raters' criteria; empty where it is not trained."""
    optimizer: dict[str, Any] = field(default_factory=dict)
    epochs_done: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)
    """One entry per epoch (training) or every few batches (pretraining)."""
    auxiliary: Tensors | None = None
    """State dict of pretraining's heads (``teacher`` in the file); None for a training run."""


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the old file stays whole until the new one is."""
    state = {
        "recipe": checkpoint.recipe,
        "network": checkpoint.network,
        "model": checkpoint.model,
        **({} if checkpoint.auxiliary is None else {"teacher": checkpoint.auxiliary}),
        "criteria": checkpoint.criteria,
        "optimizer": checkpoint.optimizer,
        "epochs_done": checkpoint.epochs_done,
        "log": checkpoint.log,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint, its tensors onto a device. Raises InputError where the file is none."""
    state = read_torch_file(path, device)
    if not isinstance(state, dict) or not {"network", "model"} <= state.keys():
        raise InputError(
            f"{path}: expected a checkpoint of `python -m trainer train`, found another file; "
            "bring it in with `python -m trainer import`"
        )
    wrong = next((name for name, kind in KINDS.items() if not isinstance(state.get(name, kind()), kind)), None)
    wrong = wrong or next(
        (name for name in ("model", "criteria", "teacher") if not _are_tensors(state.get(name))), None
    )
    if wrong is not None:
        raise InputError(
            f"{path}: its part {wrong!r} is not what a training run writes; take the file of another epoch"
        )
    return Checkpoint(
        network=state["network"],
        model=state["model"],
        recipe=state.get("recipe", {}),
        criteria=state.get("criteria", {}),
        optimizer=state.get("optimizer", {}),
        epochs_done=state.get("epochs_done", 0),
        log=state.get("log", []),
        auxiliary=state.get("teacher"),
    )


def _are_tensors(part: Any) -> bool:
    return part is None or all(isinstance(name, str) and isinstance(one, Tensor) for name, one in part.items())
