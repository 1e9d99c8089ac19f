"""The results of a study, gathered: of every variant, each measure fold by fold. It reads results and draws nothing."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from station.errors import InputError
from station.files import TEXT_BYTES, read_bounded
from station.transport.messages import GRADES
from trainer.evaluation.metrics import Scores
from trainer.studies.plan import RESULT, Plan, Variant
from trainer.studies.run import RunResult, read_result

MEAN_VOTES: Final = "mean distribution"
LOG: Final = "log.jsonl"
PAIRS: Final = ("cos_gs", "cos_gt", "cos_st")
"""How a run's log names the mean cosine of two features on the validation clips."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of the tables."""

    name: str
    of: Callable[[Scores], float]
    lower_is_better: bool
    digits: int


MSE: Final = Measure("MSE x100", lambda scores: scores.mse_x100, True, 3)
JS: Final = Measure("JS x100", lambda scores: scores.js_x100, True, 3)
ACCURACY: Final = Measure("accuracy %", lambda scores: 100 * scores.mean_balanced_accuracy, False, 2)
"""The mean over n of the balanced accuracy of the n-th most selected grade."""
MAIN: Final = (MSE, JS, ACCURACY)
"""What systems are compared by."""


def _nth(n: int) -> Measure:
    return Measure(f"n={n + 1} %", lambda scores: 100 * scores.balanced_accuracy[n], False, 2)


ALL: Final = (MSE, JS, *(_nth(n) for n in range(len(GRADES))), ACCURACY)
"""The columns of the paper's Table 2."""


@dataclass(frozen=True, slots=True)
class Row:
    """What was found of one variant."""

    name: str
    paper: str
    folds: Mapping[int, tuple[Scores, ...]]
    """By fold that is finished for every seed, the scores of its seeds."""

    def values(self, measure: Measure, folds: Sequence[int]) -> list[float]:
        """Return a measure fold by fold, each the mean over the seeds."""
        return [float(np.mean([measure.of(scores) for scores in self.folds[fold]])) for fold in folds]


@dataclass(frozen=True, slots=True)
class Results:
    """All that is known of a study so far."""

    folds: int
    """Of the study."""
    systems: tuple[Row, ...]
    ablations: Mapping[str, Mapping[str, Row]]
    """By axis and value."""
    inference: Mapping[str, Row]
    """Of the ablated system, by the heads that alone are used; empty where it has but one or nothing is ablated."""
    mean_votes: Row
    """Predicting the mean distribution of the training clips."""
    cosines: Mapping[str, tuple[float, ...]]
    """By alpha, epoch by epoch: the cosine of the features, mean over pairs, validation clips and finished runs."""
    runs: tuple[tuple[str, str, RunResult], ...]
    """Folder and variant of each run that is finished, and its result."""


def gather(plan: Plan) -> Results:
    """Read everything that is there."""
    cache: dict[str, RunResult] = {}
    for run in plan.runs:
        if run.finished:
            cache[run.name] = read_result(run.out / RESULT)

    def row(variant: Variant, scores: Callable[[RunResult], Scores], name: str = "") -> Row:
        found: dict[int, list[Scores]] = {}
        for (fold, _), run in variant.runs.items():
            if run.name in cache:
                found.setdefault(fold, []).append(scores(cache[run.name]))
        seeds = len(plan.study.seeds)
        whole = {fold: tuple(each) for fold, each in found.items() if len(each) == seeds}
        return Row(name or variant.name, variant.paper, whole)

    def of_model(result: RunResult) -> Scores:
        return result.scores["model"]

    ablations = {
        ablation.axis: {value: row(variant, of_model, value) for value, variant in ablation.variants.items()}
        for ablation in plan.ablations
    }
    votes = row(plan.systems[0], lambda result: result.scores[MEAN_VOTES], "mean votes")
    return Results(
        folds=len(plan.folds),
        systems=tuple(row(variant, of_model) for variant in plan.systems),
        ablations=ablations,
        inference=_inference(plan, cache),
        mean_votes=Row(votes.name, "", votes.folds),
        cosines=_cosines(plan),
        runs=tuple(
            (run.name, variant.name, cache[run.name])
            for variant in plan.variants
            for run in variant.runs.values()
            if run.name in cache
        ),
    )


def _cosines(plan: Plan) -> dict[str, tuple[float, ...]]:
    """Return the curves of the variants by alpha that have several features."""
    curves = {}
    for ablation in plan.ablations:
        if ablation.axis != "alpha":
            continue
        for value, variant in ablation.variants.items():
            each = [read_cosines(run.out / LOG) for run in variant.runs.values() if run.finished]
            shortest = min(map(len, each), default=0)
            if shortest:
                curves[value] = tuple(np.mean([one[:shortest] for one in each], axis=0).tolist())
    return curves


def read_cosines(log: Path) -> list[float]:
    """Return the mean over the pairs of features of each epoch in a run's log; nothing where it has none."""
    found = []
    for number, line in enumerate(read_bounded(log, TEXT_BYTES).splitlines(), 1):
        try:
            pairs = [float(value) for name, value in json.loads(line).items() if name in PAIRS]
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise InputError(f"{log}: line {number} is damaged; train this run again, or remove its folder") from None
        if pairs:
            found.append(float(np.mean(pairs)))
    return found


def _inference(plan: Plan, cache: Mapping[str, RunResult]) -> dict[str, Row]:
    """Return the ablated system's rows by the heads that are used, of the runs that are finished for every seed."""
    if plan.study.ablations is None:
        return {}
    (variant,) = (one for one in plan.systems if one.name == plan.study.ablations.of)
    ended = [cache[run.name] for run in variant.runs.values() if run.name in cache]
    rows = {}
    for heads in ended[0].inference if ended else {}:
        found: dict[int, list[Scores]] = {}
        for result in ended:
            found.setdefault(result.fold, []).append(result.inference[heads])
        whole = {fold: tuple(each) for fold, each in found.items() if len(each) == len(plan.study.seeds)}
        rows[heads] = Row(heads, "", whole)
    return rows
