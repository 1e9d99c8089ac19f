"""Weights that other programs wrote, brought into a Rostfine network.

Four kinds, told apart by their names: the RoSTFine authors' state dict, their TimeSformer baseline, Facebook's
TimeSformer files and Hugging Face's ``TimesformerModel``. Every tensor must find its place with its shape, or all that
do not are listed.
"""

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F

from engine.artifact import NetworkConfig
from station.errors import InputError
from trainer.model.rostfine import ENCODER, Rostfine, preset
from trainer.model.state_dicts import MARK, Tensors, read_state_dict
from trainer.model.weights import TIME_EMBED, with_frames

Branch = Literal["paper", "reference", "prenorm"]
HEAD_WIDTH: Final = 64
"""Width of one attention head in every published TimeSformer; a state dict does not say it."""
NOT_IN_A_STATE_DICT: Final = {
    "heads": ("{} attention heads of the encoder", "--heads"),
    "selected": ("K = {} patches selected a frame", "--selected"),
    "branch_heads": ("H = {} attention heads of the branches", "--branch-heads"),
    "score_blocks": ("selection scores of {} last block(s), the authors' --top_attn", "--score-blocks"),
    "clip_px": ("clips of {} px", "--clip-px"),
}
NOT_IN_AN_ENCODER: Final = {
    "branch": ("branches of the kind {}", "--branch"),
    "branch_depth": ("L = {} blocks a branch", "--branch-depth"),
    "frames": ("{} frames a clip", "--frames"),
}
"""Fields of the network by name: in words, and the option that sets it."""

HUGGING_FACE: Final = (
    ("embeddings.cls_token", "cls_token"),
    ("embeddings.position_embeddings", "pos_embed"),
    ("embeddings.time_embeddings", "time_embed"),
    ("embeddings.patch_embeddings.projection.", "patch_embed.proj."),
    (r"encoder.layer.(\d+).temporal_layernorm.", r"blocks.\1.temporal_norm1."),
    (r"encoder.layer.(\d+).temporal_attention.attention.qkv.", r"blocks.\1.temporal_attn.qkv."),
    (r"encoder.layer.(\d+).temporal_attention.output.dense.", r"blocks.\1.temporal_attn.proj."),
    (r"encoder.layer.(\d+).temporal_dense.", r"blocks.\1.temporal_fc."),
    (r"encoder.layer.(\d+).layernorm_before.", r"blocks.\1.norm1."),
    (r"encoder.layer.(\d+).attention.attention.qkv.", r"blocks.\1.attn.qkv."),
    (r"encoder.layer.(\d+).attention.output.dense.", r"blocks.\1.attn.proj."),
    (r"encoder.layer.(\d+).layernorm_after.", r"blocks.\1.norm2."),
    (r"encoder.layer.(\d+).intermediate.dense.", r"blocks.\1.mlp.fc1."),
    (r"encoder.layer.(\d+).output.dense.", r"blocks.\1.mlp.fc2."),
    ("layernorm.", "norm."),
)
"""Their names (dots are literal) and ours, within the encoder."""


@dataclass(frozen=True, slots=True)
class Source:
    """Weights under this program's names, and what was found out about them."""

    kind: str
    """In words: "RoSTFine of its authors", ..."""
    tensors: Tensors
    dropped: tuple[str, ...]
    """Names, as in the file, of tensors that this network has no use for."""
    complete: bool
    """True where branches and heads came along; False: the encoder alone."""
    features: tuple[str, ...] = ("g", "s", "t")


@dataclass(frozen=True, slots=True)
class Imported:
    """A network with the weights in place, and a line for each thing its user should know."""

    network: Rostfine
    kind: str
    notes: tuple[str, ...]
    assumed: tuple[str, ...]
    """What a state dict can't hold and nobody gave: "K = 3 (--selected)", ..."""
    untrained: str = ""
    """What was not in the file and has drawn weights, in words; empty where all was."""


def import_weights(
    path: Path, *, key: str | None = None, branch: Branch | None = None, seed: int = 0, **changes: Any
) -> Imported:
    """Read a file of any of the four kinds into a network.

    Args:
        path: The file.
        key: Which network to take where the file holds several; None: see ``trainer.model.state_dicts``.
        branch: Which branches to add where the file holds an encoder alone; None: ``prenorm``.
        seed: Of the weights that the file does not hold.
        changes: Fields of ``NetworkConfig`` that do not follow from the weights, or that are to differ (``frames``,
            ``image_px``: the embeddings are resized by nearest neighbour).

    Raises:
        InputError: The file is none of these, or tensors are unknown, missing or misshapen: all are named.
    """
    found = read_state_dict(path, key)
    source = recognise(found.tensors, path)
    if source.complete and branch not in (None, "reference"):
        raise InputError(f"{path}: {source.kind}: its branches are of the kind reference; leave out --branch {branch}")
    given = changes if branch is None else {**changes, "branch": branch}
    config = _config(source, branch or "prenorm", changes, path)
    tensors, notes = _resized(source.tensors, config)
    torch.manual_seed(seed)
    network = Rostfine(config)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if not source.complete:
        expected = {name: shape for name, shape in expected.items() if name.startswith(ENCODER)}
    _require_fit({name: tuple(value.shape) for name, value in tensors.items()}, expected, path, source.kind)
    _require_finite(tensors, path)
    network.load_state_dict({name: value.float() for name, value in tensors.items()}, strict=False)
    notes = [*found.notes, *notes]
    if source.dropped or found.left_out:
        notes.append(f"dropped, the network has no such part: {', '.join((*source.dropped, *found.left_out))}")
    untrained = ""
    if not source.complete:
        untrained = f"branches ({config.branch}) and heads are not in the file: they are untrained, seed {seed}"
        notes.append(untrained)
    return Imported(network.eval(), source.kind, tuple(notes), _assumed(source, config, given), untrained)


def recognise(tensors: Tensors, path: Path) -> Source:
    """Tell which of the four kinds the names belong to. Raises InputError where it is none."""
    (mark,) = (name for name in tensors if name.rpartition(".")[2] == MARK)
    root = mark.removesuffix(MARK)  # of the encoder's names
    outer = root.removesuffix(ENCODER)  # of RoSTFine's, where it is one
    if root.endswith("embeddings."):
        return _hugging_face(tensors, root.removesuffix("embeddings."))
    if root.endswith(ENCODER):
        if any(f"{outer}head_{name}.weight" in tensors for name in ("g", "s", "t")):
            return _authors(tensors, outer, "RoSTFine of its authors", ("g", "s", "t"))
        if f"{outer}head.weight" in tensors:
            return _authors(tensors, outer, "TimeSformer baseline of RoSTFine's authors", ("g",))
    elif root in ("", "model.") and "head_g.weight" in tensors:
        raise InputError(
            f"{path}: expected the encoder of RoSTFine under {ENCODER}, found it under {root or 'no name'}"
        )
    ours = {name: name.removeprefix(root) for name in tensors if name.startswith(root)}
    kept = {ENCODER + inner: tensors[name] for name, inner in ours.items() if not inner.startswith("head.")}
    dropped = [name for name in tensors if name not in ours or ours[name].startswith("head.")]
    return Source("TimeSformer of Facebook", kept, tuple(dropped), complete=False)


def _authors(tensors: Tensors, outer: str, kind: str, features: tuple[str, ...]) -> Source:
    """Return the authors' network, whose names begin with ``outer``; what lies beside it is dropped."""
    inner = {name: name.removeprefix(outer) for name in tensors if name.startswith(outer)}
    unused = {name for name, ours in inner.items() if ours.startswith(f"{ENCODER}head.")}
    kept = {ours: tensors[name] for name, ours in inner.items() if name not in unused}
    if features == ("g",):
        kept = {re.sub(r"^head\.", "head_g.", name): value for name, value in kept.items()}
    dropped = tuple(name for name in tensors if name not in inner or name in unused)
    return Source(kind, kept, dropped, complete=True, features=features)


def _hugging_face(tensors: Tensors, prefix: str) -> Source:
    """Return Hugging Face's encoder, whose names begin with ``prefix``; what lies beside it is dropped."""
    inner = [name for name in tensors if name.startswith(prefix) and not name.startswith("classifier.")]
    kept = {_from_hugging_face(name, prefix): tensors[name] for name in inner}
    dropped = tuple(name for name in tensors if name not in inner)
    return Source("TimesformerModel of Hugging Face", kept, dropped, complete=False)


def _from_hugging_face(name: str, prefix: str) -> str:
    """Return our name, or theirs as it is where the table has none (it is then listed as unknown)."""
    inner = name.removeprefix(prefix)
    for theirs, ours in HUGGING_FACE:
        pattern = "^" + theirs.replace(".", r"\.")
        if re.match(pattern, inner):
            return ENCODER + re.sub(pattern, ours, inner)
    return name


def _config(source: Source, branch: Branch, changes: dict[str, Any], path: Path) -> NetworkConfig:
    """Return the network's shape as it follows from the tensors, with ``changes``."""
    encoder = {name.removeprefix(ENCODER): value for name, value in source.tensors.items()}
    try:
        width = encoder["cls_token"].shape[-1]
        patch_px = encoder["patch_embed.proj.weight"].shape[-1]
        told: dict[str, Any] = {
            "width": width,
            "patch_px": patch_px,
            "image_px": patch_px * math.isqrt(encoder["pos_embed"].shape[1] - 1),
            "depth": _blocks(encoder, "blocks"),
            "heads": max(1, width // HEAD_WIDTH),
            "mlp_ratio": encoder["blocks.0.mlp.fc1.weight"].shape[0] // width,
            "frames": encoder["time_embed"].shape[1] if source.complete else 16,
            "features": source.features,
        }
        if source.complete:
            branch = "reference"
            told["branch_depth"] = max(1, _blocks(source.tensors, "mhsa_s"))
            hidden = source.tensors.get("mlp_s.fc1.weight")
            told["branch_mlp_ratio"] = 1 if hidden is None else max(1, hidden.shape[0] // width)
            if changes.get("branch_depth", told["branch_depth"]) != told["branch_depth"]:
                raise InputError(f"{path}: its branches have {told['branch_depth']} blocks; leave out --branch-depth")
        return replace(preset("base", branch=branch), **(told | changes))
    except KeyError as error:
        raise InputError(f"{path}: {source.kind}, but {error.args[0]} is missing; take the file again") from error
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise InputError(f"{path}: {source.kind}, but no network has this shape ({error})") from error


def _assumed(source: Source, config: NetworkConfig, given: dict[str, Any]) -> tuple[str, ...]:
    """Return what of the network neither the file says nor anybody gave."""
    fields = NOT_IN_A_STATE_DICT if source.complete else NOT_IN_A_STATE_DICT | NOT_IN_AN_ENCODER
    if source.features == ("g",):  # nothing is selected, and there are no branches
        fields = {name: fields[name] for name in ("heads", "clip_px")}
    return tuple(
        f"{words.format(getattr(config, name))} ({option})"
        for name, (words, option) in fields.items()
        if name not in given
    )


def _require_finite(tensors: Tensors, path: Path) -> None:
    """Raise InputError where weights are no numbers: the grades would be none either."""
    bad = [name for name, value in tensors.items() if not bool(torch.isfinite(value.float()).all())]
    if bad:
        raise InputError(f"{path}: weights that are not finite numbers in {', '.join(bad)}; take an earlier checkpoint")


def _blocks(tensors: Tensors, name: str) -> int:
    """Return how many blocks ``name.0``, ``name.1``, ... there are."""
    found = (re.match(rf"{name}\.(\d+)\.", key) for key in tensors)
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _resized(tensors: Tensors, config: NetworkConfig) -> tuple[Tensors, list[str]]:
    """Bring the time and position embeddings to the network's T and grid by nearest neighbour; say so."""
    tensors, notes = dict(tensors), []
    time = tensors.get(TIME_EMBED)
    if time is not None and time.ndim == 3 and time.shape[1] != config.frames:
        notes.append(f"time embedding resized from {time.shape[1]} to {config.frames} frames")
        tensors = with_frames(tensors, config.frames)
    place = tensors.get(ENCODER + "pos_embed")
    if place is not None and place.ndim == 3 and place.shape[1] != 1 + config.patches:
        grid = math.isqrt(place.shape[1] - 1)
        if grid**2 == place.shape[1] - 1:
            notes.append(f"position embedding resized from {grid} x {grid} to {config.grid} x {config.grid} patches")
            # (1, P, D) -> (1, D, rows, columns) and back
            maps = place[:, 1:].mT.reshape(1, -1, grid, grid)
            maps = F.interpolate(maps, size=(config.grid, config.grid), mode="nearest")
            tensors[ENCODER + "pos_embed"] = torch.cat([place[:, :1], maps.flatten(2).mT], dim=1)
    return tensors, notes


def _require_fit(
    found: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]], path: Path, kind: str
) -> None:
    """Raise InputError with every tensor that is unknown, missing or of another shape."""
    lists = {
        "unknown": sorted(found.keys() - expected.keys()),
        "missing": sorted(expected.keys() - found.keys()),
        "misshapen": [
            f"{name} {found[name]} instead of {expected[name]}"
            for name in sorted(found.keys() & expected.keys())
            if found[name] != expected[name]
        ],
    }
    wrong = "; ".join(f"{what}: {', '.join(names)}" for what, names in lists.items() if names)
    if wrong:
        raise InputError(f"{path}: {kind}, but its tensors do not fit; {wrong}")
