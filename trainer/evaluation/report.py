"""The figures of an evaluation: typed values, and the documents that they are written as.

It knows predictions and votes (``trainer.evaluation.scored``); it draws nothing and writes nothing.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from station.notice import NOTICE
from trainer.evaluation.bootstrap import NOTHING, intervals
from trainer.evaluation.folds import FoldSummary, RunSummary, summarise
from trainer.evaluation.metrics import Bin, Scores, confusion, entropy, reliability, score
from trainer.evaluation.scored import MEAN, MODEL, SECOND, Evaluated

METRICS_FORMAT: Final = "rostfine-metrics/1"


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
class ChangeSettings:
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
    ablation_settings: ChangeSettings | None = None
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


def ratios(scores: Mapping[str, Scores], name: str = MODEL) -> Ratios:
    """Return MSE and JS of one predictor over those of the mean distribution."""
    mean = scores[MEAN]
    return Ratios(
        mse=scores[name].mse_x100 / max(mean.mse_x100, NOTHING), js=scores[name].js_x100 / max(mean.js_x100, NOTHING)
    )


def make_report(
    evaluated: Evaluated, caution: str, draws: int, seed: int, settings: ChangeSettings | None
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
