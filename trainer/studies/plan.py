"""Which runs a study consists of: every system and every ablation, once for each fold and seed.

A run is known by its recipe, so that the same run is never planned twice, whatever asks for it, and a study whose file
was changed keeps what still belongs to it. It trains nothing.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from station.errors import InputError
from trainer.data.dataset import Clips, open_clips
from trainer.data.splits import FOLDS, make_folds, read_folds, write_folds
from trainer.model.systems import require_start
from trainer.studies.paper import TABLE_2
from trainer.studies.study import AblationSettings, Study, System, read_study, systems_of
from trainer.training.options import file_sha256
from trainer.training.recipe import Recipe, build_recipe
from trainer.training.state import network_config

RUNS: Final = "runs"
RESULT: Final = "result.json"
"""Marks a run as finished."""
HASH_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One training run."""

    name: str
    """Of its folder; it says what it is and ends with a hash of the recipe."""
    recipe: Recipe
    init: Path | None
    out: Path

    @property
    def finished(self) -> bool:
        """Whether its result is there."""
        return (self.out / RESULT).is_file()


@dataclass(frozen=True, slots=True)
class Variant:
    """A system, or a variation of one: the runs whose figures make its row."""

    name: str
    paper: str
    """Its name in the paper's Table 2; empty where it is not in it."""
    runs: Mapping[tuple[int, int], PlannedRun]
    """By fold, from 1, and seed."""

    @property
    def first(self) -> PlannedRun:
        """Any of its runs: they differ by fold and seed alone."""
        return next(iter(self.runs.values()))


@dataclass(frozen=True, slots=True)
class Ablation:
    """One thing varied: the variants by the value that each has of it."""

    axis: str
    variants: Mapping[str, Variant]


@dataclass(frozen=True, slots=True)
class Plan:
    """All runs of a study."""

    path: Path
    study: Study
    out: Path
    clips: Clips
    folds: Sequence[Sequence[int]]
    """Indices of the clips of each."""
    systems: tuple[Variant, ...]
    ablations: tuple[Ablation, ...]

    @property
    def variants(self) -> list[Variant]:
        """Every variant once: of several with the same runs the first."""
        every = [*self.systems, *(variant for ablation in self.ablations for variant in ablation.variants.values())]
        found: dict[str, Variant] = {}
        for variant in every:
            found.setdefault(variant.first.name, variant)
        return list(found.values())

    @property
    def runs(self) -> list[PlannedRun]:
        """Every run once: first fold 1 of all, then fold 2, so that a study that is cut short can be read."""
        each = [(fold, seed, run) for variant in self.variants for (fold, seed), run in variant.runs.items()]
        ordered = sorted(each, key=lambda entry: entry[:2])
        return list({run.name: run for _, _, run in ordered}.values())


def make_plan(path: Path, out: Path, *, verify: bool) -> Plan:
    """Return the plan of a study's file; write its folds where they are not there yet. Raises InputError.

    Args:
        path: STUDY.toml.
        out: Folder of the study.
        verify: Check every clip's hash.
    """
    study = read_study(path)
    systems = systems_of(study, path)
    clips = open_clips(path.parent / study.data, verify=verify)
    if not (out / FOLDS).exists():
        if study.split:
            folds = read_folds(path.parent / study.split, clips)[0]
        else:
            folds = make_folds(clips, study.folds, study.seeds[0])
        out.mkdir(parents=True, exist_ok=True)
        write_folds(out / FOLDS, clips, folds, study.seeds[0])
    folds, sha256 = read_folds(out / FOLDS, clips)
    if not study.split and len(folds) != study.folds:
        raise InputError(
            f"{path}: folds = {study.folds}, but {out / FOLDS} has {len(folds)}; give another --out, or folds = "
            f"{len(folds)}"
        )
    there = {folder.name[-HASH_DIGITS:]: folder.name for folder in sorted((out / RUNS).glob("*-fold*-seed*-*"))}
    planner = _Planner(study, out, clips.sha256, sha256, len(folds), there)
    rows = tuple(map(planner.variant, systems.values()))
    ablations = tuple(planner.ablations(study.ablations, systems, path)) if study.ablations else ()
    return Plan(path, study, out, clips, folds, rows, ablations)


def variations(settings: AblationSettings, base: System, path: Path) -> Iterator[tuple[str, dict[str, System]]]:
    """Yield every axis that is varied, with the systems by the value that each has of it."""

    def of_recipe(axis: str, values: Sequence[Any]) -> tuple[str, dict[str, System]]:
        return axis, {_text(value): base.changed(f"{axis} {_text(value)}", **{axis: value}) for value in values}

    def of_network(axis: str, values: Sequence[Any]) -> tuple[str, dict[str, System]]:
        changed = {value: {axis: list(value) if axis == "features" else value} for value in values}
        return axis, {_text(v): base.changed(f"{axis} {_text(v)}", network=change) for v, change in changed.items()}

    found = [of_recipe("alpha", settings.alpha), of_network("selected", settings.selected)]
    found += [of_network("features", settings.features), of_network("aggregation", settings.aggregation)]
    found += [of_network("branch", settings.branch), of_recipe("loss", settings.loss)]
    sources = {
        name: System(f"pretraining {name}", base.fields, path.parent / file if file else None, "")
        for name, file in settings.pretraining.items()
    }
    yield from ((axis, systems) for axis, systems in [*found, ("pretraining", sources)] if systems)


@dataclass(frozen=True, slots=True)
class _Planner:
    """Makes runs of systems."""

    study: Study
    out: Path
    data: str
    """SHA-256 of the clips' manifest."""
    folds: str
    """SHA-256 of the file of folds."""
    count: int
    """Of the folds."""
    names: dict[str, str]
    """Of the folders of runs by the recipe's hash: those that are there, and, in turn, those that are planned."""

    def ablations(self, settings: AblationSettings, systems: Mapping[str, System], path: Path) -> Iterator[Ablation]:
        for axis, varied in variations(settings, systems[settings.of], path):
            yield Ablation(axis, {value: self.variant(system) for value, system in varied.items()})

    def variant(self, system: System) -> Variant:
        self._require_start(system)
        init = file_sha256(system.init) if system.init else ""
        fixed = {"data": self.data, "folds": self.folds, "init": init}
        runs = {}
        for fold in range(1, self.count + 1):
            for seed in self.study.seeds:
                values = {**system.fields, **fixed, "fold": fold, "seed": seed}
                recipe = build_recipe(values, f"system {system.name!r}")
                digits = self._hash(system.name, recipe)
                name = self.names.setdefault(digits, run_name(system.name, recipe, digits))
                runs[fold, seed] = PlannedRun(name, recipe, system.init, self.out / RUNS / name)
        return Variant(system.name, _in_paper(system), runs)

    def _require_start(self, system: System) -> None:
        origin = f"system {system.name!r}"
        recipe = build_recipe({**system.fields, "data": self.data}, origin)
        try:
            require_start(recipe.system, system.init, recipe.scratch)
        except InputError as error:
            raise InputError(f"{origin}: {error}") from error

    def _hash(self, system: str, recipe: Recipe) -> str:
        try:
            return recipe_hash(recipe)
        except InputError as error:
            raise InputError(f"system {system!r}: {error}") from error


def run_name(system: str, recipe: Recipe, digits: str) -> str:
    """Return the name of a run's folder; the digits are those of ``recipe_hash``."""
    plain = re.sub(r"[^a-z0-9]+", "-", system.lower()).strip("-")[:40] or "run"
    return f"{plain}-fold{recipe.fold}-seed{recipe.seed}-{digits}"


def recipe_hash(recipe: Recipe) -> str:
    """Return what a run is known by: its recipe and the whole shape of its network, however they are said.

    Fields that have their default do not count: later versions may have more.
    """
    config = network_config(recipe)
    shape = {field.name: (getattr(config, field.name), field.default) for field in dataclasses.fields(config)}
    told = recipe.model_dump(mode="json", exclude_defaults=True, exclude={"network", "preset"})
    told["network"] = {name: value for name, (value, default) in shape.items() if value != default}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:HASH_DIGITS]


def _in_paper(system: System) -> str:
    if system.paper and system.paper not in TABLE_2:
        raise InputError(f"systems.{system.name}.paper: {system.paper!r} is not in Table 2 ({', '.join(TABLE_2)})")
    return system.paper or next((name for name in TABLE_2 if name.lower() == system.name.lower()), "")


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
