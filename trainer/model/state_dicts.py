"""Finding a network's state dict in what a training program saved: under which keys, and behind which prefixes.

Programs wrap it (``model``, ``state_dict``, ``model_ema``, ``teacher``, one in the other) beside optimisers, counters
and settings, and wrappers of the network write their own names into those of the tensors (``module.``, ``_orig_mod.``).
It knows that a transformer has a ``cls_token``; what else belongs to which network it does not know.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from station.errors import InputError
from trainer.model.weight_files import FORMAT, ForeignObject, is_safetensors, read_safetensors, read_torch_file

Tensors = dict[str, Tensor]
Entries = dict[str, Any]
MARK: Final = "cls_token"
"""A name of every vision transformer, and of nothing else in a checkpoint."""
PREFERRED: Final = (
    "model_state", "state_dict", "model_state_dict", "model", "net", "network", "module", "teacher", "student",
    "model_ema", "ema_model", "ema",
)  # fmt: skip
"""Where a file holds several networks the first of these is taken, and the others are named."""
WRAPPERS: Final = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts of names that come from DataParallel, torch.compile, FSDP and checkpointing."""
DEEPEST: Final = 6
SHOWN_KEYS: Final = 12


@dataclass(frozen=True, slots=True)
class StateDict:
    """The tensors of one network."""

    tensors: Tensors
    """By name, without the parts of names that wrappers wrote."""
    left_out: tuple[str, ...]
    """Entries that are no weights: counters and settings among the tensors."""
    notes: tuple[str, ...]
    """A line for each thing that a user should know."""


def read_state_dict(path: Path, key: str | None = None) -> StateDict:
    """Return the state dict in a file, whatever it is wrapped in.

    Args:
        path: The file.
        key: Which one to take where the file holds several, such as ``model_ema``; None: the first of ``PREFERRED``.

    Raises:
        InputError: There is none, or not under ``key``; the keys that were found are named.
    """
    content, own = _read(path)
    if own:
        raise InputError(f"{path}: weights of this program already; train, evaluate and export take them as they are")
    found: dict[str, Entries] = {}
    for place, entries in _networks(content):
        found |= _split(place, entries, path)
    if not found:
        raise InputError(f"{path}: {_why_none(content)}")
    taken, notes = _choose(list(found), key, path)
    left_out = tuple(name for name, value in found[taken].items() if not isinstance(value, Tensor) or not value.ndim)
    tensors = {name: value for name, value in found[taken].items() if isinstance(value, Tensor) and value.ndim}
    return StateDict(tensors, left_out, notes)


def _read(path: Path) -> tuple[Any, bool]:
    """Return a file's content, and whether this program wrote it."""
    if is_safetensors(path):
        tensors, metadata = read_safetensors(path)
        return tensors, metadata.get("format") == FORMAT
    content = read_torch_file(path)
    return content, isinstance(content, dict) and content.keys() >= {"recipe", "network", "model"}


def without_wrappers(name: str) -> str:
    """Return a tensor's name without what wrappers of the network wrote into it."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _split(place: str, entries: Mapping[Any, Any], path: Path) -> dict[str, Entries]:
    """Return a dict's network under its place, its names without wrappers; several networks under places of their own.

    Several stand beside each other, as ``student.`` and ``teacher.``, where a training program saved all it had.
    """
    plain = {without_wrappers(str(name)): value for name, value in entries.items()}
    marks = [name for name in plain if _last(name) == MARK]
    owners = [name.split(".")[0] for name in marks]
    if len(plain) != len(entries) or len(set(owners)) != len(marks) or (len(marks) > 1 and MARK in marks):
        raise InputError(
            f"{path}: some tensors are there under two names, such as {', '.join(marks[:2])}; take the file again"
        )
    if len(marks) == 1:
        return {place: plain}
    return {
        f"{place}.{owner}".lstrip("."): {
            name.removeprefix(f"{owner}."): value for name, value in plain.items() if name.startswith(f"{owner}.")
        }
        for owner in owners
    }


def _choose(places: list[str], key: str | None, path: Path) -> tuple[str, tuple[str, ...]]:
    """Return which of several networks is taken, and what to say about it."""
    wanted = places if key is None else [place for place in places if place == key or key in place.split(".")]
    if not wanted:
        raise InputError(f"{path}: --key {key}: no network is there; found {_named(places)}")
    taken = min(wanted, key=lambda place: (_rank(place), places.index(place)))
    others = [place for place in places if place != taken]
    if not others:
        return taken, ()
    return taken, (f"taken: {_named([taken])}; the file also holds {_named(others)}: --key takes another",)


def _rank(place: str) -> int:
    """Return how late the network at a place of a file is taken where there are several."""
    parts = [part for part in place.split(".") if part]
    return max((PREFERRED.index(part) if part in PREFERRED else len(PREFERRED) for part in parts), default=0)


def _named(places: list[str]) -> str:
    return ", ".join(place or "one under no key" for place in places)


def _networks(content: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield each dict that holds a network's tensors itself, by its place in the file: keys joined by dots."""
    if isinstance(content, list | tuple):
        content = dict(enumerate(content))
    if not isinstance(content, Mapping) or depth > DEEPEST:
        return
    if any(isinstance(value, Tensor) and _last(name) == MARK for name, value in content.items()):
        yield place, content
        return
    for name, value in content.items():
        yield from _networks(value, f"{place}.{name}" if place else str(name), depth + 1)


def _last(name: Any) -> str:
    return str(name).rpartition(".")[2]


def _why_none(content: Any) -> str:
    """Return, in words, what a file holds in place of a transformer's tensors, and what to do."""
    cure = "save the state dict of the network: torch.save(network.state_dict(), FILE)"
    if isinstance(content, ForeignObject):
        return f"a whole object ({content.type_name}) was saved, and reading it would run its code; {cure}"
    if not isinstance(content, Mapping) or not content:
        return f"expected a state dict of tensors, found {_kind(content)}; {cure}"
    arrays = [name for name, value in content.items() if _holds_arrays(value)] or _holds_arrays(content)
    if arrays:
        return f"its weights are no tensors but objects of another program (NumPy arrays?); {cure}"
    wholes = [name for name, value in content.items() if isinstance(value, ForeignObject) and _looks_whole(name)]
    shown = [f"{name} ({_kind(value)})" for name, value in list(content.items())[:SHOWN_KEYS]]
    more = f" and {len(content) - SHOWN_KEYS} more" if len(content) > SHOWN_KEYS else ""
    keys = f"expected weights of RoSTFine or TimeSformer, with a {MARK}; found the keys {', '.join(shown)}{more}"
    return f"{keys}; under {wholes[0]} lies a whole object: {cure}" if wholes else f"{keys}; give another file"


def _holds_arrays(value: Any) -> bool:
    """Return whether a dict has a transformer's names, and objects in place of its tensors."""
    return isinstance(value, Mapping) and any(
        _last(name) == MARK and isinstance(one, ForeignObject) for name, one in value.items()
    )


def _looks_whole(name: Any) -> bool:
    return str(name) in PREFERRED


def _kind(value: Any) -> str:
    """Return what a value is, for people: "dict of 3: a, b, c", "tensor (5, 32)", "int"."""
    if isinstance(value, ForeignObject):
        return value.type_name
    if isinstance(value, Tensor):
        return f"tensor {tuple(value.shape)}"
    if isinstance(value, Mapping):
        names = ", ".join(str(name) for name in list(value)[:3])
        return f"dict of {len(value)}{': ' if names else ''}{names}{', ...' if len(value) > 3 else ''}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__
