"""The folds of a cross-validation: the figures of each, their mean and spread, and the tables for people.

A fold's figures are those of the network that never saw it. This module trains nothing and predicts nothing.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich import box
from rich.table import Table

from station.errors import InputError
from station.files import read_json
from station.transport.messages import GRADES
from trainer.data.dataset import Clips
from trainer.data.splits import fold_counts
from trainer.evaluation.metrics import Scores

METRICS: Final = "metrics.json"
PREDICTIONS: Final = "predictions.csv"


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One fold's run: the scores of its network on the clips that it never saw."""

    fold: int
    """Counted from 1."""
    clips: int
    epoch: int | None
    """Of the network that was scored; None where it is not asked for."""
    scores: Mapping[str, Scores]
    """By predictor, "model" and "mean distribution" among them."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as they are written; what is None is left out."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class FoldSummary:
    """Mean and standard deviation (n - 1) over the folds of every measure of every predictor."""

    mean: Mapping[str, Scores]
    sd: Mapping[str, Scores]


def read_run_summary(path: Path) -> RunSummary:
    """Read a fold's ``metrics.json``. Raises InputError where it is something else."""
    try:
        values = read_json(path)
        scores = {
            name: Scores(**(measures | {"balanced_accuracy": tuple(measures["balanced_accuracy"])}))
            for name, measures in values["scores"].items()
        }
        return RunSummary(values["fold"], values["clips"], values.get("epoch"), scores)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path}: expected the figures of a fold ({error!r}); take it away to score the fold again"
        ) from (error)


def summarise(runs: Sequence[RunSummary]) -> FoldSummary:
    """Return mean and standard deviation over the folds."""
    mean: dict[str, Scores] = {}
    sd: dict[str, Scores] = {}
    for predictor in runs[0].scores:
        each = [dataclasses.asdict(run.scores[predictor]) for run in runs]
        tables = {name: np.array([one[name] for one in each]) for name in each[0]}
        mean[predictor] = _scores({name: table.mean(axis=0) for name, table in tables.items()})
        sd[predictor] = _scores({name: table.std(axis=0, ddof=1) for name, table in tables.items()})
    return FoldSummary(mean, sd)


def _scores(values: Mapping[str, Any]) -> Scores:
    plain = {name: value.tolist() for name, value in values.items()}
    return Scores(**(plain | {"balanced_accuracy": tuple(plain["balanced_accuracy"])}))


def fold_overview(clips: Clips, folds: Sequence[Sequence[int]]) -> Table:
    """Return the table of the most-voted grades in each fold."""
    table = Table(title=f"{len(clips)} clips of {len(set(clips.sources))} sources: most-voted grades")
    for name in ("fold", "clips", "sources", *GRADES):
        table.add_column(name, justify="right")
    for number, fold in enumerate(folds, start=1):
        sources = set(clips.subset(fold).sources)
        table.add_row(*(str(value) for value in (number, len(fold), len(sources), *fold_counts(clips, fold))))
    return table


def fold_table(runs: Sequence[RunSummary], summary: FoldSummary) -> Table:
    """Return the table of the folds' scores, and of their mean and standard deviation."""
    table = Table(
        title="each fold scored by the network that never saw it",
        caption="MSE, JS: x100; ECE: calibration error; n: balanced accuracy of the n-th\n"
        "most voted grade in %, and their mean; mean votes: predicts the mean of the\ntraining clips",
        box=box.SIMPLE,
        padding=0,
        pad_edge=False,
    )  # as narrow as ten figures need: 80 columns
    for name in ("", "MSE", "JS", "EMD", "ECE", *(f"n={n + 1}" for n in range(len(GRADES))), "mean"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        table.add_row(f"fold {run.fold}", *_cells(run.scores["model"]))
    for name, predictor in (("mean", "model"), ("mean votes", "mean distribution")):
        table.add_section()
        table.add_row(name, *_cells(summary.mean[predictor]))
        table.add_row("sd", *_cells(summary.sd[predictor]))
    return table


def _cells(scores: Scores) -> list[str]:
    each = [scores.mse_x100, scores.js_x100, scores.emd, scores.calibration_error]
    shares = [*scores.balanced_accuracy, scores.mean_balanced_accuracy]
    return [
        *(f"{value:.2f}" if value >= 10 else f"{value:.3f}" for value in each),
        *(f"{100 * share:.1f}" for share in shares),
    ]
