"""A network's predictions beside the raters' votes and beside what needs no network: the figures of an evaluation.

It knows folders of clips and numbers; it draws nothing and writes nothing.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from station.distances import js, mse
from station.notice import NOTICE
from station.transport.messages import GRADES
from trainer.data.dataset import Clips
from trainer.data.synthetic import SECOND_PANEL
from trainer.data.votes import read_second_panel
from trainer.evaluation.bootstrap import NOTHING, intervals
from trainer.evaluation.folds import FoldSummary, RunSummary, summarise
from trainer.evaluation.metrics import Bin, Scores, confusion, entropy, reference_predictors, reliability, score

Array = NDArray[np.float64]

METRICS_FORMAT: Final = "rostfine-metrics/1"
MODEL: Final = "model"
MEAN: Final = "mean distribution"
MODE: Final = "train mode"
SECOND: Final = "second panel"


@dataclass(frozen=True, slots=True)
class Scored:
    """Predictions for clips, and everything they are compared with."""

    clips: Clips
    """The N scored clips."""
    predicted: Array
    """(N, C)"""
    references: Mapping[str, Array]
    """(N, C) of each predictor that never looked at a clip, by name; "mean distribution" is among them."""

    @property
    def target(self) -> Array:
        """(N, C) shares of the votes."""
        return self.clips.distributions

    @property
    def ids(self) -> list[str]:
        """(N,) ids of the scored clips."""
        return [row.id for row in self.clips.rows]

    def scores(self) -> dict[str, Scores]:
        """Return the measures of the model and of everything beside it, by name."""
        found = {MODEL: score(self.predicted, self.target)}
        found |= {name: score(constant, self.target) for name, constant in self.references.items()}
        second = second_panel(self.clips)
        if second is not None:
            found[SECOND] = score(second, self.target)
        return found


@dataclass(frozen=True, slots=True)
class Ratios:
    """Errors over those of the mean distribution: below 1 is better than not looking."""

    mse: float
    js: float


@dataclass(frozen=True, slots=True)
class ScoredData:
    """Which clips were scored."""

    sha256: str
    """Of the folder's manifest."""
    clips: int
    made: dict[str, Any]
    """How the folder was made, as its manifest says."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How the intervals were drawn."""

    draws: int
    seed: int
    sources: int
    interval: float = 0.95


@dataclass(frozen=True, slots=True)
class AblationSettings:
    """What ablations take out, and how what is blanked is drawn."""

    head_um: float
    """Diameter of the disc that is a head's."""
    seed: int


@dataclass(frozen=True, slots=True)
class AblationResult:
    """The clips without some of the input."""

    scores: Scores
    mse_over_unchanged: float
    js_over_unchanged: float
    ratio_to_mean: Ratios


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The content of ``metrics.json``; docs/training.md says what is what."""

    scored: str
    """The run, model or cross-validation."""
    caution: str
    """Why the figures may flatter; empty where nothing shows that they do."""
    data: ScoredData
    scores: Mapping[str, Scores]
    ratio_to_mean: Mapping[str, Ratios]
    intervals: Mapping[str, tuple[float, float]]
    bootstrap: Bootstrap
    raters_entropy: float
    confusion: list[list[int]]
    reliability: list[Bin]
    ablations: Mapping[str, AblationResult]
    ablation_settings: AblationSettings | None = None
    folds: tuple[RunSummary, ...] = ()
    """Of a cross-validation."""
    summary: FoldSummary | None = None
    """Over the folds."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values in the order of the file."""
        values = dataclasses.asdict(self)
        summary, settings = values.pop("summary"), values.pop("ablation_settings")
        del values["folds"]
        head = {"scored": values.pop("scored"), "caution": values.pop("caution")}
        document = {**head, "format": METRICS_FORMAT, "notice": NOTICE, **values}
        if settings:
            document["ablation_settings"] = settings
        if summary:
            document |= {"folds": [run.to_dict() for run in self.folds], **summary}
        return document


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation has found out, before it is put into figures."""

    name: str
    """The run, model or cross-validation."""
    scored: Scored
    ablated: Mapping[str, Array]
    """(N, C) of the model for each ablation, by name."""
    frames: str
    """In words, which frames of a clip the network takes; empty where it takes all."""
    folds: tuple[Scored, ...] = ()
    """Of a cross-validation."""


def compare(clips: Clips, predicted: Array, train: Array) -> Scored:
    """Return predictions beside the reference predictors.

    Args:
        clips: The predicted clips.
        predicted: (N, C) for them.
        train: (M, C) distributions that the reference predictors may know: the training clips'.
    """
    return Scored(clips, predicted, reference_predictors(train, len(clips)))


def pool(folder: Clips, folds: Sequence[Sequence[int]], parts: Sequence[Scored]) -> Scored:
    """Return the predictions of all folds as one; each clip keeps its own fold's references.

    Args:
        folder: All clips.
        folds: Places of each fold's clips in the folder.
        parts: Each fold's predictions.
    """
    references = {name: np.concatenate([part.references[name] for part in parts]) for name in parts[0].references}
    clips = folder.subset([index for fold in folds for index in fold])
    return Scored(clips, np.concatenate([part.predicted for part in parts]), references)


def second_panel(clips: Clips) -> Array | None:
    """Return (N, C) distributions of other raters on the same clips, None where the folder has none.

    The difference between two panels is how far raters agree at all; it is no bound (docs/training.md says why).
    Raises InputError where it is not of these clips.
    """
    path = clips.root / SECOND_PANEL
    if not path.exists():
        return None
    return read_second_panel(path, [row.id for row in clips.rows])


def ratios(scores: Mapping[str, Scores], name: str = MODEL) -> Ratios:
    """Return MSE and JS of one predictor over those of the mean distribution."""
    mean = scores[MEAN]
    return Ratios(
        mse=scores[name].mse_x100 / max(mean.mse_x100, NOTHING), js=scores[name].js_x100 / max(mean.js_x100, NOTHING)
    )


def make_report(
    evaluated: Evaluated, caution: str, draws: int, seed: int, settings: AblationSettings | None
) -> EvaluationReport:
    """Return all figures of an evaluation.

    Args:
        evaluated: What was found out.
        caution: Why the figures may flatter; empty: nothing shows that.
        draws: How often to draw for the intervals.
        seed: Of the draws.
        settings: Of the ablations; None where none was asked for.
    """
    scored = evaluated.scored
    scores, clips, target = scored.scores(), scored.clips, scored.target
    found = intervals(scored.predicted, target, scored.references[MEAN], clips.sources, draws, seed)
    folds = tuple(
        RunSummary(number, len(part.clips), None, part.scores()) for number, part in enumerate(evaluated.folds, start=1)
    )
    return EvaluationReport(
        scored=evaluated.name,
        caution=caution,
        data=ScoredData(clips.sha256, len(clips), dict(clips.made)),
        scores=scores,
        ratio_to_mean={name: ratios(scores, name) for name in scores if name != MEAN},
        intervals=dict(found),
        bootstrap=Bootstrap(draws, seed, len(set(clips.sources))),
        raters_entropy=float(entropy(target).mean()),
        confusion=confusion(scored.predicted, target).tolist(),
        reliability=reliability(scored.predicted, target),
        ablations={name: _ablation(score(predicted, target), scores) for name, predicted in evaluated.ablated.items()},
        ablation_settings=settings,
        folds=folds,
        summary=summarise(folds) if folds else None,
    )


def _ablation(changed: Scores, scores: Mapping[str, Scores]) -> AblationResult:
    model = scores[MODEL]
    return AblationResult(
        scores=changed,
        mse_over_unchanged=changed.mse_x100 / max(model.mse_x100, NOTHING),
        js_over_unchanged=changed.js_x100 / max(model.js_x100, NOTHING),
        ratio_to_mean=ratios({**scores, MODEL: changed}),
    )


def per_clip(scored: Scored) -> tuple[list[str], list[list[object]]]:
    """Return header and rows of ``predictions.csv``: each clip's prediction, votes and error."""
    header = ["id", *(f"grade_{g}" for g in GRADES), *(f"votes_{g}" for g in GRADES), "mse_x100", "js_x100"]
    errors = 100 * mse(scored.predicted, scored.target), 100 * js(scored.predicted, scored.target)
    return header, [
        [name, *(f"{value:.6f}" for value in (*predicted, *voted, *both))]
        for name, predicted, voted, *both in zip(scored.ids, scored.predicted, scored.target, *errors, strict=True)
    ]


def figures(report: EvaluationReport) -> dict[str, float]:
    """Return the main numbers by name, as they stand in a model's manifest."""
    scores = report.scores
    model, mean, ratio = scores[MODEL], scores[MEAN], report.ratio_to_mean[MODEL]
    named = {
        "held-out clips": float(report.data.clips),
        "MSE x100": model.mse_x100,
        "MSE x100 of the mean distribution": mean.mse_x100,
        "MSE over that of the mean distribution": ratio.mse,
        "JS x100": model.js_x100,
        "JS x100 of the mean distribution": mean.js_x100,
        "JS over that of the mean distribution": ratio.js,
        "EMD": model.emd,
        "EMD of the mean distribution": mean.emd,
        "calibration error": model.calibration_error,
        "balanced accuracy of the most voted grade": model.balanced_accuracy[0],
        "balanced accuracy, mean over n = 1..5": model.mean_balanced_accuracy,
    }
    if SECOND in scores:
        named["MSE x100 of a second panel of raters"] = scores[SECOND].mse_x100
        named["JS x100 of a second panel of raters"] = scores[SECOND].js_x100
    return {name: round(value, 5) for name, value in named.items()}
