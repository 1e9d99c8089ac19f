"""The pictures of an evaluation: is it calibrated, what is taken for what, which clips are right and which are not.

Drawn with matplotlib without a screen, in colours that colour-blind people tell apart, and never by colour alone. The
same figures give the same SVG bytes. It computes nothing but what is needed to place things.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from station.distances import mse
from station.notice import NOTICE
from station.transport.messages import GRADES
from trainer.evaluation.report import EvaluationReport
from trainer.evaluation.scored import MODEL, Scored

Array = NDArray[np.float64]

VOTED: Final = "#E69F00"
PREDICTED: Final = "#0072B2"
"""Two of the colours of Okabe and Ito (2008)."""
HATCH: Final = "////"
STYLE: Final[dict[Any, Any]] = {
    "svg.hashsalt": "rostfine",  # else every file has its own random names inside
    "svg.fonttype": "path",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
}
SHOWN: Final = 15
"""Clips in the sample: as many of the best, of the middle and of the worst."""


def draw_all(folder: Path, scored: Scored, report: EvaluationReport) -> list[str]:
    """Write every picture of an evaluation as PNG and SVG; return their names without ending.

    Args:
        folder: Where to.
        scored: Predictions, votes and clips.
        report: Its figures.
    """
    with mpl.rc_context(STYLE):
        drawn = {
            "reliability": reliability_figure(report),
            "confusion": confusion_figure(report),
            "distributions": distributions_figure(scored),
            "clips": clips_figure(scored),
        }
        for name, figure in drawn.items():
            figure.text(0.995, 0.005, NOTICE, ha="right", va="bottom", fontsize=7, color="0.35")
            FigureCanvasAgg(figure)
            figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None})
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
    return list(drawn)


def reliability_figure(report: EvaluationReport) -> Figure:
    """Return mean share of the votes against predicted probability, and how many probabilities a point stands for."""
    bins = report.reliability
    some = [one for one in bins if one.count]
    figure = Figure(figsize=(5.2, 6.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot((0, 1), (0, 1), "--", color="0.5", linewidth=1, label="perfectly calibrated")
    points = np.array([(one.predicted, one.voted) for one in some])
    upper.plot(*points.T, "o-", color=PREDICTED, label="model")
    upper.set(ylabel="mean share of the votes", xlim=(0, 1), ylim=(0, 1))
    error = report.scores[MODEL].calibration_error
    upper.set_title(f"Reliability: expected calibration error {error:.4f}, {report.data.clips} clips", pad=12)
    upper.legend(frameon=False, loc="upper left")
    upper.grid(color="0.9")
    width = 1 / len(bins)
    lower.bar([(k + 0.5) * width for k in range(len(bins))], [one.count for one in bins], 0.9 * width,
              color=PREDICTED)  # fmt: skip
    lower.set(xlabel="predicted probability of a grade", ylabel="count")
    lower.set_yscale("log")
    _leave_room(figure)
    return figure


def confusion_figure(report: EvaluationReport) -> Figure:
    """Return the matrix of most selected grades: raters down, model across; counts, and shares of the row."""
    counts = np.array(report.confusion)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
    figure = Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        dark = shares[row, column] > 0.5
        text = f"{counts[row, column]}\n{shares[row, column]:.0%}" if rows[row, 0] else "0"
        axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(len(GRADES)), GRADES)
    axes.set_yticks(range(len(GRADES)), [f"{g} ({n})" for g, n in zip(GRADES, rows[:, 0], strict=True)])
    axes.set(xlabel="model's most likely grade", ylabel="raters' most selected grade (clips)")
    accuracy = report.scores[MODEL].balanced_accuracy[0]
    axes.set_title(f"Balanced accuracy {accuracy:.3f} (chance {1 / len(GRADES):.1f})", pad=10)
    axes.spines[:].set_visible(False)
    figure.colorbar(picture, label="share of the row", shrink=0.8)
    _leave_room(figure)
    return figure


def distributions_figure(scored: Scored) -> Figure:
    """Return all clips side by side, sorted by the raters' mean grade: votes above, prediction, and error below."""
    order = np.argsort(_mean_grade(scored.target), kind="stable")
    errors = 100 * mse(scored.predicted, scored.target)[order]
    figure = Figure(figsize=(8.0, 5.6), layout="constrained")
    votes, prediction, error = figure.subplots(3, 1, sharex=True, height_ratios=(2, 2, 1))
    count = len(order)
    for axes, table, title in (
        (votes, scored.target, "raters' votes"),
        (prediction, scored.predicted, "model"),
    ):
        picture = axes.imshow(
            table[order].T, aspect="auto", interpolation="nearest", cmap="cividis", vmin=0, vmax=1,
            extent=(-0.5, count - 0.5, len(GRADES) - 0.5, -0.5),
        )  # fmt: skip
        for values, style, label in ((scored.target, "-", "raters"), (scored.predicted, ":", "model")):
            axes.plot(_smooth(_mean_grade(values)[order]), style, color="white", linewidth=1.8,
                      path_effects=[withStroke(linewidth=3.4, foreground="black")],
                      label=f"mean grade, {label}")  # fmt: skip
        axes.set_yticks(range(len(GRADES)), GRADES)
        axes.set_ylabel(f"grade: {title}")
        axes.spines[:].set_visible(False)
    legend = votes.legend(loc="lower left", fontsize=7, facecolor="0.15", edgecolor="none", framealpha=0.8)
    for text in legend.get_texts():
        text.set_color("white")
    figure.colorbar(picture, ax=(votes, prediction), label="share")
    error.fill_between(range(count), errors, color=PREDICTED, linewidth=0, step="mid")
    error.set(ylabel="MSE x100", xlabel="clip, sorted by the raters' mean grade", xlim=(-0.5, count - 0.5))
    votes.set_title(f"{count} clips (lines: smoothed mean grade)")
    _leave_room(figure)
    return figure


def clips_figure(scored: Scored) -> Figure:
    """Return a sample of clips with their pictures: the best third, those in the middle, and the worst."""
    errors = 100 * mse(scored.predicted, scored.target)
    shown = sample(errors, SHOWN)
    columns = 5
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.1 * columns, 3.1 * rows + 0.7), layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[1.25, 1] * rows)
    for axes in grid.flat:
        axes.set_visible(False)
    for place, k in enumerate(shown):
        row, column = divmod(place, columns)
        picture, bars = grid[2 * row, column], grid[2 * row + 1, column]
        clip = scored.clips.pixels(k)
        _thumbnail(picture, clip[len(clip) // 2], f"{_shorten(scored.ids[k])}\nMSE x100 {errors[k]:.2f}")
        _bars(bars, scored.target[k], scored.predicted[k])
        if column == 0:
            bars.set_ylabel("share")
    handles, labels = grid[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False)
    figure.suptitle(f"From the least to the largest error: {len(shown)} of {len(errors)} clips, middle frames",
                    x=0.01, ha="left", fontsize=10)  # fmt: skip
    _leave_room(figure)
    return figure


def sample(errors: Array, count: int) -> list[int]:
    """Return indices by rising error: a third of the smallest, a third round the median, a third of the largest."""
    order = [int(k) for k in np.argsort(errors, kind="stable")]
    if len(order) <= count:
        return order
    third = count // 3
    middle = (len(order) - third) // 2
    return [*order[:third], *order[middle : middle + third], *order[len(order) - (count - 2 * third) :]]


def _thumbnail(axes: Axes, frame: NDArray[np.uint8], title: str) -> None:
    axes.set_visible(True)
    axes.imshow(frame, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title, fontsize=8)
    axes.set_axis_off()


def _bars(axes: Axes, voted: Array, predicted: Array) -> None:
    axes.set_visible(True)
    places = np.arange(len(GRADES))
    axes.bar(places - 0.2, voted, 0.4, color=VOTED, label="raters' votes")
    axes.bar(places + 0.2, predicted, 0.4, color=PREDICTED, hatch=HATCH, edgecolor="white", linewidth=0,
             label="model (hatched)")  # fmt: skip
    axes.set_xticks(places, GRADES)
    axes.set_ylim(0, 1)
    axes.set_yticks((0, 0.5, 1))


def _mean_grade(distribution: Array) -> Array:
    """Return (N,): 0 for A to 4 for E, weighted by the shares."""
    return np.asarray(distribution @ np.arange(distribution.shape[1]), np.float64)


def _smooth(values: Array) -> Array:
    """Return a running mean over a fortieth of the values, at least one."""
    width = max(1, len(values) // 40) | 1
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.ones(width) / width, mode="valid")


def _shorten(name: str, most: int = 22) -> str:
    return name if len(name) <= most else f"...{name[3 - most :]}"


def _leave_room(figure: Figure, share: Sequence[float] = (0, 0.03, 1, 0.97)) -> None:
    """Keep the foot of a figure free for the notice."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=share)  # type: ignore[call-arg]
