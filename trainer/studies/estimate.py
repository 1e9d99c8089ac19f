"""How long the rest of a study takes, from its own runs that have ended, or else from a few steps of the real loop.

It trains nothing that is kept.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from lightning_fabric import Fabric

from trainer.data.dataset import Clips
from trainer.data.ground_truth import true_defect_scores
from trainer.studies.plan import RESULT, Plan, Variant
from trainer.studies.run import read_result
from trainer.training import loop
from trainer.training.pace import pace_for
from trainer.training.recipe import Recipe
from trainer.training.state import Training

STEPS: Final = 3
"""Measured; the first, which allocates, does not count."""
START_S: Final = 6.0
"""Of a process that begins: Python, torch and the clips' tables. A guess."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one variant."""

    run_s: float
    """Wall seconds of one of its runs; the most, where patience may end it early."""
    measured: str
    """In words: from what."""
    to_do: int
    """Runs that are not finished."""


class _Watch:
    """Notes when batches end; ``trainer.training.tally.ProgressReport``."""

    def __init__(self) -> None:
        self.batches: list[float] = [time.perf_counter()]
        self.validated: float | None = None

    def batch(self, *_: object) -> None:
        """Note the time."""
        self.batches.append(time.perf_counter())

    def epoch(self, *_: object) -> None:
        """Note the time: the validation has just ended."""
        self.validated = time.perf_counter()


def estimate(plan: Plan, variant: Variant, fabric: Fabric) -> Estimate:
    """Return how long a variant's runs take."""
    to_do = sum(not run.finished for run in variant.runs.values())
    ended = [read_result(run.out / RESULT) for run in variant.runs.values() if run.finished]
    known = [result.epoch_s for result in ended if result.epoch_s is not None]
    recipe = variant.first.recipe
    if known:
        count = f"{len(known)} run{'s' if len(known) > 1 else ''} that ended"
        return Estimate(float(np.median(known)) * recipe.epochs + START_S, count, to_do)
    if not to_do:
        return Estimate(0.0, "nothing to do", 0)
    return Estimate(_epoch_s(plan, recipe, fabric) * recipe.epochs + START_S, f"{STEPS - 1} steps", to_do)


def total_s(estimates: Sequence[Estimate], at_once: int) -> float:
    """Return the wall seconds of all that is left, with so many runs at a time."""
    whole = sum(one.run_s * one.to_do for one in estimates)
    longest = max((one.run_s for one in estimates if one.to_do), default=0.0)
    return max(whole / at_once, longest)


def _epoch_s(plan: Plan, recipe: Recipe, fabric: Fabric) -> float:
    """Return the seconds of one epoch, by a few batches and the validation of a few clips with a fresh network."""
    rest = len(plan.clips) - len(plan.folds[0])
    learnt = round(rest * (1 - recipe.holdout))
    some = list(range(min(STEPS * recipe.batch, len(plan.clips))))
    held = some[: recipe.batch]
    training = Training(recipe, fabric.device)
    watch = _Watch()
    scores = true_defect_scores(plan.clips)[some] if recipe.criteria else None
    clips: Clips = plan.clips.subset(some)
    pace = pace_for(fabric.device)
    loop.train(loop.Run(training, clips, plan.clips.subset(held), watch, fabric, None, scores, pace), 1)
    assert watch.validated is not None
    steps = np.diff(watch.batches)
    step_s = float(np.median(steps[1:] if len(steps) > 1 else steps))
    clip_s = (watch.validated - watch.batches[-1]) / len(held)
    if fabric.device.type == "cuda":
        torch.cuda.synchronize()
    return math.ceil(learnt / recipe.batch) * step_s + (rest - learnt) * clip_s
