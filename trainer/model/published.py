"""Pretrained weights as the authors of a baseline, or of its library, publish them: read into the network, all but the
last layer, whose classes are others.

Files are local; nothing is fetched. ``trainer.model.systems`` says where each is published.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from station.errors import InputError
from trainer.model.baselines import HEAD_NAMES, Baseline
from trainer.model.state_dicts import PREFERRED, without_wrappers
from trainer.model.systems import SYSTEMS
from trainer.model.weight_files import is_safetensors, read_safetensors, read_torch_file

POSITIONS: Final = "vivit.embeddings.position_embeddings"
COUNTERS: Final = ".num_batches_tracked"
"""Batch counters of normalisation layers, which some files leave out."""
RENAMED: Final = (
    (r"vivit\.encoder\.layer\.", "vivit.layers."),
    (r"attention\.attention\.(query|key|value)\.", lambda found: f"attention.{found[1][0]}_proj."),
    (r"attention\.output\.dense\.", "attention.o_proj."),
    (r"intermediate\.dense\.", "mlp.fc1."),
    (r"(layers\.\d+)\.output\.dense\.", r"\1.mlp.fc2."),
)
"""ViViT's names in the published file, and those that transformers has today."""
SHOWN: Final = 3


def load_published(network: Baseline, path: Path) -> None:
    """Put the weights of a file in their places.

    Raises:
        InputError: The file is not of this network, or of another size.
    """
    system = network.config.system
    head = HEAD_NAMES[system]
    own = network.network.state_dict()
    found = {_today(name): value for name, value in _tensors(path).items() if not name.startswith(head)}
    if POSITIONS in found and POSITIONS in own:
        found[POSITIONS] = _positions(found[POSITIONS], own[POSITIONS])
    wanted = {name: value for name, value in own.items() if not name.startswith(head)}
    missing = [name for name in wanted if name not in found and not name.endswith(COUNTERS)]
    shaped = [name for name in wanted if name in found and found[name].shape != wanted[name].shape]
    if missing or shaped:
        about = SYSTEMS[system]
        what = f"has no {_some(missing)}" if missing else f"has {_some(shaped)} in another shape"
        raise InputError(
            f"{path}: {what}, so these are not the weights of this {about.title}; published are {about.file}, at "
            f"{about.url}, which fit --preset base"
        )
    network.network.load_state_dict(own | {name: found[name].to(own[name].dtype) for name in wanted if name in found})


def _tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of the first dict in a file that holds any, by name without what wrappers wrote."""
    content: Any = read_safetensors(path).tensors if is_safetensors(path) else read_torch_file(path)
    while isinstance(content, Mapping):
        tensors = {without_wrappers(str(name)): value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
        content = next((content[name] for name in PREFERRED if isinstance(content.get(name), Mapping)), None)
    raise InputError(f"{path}: holds no tensors by name; give the file as its authors publish it")


def _today(name: str) -> str:
    """Return what a tensor is called today."""
    if name.startswith("vivit."):
        for old, new in RENAMED:
            name = re.sub(old, new, name)
    return name


def _positions(theirs: Tensor, ours: Tensor) -> Tensor:
    """Return ViViT's position embeddings (1, 1 + T/2 * P, D) of another number of frames: the nearest in time."""
    if theirs.ndim != 3 or theirs.shape[1] < 2:
        return theirs
    for patches in range(ours.shape[1] - 1, 0, -1):
        if (ours.shape[1] - 1) % patches == 0 and (theirs.shape[1] - 1) % patches == 0:
            break
    frames, steps = (theirs.shape[1] - 1) // patches, (ours.shape[1] - 1) // patches
    taken = torch.arange(steps) * frames // steps
    places = theirs[:, 1:].reshape(1, frames, patches, -1)[:, taken].flatten(1, 2)
    return torch.cat([theirs[:, :1], places], dim=1)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
