"""The paper's tables with one's own figures: what stands in which cell. It computes and lays out; it writes no file.

Means and deviations are over the folds (n - 1), a fold's figure the mean over its seeds; the best of a column is bold.
Rows whose folds are not all finished say so, and are neither bold nor compared.
"""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from trainer.evaluation.comparison import Spread, compare_folds, spread
from trainer.studies.costs import Cost
from trainer.studies.paper import TABLE_2
from trainer.studies.results import ACCURACY, ALL, JS, MAIN, MSE, Measure, Results, Row
from trainer.studies.study import COMBINATIONS

NONE: Final = "-"
Place = TypeVar("Place", int, str)
"""A row, by its number or its name."""
AXES: Final[Mapping[str, tuple[str, str, str]]] = {
    "aggregation": ("table3", "Table 3: how the features are put together", "aggregation"),
    "features": ("table4", "Table 4: features", "trained with"),
    "alpha": ("figure5", "Figure 5: weight of the diversity term", "alpha"),
    "selected": ("figure7", "Figure 7: patches selected a frame", "K"),
    "pretraining": ("ablation-pretraining", "Ablation: what the weights began from", "pretraining"),
    "branch": ("ablation-branch", "Ablation: the fine-grained branches", "branch"),
    "loss": ("ablation-loss", "Ablation: the loss", "loss"),
}
"""By axis, in the order of the page: the files' name, the title, and the head of the first column."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column for people, and the columns of the CSV file that it stands for."""

    name: str
    csv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """What a column says of a row."""

    text: str
    values: tuple[object, ...]
    """One for each column of the CSV file."""
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table, whatever it is written as."""

    name: str
    """Of its files, without ending."""
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def markdown(self) -> str:
        """Return it as Markdown."""
        head = "| " + " | ".join(column.name for column in self.columns) + " |"
        rule = "|---|" + "---:|" * (len(self.columns) - 1)
        lines = ["| " + " | ".join(f"**{c.text}**" if c.bold else c.text for c in row) + " |" for row in self.rows]
        note = f"\n{self.note}\n" if self.note else ""
        return f"### {self.title}\n\n" + "\n".join([head, rule, *lines]) + "\n" + note

    def csv(self) -> str:
        """Return it as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([name for column in self.columns for name in column.csv])
        writer.writerows([value for cell in row for value in cell.values] for row in self.rows)
        return text.getvalue()


def all_tables(results: Results, ours: str, costs: Mapping[str, Cost]) -> list[Table]:
    """Return every table of a study that has a row.

    Args:
        results: What is known.
        ours: The system that others are compared with.
        costs: By system.
    """
    tables = [system_table(results), comparison_table(results, ours)]
    tables += [cost_table(results, costs)] if costs else []
    tables += [paper_table(results)] if any(row.paper for row in results.systems) else []
    for axis, (name, title, head) in AXES.items():
        rows = results.ablations.get(axis, {})
        if axis == "features" and results.inference:
            tables.append(feature_table(rows, results))
        elif rows:
            tables.append(score_table(name, title, head, list(rows.values()), results.folds))
    return [*tables, run_table(results)]


def system_table(results: Results) -> Table:
    """Return Table 2: every system, and what predicts without looking at a clip."""
    note = (
        "MSE and JS: lower is better; n: balanced accuracy of the n-th most selected grade, accuracy: their mean. "
        "Mean votes: predicts the mean of the training clips' votes, without looking at a clip."
    )
    rows = [*results.systems, results.mean_votes]
    return score_table("table2", "Table 2: systems", "system", rows, results.folds, note, apart=results.mean_votes)


def score_table(
    name: str, title: str, head: str, rows: Sequence[Row], folds: int, note: str = "", apart: Row | None = None
) -> Table:
    """Return a table of all measures. ``apart`` is a row that is never the best."""
    columns = [Column(head, (head,)), *(_spread_column(measure.name) for measure in ALL)]
    spreads = [[_spread_of(row, measure) for measure in ALL] for row in rows]
    fair = [place for place, row in enumerate(rows) if len(row.folds) == folds and row is not apart]
    best = [_best(measure, {place: spreads[place][n] for place in fair}) for n, measure in enumerate(ALL)]
    lines = [
        (
            _name_cell(row, folds),
            *(_spread_cell(spreads[place][n], measure, place in best[n]) for n, measure in enumerate(ALL)),
        )
        for place, row in enumerate(rows)
    ]
    return Table(name, title, tuple(columns), tuple(lines), note)


def comparison_table(results: Results, ours: str) -> Table:
    """Return our system against every other, and against the mean votes."""
    columns = [Column(f"{ours} against", ("against",))]
    for measure in MAIN:
        columns += [Column(f"{measure.name}: p", (f"{measure.name} p",))]
        columns += [Column("folds won", (f"{measure.name} folds won", f"{measure.name} folds lost"))]
    (mine,) = (row for row in results.systems if row.name == ours)
    others = [row for row in results.systems if row.name != ours] + [results.mean_votes]
    lines, least = [], math.nan
    whole = list(range(1, results.folds + 1))
    for row in others:
        cells = [_name_cell(row, results.folds)]
        for measure in MAIN:
            if len(row.folds) < results.folds or len(mine.folds) < results.folds:
                cells += [Cell(NONE, ("",)), Cell(NONE, ("", ""))]
                continue
            found = compare_folds(
                mine.values(measure, whole), row.values(measure, whole), lower_is_better=measure.lower_is_better
            )
            least = found.least_p
            cells.append(Cell(f"{found.p:.4f}", (found.p,)))
            cells.append(Cell(f"{found.wins} of {results.folds}", (found.wins, found.losses)))
        lines.append(tuple(cells))
    note = "Kruskal-Wallis over the folds, each p for itself (not corrected for how many there are)."
    if not math.isnan(least):
        note += f" With {results.folds} folds p is {least:.4f} at least, where every fold of one beats every other."
    return Table("table2-comparison", f"Table 2: {ours} against each other system", tuple(columns), tuple(lines), note)


def short_table(results: Results, ours: str) -> Table:
    """Return what fits on a terminal: the main measures, and ours against each by MSE."""
    full, against = system_table(results), comparison_table(results, ours)
    shown = [0, *(1 + ALL.index(measure) for measure in MAIN)]
    versus = {row[0].values: row[1:3] for row in against.rows}
    columns = (*(full.columns[place] for place in shown), Column("p", ("p",)), Column("won", ("won", "lost")))
    nothing = (Cell("", ("",)), Cell("", ("", "")))
    rows = tuple((*(row[place] for place in shown), *versus.get(row[0].values, nothing)) for row in full.rows)
    note = f"p, won: {ours} against this one by MSE (Kruskal-Wallis; folds)"
    return Table("short", full.title, columns, rows, note)


def cost_table(results: Results, costs: Mapping[str, Cost]) -> Table:
    """Return parameters, operations and times of the systems."""
    columns = [
        Column("system", ("system",)),
        Column("parameters, M", ("parameters",)),
        Column("multiply-adds, G", ("multiply_adds",)),
        Column("CPU, ms a clip", ("cpu_ms", "cpu_threads")),
        Column("GPU, ms a clip", ("gpu_ms",)),
    ]
    lines = []
    for row in results.systems:
        if row.name not in costs:
            continue
        cost = costs[row.name]
        gpu = NONE if cost.gpu_ms is None else f"{cost.gpu_ms:.2f}"
        lines.append(
            (
                Cell(row.name, (row.name,)),
                Cell(f"{cost.parameters / 1e6:.3g}", (cost.parameters,)),
                Cell(f"{cost.multiply_adds / 1e9:.3g}", (cost.multiply_adds,)),
                Cell(f"{cost.cpu_ms:.1f}", (cost.cpu_ms, cost.cpu_threads)),
                Cell(gpu, ("" if cost.gpu_ms is None else cost.gpu_ms,)),
            )
        )
    threads = next((cost.cpu_threads for cost in costs.values()), 1)
    note = f"One clip at a time in torch; CPU: {threads} thread{'s' if threads > 1 else ''} of this machine, median."
    return Table("table2-cost", "Table 2: what the systems cost", tuple(columns), tuple(lines), note)


def paper_table(results: Results) -> Table:
    """Return one's own figures beside the paper's, with the place of each among the systems that both have."""
    columns = [Column("system", ("system", "in the paper"))]
    for measure in MAIN:
        columns.append(Column(f"{measure.name} (place)", (measure.name, f"{measure.name} place")))
        columns.append(Column("paper (place)", (f"paper {measure.name}", f"paper {measure.name} place")))
    rows = [row for row in results.systems if row.paper and len(row.folds) == results.folds]
    lines = [[Cell(row.name, (row.name, row.paper))] for row in rows]
    for measure in MAIN:
        own = [_spread_of(row, measure).mean for row in rows]
        theirs = [_of_paper(row.paper, measure) for row in rows]
        for values in (own, theirs):
            for line, value, place in zip(lines, values, _places(values, measure), strict=True):
                line.append(Cell(f"{value:.{measure.digits}f} ({place})", (value, place)))
    note = "The paper's figures are of other clips: only the order can be compared."
    return Table("table2-paper", "Table 2: beside the paper's", tuple(columns), tuple(map(tuple, lines)), note)


def feature_table(trained: Mapping[str, Row], results: Results) -> Table:
    """Return Table 4: networks trained with some features, and one trained with all of which some heads are used."""
    name, title, head = AXES["features"]
    names = [combination for combination in COMBINATIONS if combination in {*trained, *results.inference}]
    columns = [Column("features", ("features",))]
    lines = [[Cell(combination, (combination,))] for combination in names]
    for kind, rows in (("trained with", trained), ("used of all", results.inference)):
        if not rows:
            continue
        for measure in MAIN:
            columns.append(
                Column(f"{kind}: {measure.name}", tuple(f"{kind} {measure.name} {part}" for part in ("mean", "sd")))
            )
            whole = {features: row for features, row in rows.items() if len(row.folds) == results.folds}
            spreads = {features: _spread_of(row, measure) for features, row in whole.items()}
            best = _best(measure, spreads)
            for line, features in zip(lines, names, strict=True):
                line.append(_spread_cell(spreads.get(features), measure, features in best))
    note = (
        f"{head}: networks that have these features alone; used of all: the ablated system's own networks, the mean of "
        "these heads alone."
    )
    return Table(name, title, tuple(columns), tuple(map(tuple, lines)), note)


def run_table(results: Results) -> Table:
    """Return every run that is finished, one a line."""
    names = ("run", "system", "fold", "seed", "clips", "epoch", *(measure.name for measure in ALL))
    lines = []
    for folder, system, result in results.runs:
        scores = result.scores["model"]
        values = (folder, system, result.fold, result.seed, result.clips, result.epoch)
        cells = [Cell(str(value), (value,)) for value in values]
        cells += [Cell(f"{measure.of(scores):.{measure.digits}f}", (measure.of(scores),)) for measure in ALL]
        lines.append(tuple(cells))
    return Table("runs", "Runs", tuple(Column(name, (name,)) for name in names), tuple(lines))


def conclusions(results: Results, ours: str) -> list[str]:
    """Return what the figures say and what they do not, in sentences."""
    whole = [row for row in results.systems if len(row.folds) == results.folds]
    said = [f"{row.name}: {len(row.folds)} of {results.folds} folds." for row in results.systems if row not in whole]
    if not whole:
        return said
    folds = list(range(1, results.folds + 1))
    for measure in (MSE, JS, ACCURACY):
        ordered = sorted(whole, key=lambda row: _key(measure, _spread_of(row, measure).mean))
        place = next((n for n, row in enumerate(ordered, 1) if row.name == ours), 0)
        best = ordered[0]
        first = f"{measure.name}: the best of {len(whole)} systems is {best.name}"
        if len(ordered) > 1 and place == 1:
            behind = ordered[1]
            found = compare_folds(
                best.values(measure, folds), behind.values(measure, folds), lower_is_better=measure.lower_is_better
            )
            first += f", in {found.wins} of {results.folds} folds better than the next, {behind.name} (p {found.p:.3f})"
        elif place:
            first += f"; **{ours} does not win**, it is number {place}"
        said.append(first + ".")
    if results.mean_votes.folds:
        blind = _spread_of(results.mean_votes, MSE)
        not_better = [row.name for row in whole if blind is not None and _spread_of(row, MSE).mean >= blind.mean]
        if not_better:
            said.append(f"By MSE no better than the mean votes, so they have learnt nothing: {', '.join(not_better)}.")
    return said


def _spread_of(row: Row, measure: Measure) -> Spread:
    if not row.folds:
        return Spread(math.nan, math.nan)
    return spread(row.values(measure, sorted(row.folds)))


def _key(measure: Measure, value: float) -> float:
    return value if measure.lower_is_better else -value


def _best(measure: Measure, spreads: Mapping[Place, Spread]) -> set[Place]:
    """Return who has the best mean, as it is printed: several where they look alike."""
    known = {place: round(one.mean, measure.digits) for place, one in spreads.items() if not math.isnan(one.mean)}
    least = min((_key(measure, value) for value in known.values()), default=math.nan)
    return {place for place, value in known.items() if _key(measure, value) == least}


def _places(values: Sequence[float], measure: Measure) -> list[int]:
    keys = [_key(measure, value) for value in values]
    return [1 + sum(other < key for other in keys) for key in keys]


def _of_paper(name: str, measure: Measure) -> float:
    row = TABLE_2[name]
    return {MSE.name: row.mse_x100, JS.name: row.js_x100}.get(measure.name, row.mean_balanced_accuracy)


def _name_cell(row: Row, folds: int) -> Cell:
    missing = "" if len(row.folds) == folds else f" ({len(row.folds)} of {folds} folds)"
    return Cell(row.name + missing, (row.name,))


def _spread_column(name: str) -> Column:
    return Column(name, (f"{name} mean", f"{name} sd"))


def _spread_cell(one: Spread | None, measure: Measure, bold: bool) -> Cell:
    if one is None or math.isnan(one.mean):
        return Cell(NONE, ("", ""))
    sd = "" if math.isnan(one.sd) else f" ± {one.sd:.{measure.digits}f}"
    return Cell(f"{one.mean:.{measure.digits}f}{sd}", (one.mean, "" if math.isnan(one.sd) else one.sd), bold)
