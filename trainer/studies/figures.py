"""The paper's Figures 5 and 7 with one's own figures: a measure against what was varied. Drawn without a screen."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from station.notice import NOTICE
from trainer.evaluation.comparison import spread
from trainer.evaluation.plots import PREDICTED, STYLE
from trainer.studies.results import MAIN, Results, Row
from trainer.studies.tables import AXES

DRAWN = ("alpha", "selected")


def draw_figures(folder: Path, results: Results) -> list[str]:
    """Write the figures of what was varied in numbers as PNG and SVG; return their names without ending."""
    names = []
    with mpl.rc_context(STYLE):
        for axis in DRAWN:
            rows = {value: row for value, row in results.ablations.get(axis, {}).items() if row.folds}
            if len(rows) < 2:
                continue
            name, title, head = AXES[axis]
            figure = _curves(rows, results, title, head, results.cosines if axis == "alpha" else {})
            figure.text(0.995, 0.005, NOTICE, ha="right", va="bottom", fontsize=7, color="0.35")
            FigureCanvasAgg(figure)
            figure.savefig(folder / f"{name}.png", dpi=150, metadata={"Software": None})
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
            names.append(name)
    return names


def _curves(
    rows: Mapping[str, Row], results: Results, title: str, head: str, cosines: Mapping[str, tuple[float, ...]]
) -> Figure:
    """Return each main measure against the values, which stand at equal distances: they are chosen, not measured.

    Where cosines are known, by value and epoch, they stand at the right.
    """
    figure = Figure(figsize=(9.6 + 4.2 * bool(cosines), 3.7))
    figure.set_layout_engine("constrained", rect=(0, 0.05, 1, 0.95))  # the notice stands below
    figure.suptitle(f"{title}; mean and sd over folds", x=0.01, ha="left", fontsize=10)
    places = np.arange(len(rows))
    panels = list(figure.subplots(1, len(MAIN) + bool(cosines)))
    if cosines:
        _draw_cosines(panels.pop(), cosines, head)
    for axes, measure in zip(panels, MAIN, strict=True):
        spreads = [spread(row.values(measure, sorted(row.folds))) for row in rows.values()]
        means = [one.mean for one in spreads]
        axes.errorbar(places, means, [np.nan_to_num(one.sd) for one in spreads], fmt="o-", color=PREDICTED, capsize=3)
        if results.mean_votes.folds:
            votes = spread(results.mean_votes.values(measure, sorted(results.mean_votes.folds))).mean
            axes.axhline(votes, color="0.4", linestyle=":", linewidth=1.2, label="mean votes")
            axes.legend(frameon=False, fontsize=8)
        better = "lower" if measure.lower_is_better else "higher"
        axes.set(xlabel=head, ylabel=f"{measure.name} ({better} is better)")
        axes.set_xticks(places, list(rows))
        axes.grid(color="0.92")
    return figure


def _draw_cosines(axes: Axes, cosines: Mapping[str, tuple[float, ...]], head: str) -> None:
    """Draw how alike the features are, epoch by epoch, a line for each value, told apart by its dashes too."""
    for (value, curve), style in zip(cosines.items(), itertools.cycle(("-", "--", "-.", ":")), strict=False):
        axes.plot(range(1, len(curve) + 1), curve, linestyle=style, label=f"{head} {value}")
    axes.set(xlabel="epoch", ylabel="cosine of the features, mean of the pairs")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))  # no curve is hidden
    axes.grid(color="0.92")
