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
from trainer.evaluation.metrics import Scores, confusion, entropy, reference_predictors, reliability, score

Array = NDArray[np.float64]

METRICS_FORMAT: Final = "rostfine-metrics/1"
MODEL: Final = "model"
MEAN: Final = "mean distribution"
MODE: Final = "train mode"
SECOND: Final = "second panel"


@dataclass(frozen=True, slots=True)
class Scored:
    """Predictions for some clips of a folder, and everything they are compared with."""

    clips: Clips
    chosen: Sequence[int]
    """Indices of the scored clips, in the order of the arrays."""
    predicted: Array
    """(N, C)"""
    references: Mapping[str, Array]
    """(N, C) of each predictor that never looked at a clip, by name; "mean distribution" is among them."""

    @property
    def target(self) -> Array:
        """(N, C) shares of the votes."""
        return self.clips.distributions[list(self.chosen)]

    @property
    def ids(self) -> list[str]:
        """(N,) ids of the scored clips."""
        return [self.clips.rows[index].id for index in self.chosen]

    def scores(self) -> dict[str, Scores]:
        """Return the measures of the model and of everything beside it, by name."""
        found = {MODEL: score(self.predicted, self.target)}
        found |= {name: score(constant, self.target) for name, constant in self.references.items()}
        second = second_panel(self.clips)
        if second is not None:
            found[SECOND] = score(second[list(self.chosen)], self.target)
        return found


def compare(clips: Clips, chosen: Sequence[int], predicted: Array, train: Array) -> Scored:
    """Return predictions beside the reference predictors.

    Args:
        clips: The folder.
        chosen: Indices of the predicted clips.
        predicted: (N, C) for them.
        train: (M, C) distributions that the reference predictors may know: the training clips'.
    """
    return Scored(clips, chosen, predicted, reference_predictors(train, len(chosen)))


def pool(parts: Sequence[Scored]) -> Scored:
    """Return the predictions of all folds as one; each clip keeps its own fold's references."""
    references = {name: np.concatenate([part.references[name] for part in parts]) for name in parts[0].references}
    chosen = [index for part in parts for index in part.chosen]
    return Scored(parts[0].clips, chosen, np.concatenate([part.predicted for part in parts]), references)


def second_panel(clips: Clips) -> Array | None:
    """Return (N, C) distributions of other raters on the same clips, None where the folder has none.

    The difference between two panels is how far raters agree at all; it is no bound (docs/training.md says why).
    Raises InputError where it is not of these clips.
    """
    path = clips.root / SECOND_PANEL
    if not path.exists():
        return None
    return read_second_panel(path, [row.id for row in clips.rows])


def ratios(scores: Mapping[str, Scores], name: str = MODEL) -> dict[str, float]:
    """Return MSE and JS of one predictor over those of the mean distribution: below 1 is better than not looking."""
    mean = scores[MEAN]
    return {
        "mse": scores[name].mse_x100 / max(mean.mse_x100, NOTHING),
        "js": scores[name].js_x100 / max(mean.js_x100, NOTHING),
    }


def metrics(
    scored: Scored, scores: Mapping[str, Scores], ablated: Mapping[str, Array], draws: int, seed: int
) -> dict[str, Any]:
    """Return everything as plain values: the content of ``metrics.json`` (docs/training.md says what is what)."""
    clips, target = scored.clips, scored.target
    mean = scored.references[MEAN]
    sources = [clips.rows[index].source for index in scored.chosen]
    changed = {name: score(predicted, target) for name, predicted in ablated.items()}
    return {
        "format": METRICS_FORMAT,
        "notice": NOTICE,
        "data": {"sha256": clips.sha256, "clips": len(scored.chosen), "made": dict(clips.made)},
        "scores": {name: dataclasses.asdict(item) for name, item in scores.items()},
        "ratio_to_mean": {name: ratios(scores, name) for name in scores if name != MEAN},
        "intervals": dict(intervals(scored.predicted, target, mean, sources, draws, seed)),
        "bootstrap": {"draws": draws, "seed": seed, "sources": len(set(sources)), "interval": 0.95},
        "raters_entropy": float(entropy(target).mean()),
        "confusion": confusion(scored.predicted, target).tolist(),
        "reliability": [dataclasses.asdict(one) for one in reliability(scored.predicted, target)],
        "ablations": {
            name: {
                "scores": dataclasses.asdict(item),
                "mse_over_unchanged": item.mse_x100 / max(scores[MODEL].mse_x100, NOTHING),
                "js_over_unchanged": item.js_x100 / max(scores[MODEL].js_x100, NOTHING),
                "ratio_to_mean": ratios({**scores, name: item}, name),
            }
            for name, item in changed.items()
        },
    }


def per_clip(scored: Scored) -> tuple[list[str], list[list[object]]]:
    """Return header and rows of ``predictions.csv``: each clip's prediction, votes and error."""
    header = ["id", *(f"predicted_{g}" for g in GRADES), *(f"voted_{g}" for g in GRADES), "mse_x100", "js_x100"]
    errors = 100 * mse(scored.predicted, scored.target), 100 * js(scored.predicted, scored.target)
    return header, [
        [name, *(f"{value:.6f}" for value in (*predicted, *voted, *both))]
        for name, predicted, voted, *both in zip(scored.ids, scored.predicted, scored.target, *errors, strict=True)
    ]


def figures(scores: Mapping[str, Scores], count: int) -> dict[str, float]:
    """Return the main numbers by name, as they stand in a model's manifest."""
    model, mean, ratio = scores[MODEL], scores[MEAN], ratios(scores)
    chosen = {
        "held-out clips": float(count),
        "MSE x100": model.mse_x100,
        "MSE x100 of the mean distribution": mean.mse_x100,
        "MSE over that of the mean distribution": ratio["mse"],
        "JS x100": model.js_x100,
        "JS x100 of the mean distribution": mean.js_x100,
        "JS over that of the mean distribution": ratio["js"],
        "EMD": model.emd,
        "EMD of the mean distribution": mean.emd,
        "calibration error": model.calibration_error,
        "balanced accuracy of the most voted grade": model.balanced_accuracy[0],
        "balanced accuracy, mean over n = 1..5": model.mean_balanced_accuracy,
    }
    if SECOND in scores:
        chosen["MSE x100 of a second panel of raters"] = scores[SECOND].mse_x100
        chosen["JS x100 of a second panel of raters"] = scores[SECOND].js_x100
    return {name: round(value, 5) for name, value in chosen.items()}
