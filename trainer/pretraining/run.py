"""A pretraining run: both phases one after the other, with a checkpoint now and then, in a folder of its own."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from station.files import write_atomically
from trainer.data.synthetic import FRAMES
from trainer.pretraining.loop import Phase, Pretrainer
from trainer.pretraining.synthetic import synthetic_batches
from trainer.training.recipe import LAST, Recipe, write_recipe

SAVED_EVERY: Final = 500
"""Batches between two checkpoints."""


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """One phase of the run."""

    phase: Phase
    clips: int
    """How many are shown; 0: the phase is left out."""
    rate: float
    frames: int
    """Of each clip."""
    shares: str
    """Of the grades, as in ``trainer.data.synthetic``."""


@dataclass(frozen=True, slots=True)
class PretrainingJob:
    """One run to be made."""

    recipe: Recipe
    out: Path
    init: Path | None
    """Checkpoint of another pretraining to go on from."""
    plans: tuple[PhasePlan, ...]
    workers: int
    """Processes that film; 0: this one does."""
    bfloat16: bool


def token_plan(clips: int, rate: float) -> PhasePlan:
    """Return the phase of the tokens; they learn no votes, so they get the shares that are quickest to draw."""
    return PhasePlan("tokens", clips, rate, FRAMES, "table1")


def pretrain(job: PretrainingJob, console: Console) -> None:
    """Go through the phases. Raises InputError where ``init`` is of another network."""
    pretrainer = Pretrainer(job.recipe, job.bfloat16)
    if job.init:
        pretrainer.load(job.init)
    job.out.mkdir(parents=True)
    write_recipe(job.out, job.recipe)
    started_s = time.monotonic()
    for plan in job.plans:
        if plan.clips:
            _run_phase(job, plan, pretrainer, console, started_s)
    lines = "".join(json.dumps(entry) + "\n" for entry in pretrainer.log)
    write_atomically(job.out / "log.jsonl", lines.encode())


def by_clips(count: int) -> Callable[[int], float]:
    """Return a function from the clips seen to the share of a phase that is done."""
    return lambda seen: seen / count


def _run_phase(
    job: PretrainingJob, plan: PhasePlan, pretrainer: Pretrainer, console: Console, started_s: float
) -> None:
    batches = synthetic_batches(job.recipe.seed, plan.frames, plan.shares, job.workers)
    for entry in pretrainer.run_phase(plan.phase, batches, by_clips(plan.clips), plan.rate):
        entry |= {"hours": round((time.monotonic() - started_s) / 3600, 3)}
        console.print(
            ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                      for name, value in entry.items())
        )  # fmt: skip
        sys.stdout.flush()
        pretrainer.log.append(entry)
        if entry["batch"] % SAVED_EVERY == 0:
            pretrainer.save(job.out / LAST)
    batches.close()
    pretrainer.save(job.out / LAST)
