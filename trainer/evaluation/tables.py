"""The tables of an evaluation on a terminal, 80 columns wide. It computes nothing."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from station.transport.messages import GRADES
from trainer.evaluation.folds import fold_table
from trainer.evaluation.report import AblationResult, EvaluationReport, ratios
from trainer.evaluation.scored import MEAN, MODE, MODEL, SECOND

MEASURES: Final = {
    "MSE x100": "mse_x100",
    "JS x100": "js_x100",
    "EMD": "emd",
    "calibration error": "calibration_error",
    "entropy": "entropy",
}
SHORT: Final = {MEAN: "mean", MODE: "mode", SECOND: "panel"}
"""What stands over a column, which must be narrow."""


def report_tables(report: EvaluationReport) -> Iterator[Table]:
    """Yield the tables of an evaluation in the order in which they are read."""
    yield _score_table(report)
    if report.summary:
        yield fold_table(report.folds, report.summary)
    if report.ablations:
        yield _ablation_table(report)
    yield _confusion_table(report)


def _score_table(report: EvaluationReport) -> Table:
    scores = report.scores
    shown = Table(
        title=f"{report.data.clips} clips (the raters' entropy: {report.raters_entropy:.3f})",
        caption="mean, mode: what predicts without looking at a clip; panel: other raters on the\nsame clips. "
        "Figures of the RoSTFine authors' code differ: its JS weights KL(p, m)\ntwice, and its n counts from the least "
        "selected grade (docs/training.md)",
        box=SIMPLE_HEAD,
    )
    shown.add_column("", no_wrap=True)
    for name in scores:
        shown.add_column(SHORT.get(name, name), justify="right", no_wrap=True)
        if name == MODEL:
            shown.add_column("95 % interval", justify="right", no_wrap=True)

    def row(text: str, values: Sequence[float], key: str = "") -> None:
        interval = report.intervals.get(key)
        cells = [f"{value:.3f}" for value in values]
        cells.insert(1, f"{interval[0]:.3f} - {interval[1]:.3f}" if interval else "")
        shown.add_row(text, *cells)

    every = list(scores.values())
    for text, name in MEASURES.items():
        row(text, [getattr(item, name) for item in every], name)
    row("MSE / mean's", [ratios(scores, name).mse for name in scores], "mse_ratio")
    row("JS / mean's", [ratios(scores, name).js for name in scores], "js_ratio")
    for n in range(len(GRADES)):
        key = "" if n else "top_grade_balanced_accuracy"
        row(f"bal. accuracy, n = {n + 1}", [item.balanced_accuracy[n] for item in every], key)
    row("bal. accuracy, mean", [item.mean_balanced_accuracy for item in every], "mean_balanced_accuracy")
    return shown


def _ablation_table(report: EvaluationReport) -> Table:
    shown = Table(title="without some of the input", box=SIMPLE_HEAD)
    for name in ("", "MSE x100", "times", "/ mean's", "JS x100", "times", "bal. acc., n = 1"):
        shown.add_column(name, justify="left" if not name else "right", no_wrap=True)
    unchanged = AblationResult(report.scores[MODEL], 1.0, 1.0, report.ratio_to_mean[MODEL])
    for name, item in {"unchanged": unchanged, **report.ablations}.items():
        shown.add_row(
            name,
            f"{item.scores.mse_x100:.3f}",
            f"{item.mse_over_unchanged:.3f}",
            f"{item.ratio_to_mean.mse:.3f}",
            f"{item.scores.js_x100:.3f}",
            f"{item.js_over_unchanged:.3f}",
            f"{item.scores.balanced_accuracy[0]:.3f}",
        )
    return shown


def _confusion_table(report: EvaluationReport) -> Table:
    grid = Table(title="most selected grade:\nraters down, model across", box=SIMPLE_HEAD)
    for name in ("", *GRADES):
        grid.add_column(name, justify="right")
    for grade, line in zip(GRADES, report.confusion, strict=True):
        grid.add_row(grade, *(str(value) for value in line))
    return grid
