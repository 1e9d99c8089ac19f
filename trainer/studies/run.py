"""One run of a study, from its plan to its result: trained or resumed, scored on its fold, its result written last.

What it leaves in its folder is what a fold of ``python -m trainer crossval`` leaves, and ``result.json``. It knows
neither the other runs nor where it is carried out.
"""

import dataclasses
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from station.errors import InputError
from station.files import TEXT_BYTES, read_bounded, read_json
from station.notice import NOTICE
from trainer.data.dataset import Clips
from trainer.evaluation.folds import METRICS, read_run_summary
from trainer.evaluation.metrics import Scores, score
from trainer.evaluation.report_files import write_json
from trainer.studies.lock import only_one
from trainer.studies.plan import RESULT, PlannedRun
from trainer.training.cross_validation import score_fold
from trainer.training.fabric import open_fabric
from trainer.training.recipe import BEST, LAST, RECIPE
from trainer.training.run import Job, train_one

RESULT_FORMAT: Final = "rostfine-study-run/1"
LOCK: Final = "lock"
PATIENCE_S: Final = 30.0
"""How long to wait for a process that held the run and is about to notice that its driver is gone."""
HEADS: Final = "gst"
"""Order of the heads in a network's output."""
AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class RunResult:
    """What became of one run."""

    fold: int
    seed: int
    clips: int
    """That were scored."""
    epoch: int | None
    """Of the network that was scored."""
    scores: Mapping[str, Scores]
    """By predictor: "model", "mean distribution", "train mode"."""
    inference: Mapping[str, Scores]
    """With the mean of some of its heads alone, by their letters; empty where it has but one."""
    epochs: int
    """That were trained."""
    epoch_s: float | None
    """Wall seconds of an epoch, as far as this process did them; None where it did none."""


def carry_out_run(run: PlannedRun, clips: Clips, fold: list[int], device: str, console: Console) -> None:
    """Train and score a run, or what is left of it. Raises InputError where another process does it already."""
    with only_one(run.out / LOCK, "carries out this run", PATIENCE_S):
        if run.finished:
            return
        with open_fabric(device, run.recipe.precision) as fabric:
            begun = (run.out / RECIPE).exists()
            before = _epochs_done(run.out)
            started = time.monotonic()
            job = Job(clips, run.recipe, run.out, begun, test=fold, init=None if begun else run.init)
            train_one(job, fabric, console)
            took_s = time.monotonic() - started
            score_fold(run.out, run.recipe.fold, clips, fold, fabric)
        summary = read_run_summary(run.out / METRICS)
        done = _epochs_done(run.out)
        result = RunResult(
            fold=summary.fold,
            seed=run.recipe.seed,
            clips=summary.clips,
            epoch=summary.epoch,
            scores=summary.scores,
            inference=_score_heads(run.out / BEST, clips.subset(fold), device),
            epochs=done,
            epoch_s=took_s / (done - before) if done > before else None,
        )
        document = {"format": RESULT_FORMAT, "notice": NOTICE, **dataclasses.asdict(result)}
        write_json(run.out / RESULT, document)  # with it the run is finished
        (run.out / LAST).unlink(missing_ok=True)  # as large as all the rest, and nothing goes on from it


def read_result(path: Path) -> RunResult:
    """Read a run's result. Raises InputError where it is something else."""
    try:
        values = read_json(path)
        if values["format"] != RESULT_FORMAT:
            raise ValueError(f"format {values['format']!r}")
        several = {key: {name: _scores(one) for name, one in values[key].items()} for key in ("scores", "inference")}
        told = {field.name: values[field.name] for field in dataclasses.fields(RunResult)}
        return RunResult(**(told | several))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: expected the result of a run ({error!r}); take it away to score it again") from error


def _scores(measures: dict[str, Any]) -> Scores:
    return Scores(**(measures | {"balanced_accuracy": tuple(measures["balanced_accuracy"])}))


def _epochs_done(out: Path) -> int:
    """Return how many epochs the log has."""
    try:
        lines = read_bounded(out / "log.jsonl", TEXT_BYTES).decode("utf-8").splitlines()
        return int(json.loads(lines[-1])["epoch"]) if lines else 0
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0


def _score_heads(weights: Path, clips: Clips, device: str) -> dict[str, Scores]:
    """Return the scores of every combination of a network's heads; none where it has one grade for all features."""
    from trainer.model.inference import answers, torch_forward
    from trainer.model.rostfine import Rostfine
    from trainer.model.weights import load_weights

    network = load_weights(weights).network
    if not isinstance(network, Rostfine):
        return {}
    config = network.config
    if config.aggregation != "mean" or len(config.features) < 2:
        return {}
    forward = torch_forward(network.to(device), device)
    every = answers(lambda pixels: forward(pixels).heads.double().cpu().numpy(), clips, config.frames, AT_ONCE)
    heads: NDArray[np.float64] = np.concatenate(list(every))
    found = {}
    for count in range(1, len(config.features) + 1):
        for some in combinations(config.features, count):
            mean = heads[:, [HEADS.index(name) for name in some]].mean(axis=1)
            found["".join(some)] = score(mean, clips.distributions)
    return found
