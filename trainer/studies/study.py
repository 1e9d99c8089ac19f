"""The file of a study, STUDY.toml: which systems are compared, on which clips and folds, and what is taken apart.

It knows the file's keys and what a system inherits. What a recipe's fields mean is in ``trainer.training.recipe``;
which runs follow is decided in ``trainer.studies.plan``.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from station.errors import InputError
from station.files import TEXT_BYTES, read_bounded
from station.validation import explain

Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
COMBINATIONS: Final = ("g", "s", "t", "gs", "gt", "st", "gst")
"""The seven combinations of the features."""
OF_A_SYSTEM: Final = ("like", "paper", "init")
"""Keys of a system that are no field of the recipe."""


class AblationSettings(BaseModel):
    """What is varied of one system, one thing at a time."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    of: str
    """The system that is varied."""
    alpha: tuple[Weight, ...] = ()
    selected: tuple[Count, ...] = ()
    """K."""
    features: tuple[Literal["g", "s", "t", "gs", "gt", "st", "gst"], ...] = ()
    aggregation: tuple[Literal["mean", "sum", "concat"], ...] = ()
    branch: tuple[Literal["paper", "reference", "prenorm"], ...] = ()
    loss: tuple[Literal["mse", "js", "emd", "ce"], ...] = ()
    pretraining: dict[str, str] = {}
    """Name of a source and its file of weights; an empty file name: from nothing."""


class Study(BaseModel):
    """A study, as its file says it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    title: str = "Study"
    data: str
    """Folder of clips, seen from the file's folder."""
    folds: Annotated[int, Field(ge=2)] = 5
    split: str = ""
    """folds.json of another study or cross-validation; empty: new folds."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (1,)
    """A run for each; a fold's figure is the mean over them. The first also decides new folds."""
    cpus: Count = 1
    """Cores, and threads, of a run."""
    gpus: Weight = 0.0
    """GPUs of a run; 0: it is trained on the CPU."""
    ours: str
    """The system that the others are compared with."""
    recipe: dict[str, Any] = {}
    """Fields that all systems have in common."""
    systems: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    """By name: fields of the recipe, and ``like`` (a system to begin from), ``paper`` (its row there), ``init``."""
    ablations: AblationSettings | None = None


@dataclass(frozen=True, slots=True)
class System:
    """One system: what its recipe says, and what it begins from."""

    name: str
    fields: Mapping[str, Any]
    """Of the recipe."""
    init: Path | None
    """File of weights."""
    paper: str
    """Its name in the paper's Table 2; empty where it is given by the system's own name, or is not in it."""

    def changed(self, name: str, **changes: Any) -> "System":
        """Return it under another name, with fields of the recipe, or of its network, changed."""
        return System(name, merged(self.fields, changes), self.init, "")


def read_study(path: Path) -> Study:
    """Read a study's file. Raises InputError for whatever is wrong with it."""
    try:
        text = read_bounded(path, TEXT_BYTES).decode("utf-8")
        study = Study.model_validate(tomllib.loads(text))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); give the file of a study") from error
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, Study)}") from error
    except ValueError as error:  # not UTF-8, or not TOML
        raise InputError(f"{path}: is no TOML ({error}); docs/tables.md has an example") from error
    except RecursionError:
        raise InputError(f"{path}: is nested too deep; docs/tables.md has an example") from None
    _require(path, "ours", study.ours, study.systems)
    if study.ablations:
        _require(path, "ablations.of", study.ablations.of, study.systems)
    if len(set(study.seeds)) < len(study.seeds):
        raise InputError(f"{path}: seeds: {list(study.seeds)} holds one twice; each seed once")
    return study


def systems_of(study: Study, path: Path) -> dict[str, System]:
    """Return the study's systems by name, what they inherit resolved. Raises InputError."""
    return {name: _system(study, path, name, ()) for name in study.systems}


def merged(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with changes; tables such as ``network`` are merged key by key."""
    both = dict(fields)
    for name, value in changes.items():
        old = both.get(name)
        both[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def _system(study: Study, path: Path, name: str, below: tuple[str, ...]) -> System:
    own = study.systems[name]
    base = System(name, study.recipe, None, "")
    if like := own.get("like"):
        _require(path, f"systems.{name}.like", like, study.systems)
        if like in (name, *below):
            raise InputError(f"{path}: systems.{name}.like: {like!r} comes back to itself; begin from another system")
        base = _system(study, path, like, (name, *below))
    for key in OF_A_SYSTEM:
        if not isinstance(own.get(key, ""), str):
            raise InputError(f"{path}: systems.{name}.{key}: expected text in quotes, got {own[key]!r}")
    fields = merged(base.fields, {key: value for key, value in own.items() if key not in OF_A_SYSTEM})
    init = base.init if "init" not in own else path.parent / own["init"] if own["init"] else None
    return System(name, fields, init, own.get("paper", ""))


def _require(path: Path, key: str, name: Any, known: Iterable[str]) -> None:
    names = list(known)
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.0)
        raise InputError(f"{path}: {key}: no system {name!r}; did you mean {near[0]!r}? (there are {', '.join(names)})")
