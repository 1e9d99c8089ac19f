"""What stands in a study's tables, from results that are known."""

import csv
import io
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="comparing folds needs SciPy")
pytest.importorskip("torch", reason="costs know networks")

from trainer.evaluation.metrics import Scores
from trainer.studies.costs import Cost
from trainer.studies.figures import draw_figures
from trainer.studies.results import Results, Row, read_cosines
from trainer.studies.run import RunResult
from trainer.studies.tables import Table, all_tables, conclusions

COST = Cost(1_250_000, 2_500_000_000, 12.34, 1, None)


def scores(mse: float) -> Scores:
    return Scores(mse, 4 * mse, 0.5, 0.1, (0.5, 0.4, 0.3, 0.2, 0.1), 1 / (1 + mse), 1.0)


def row(name: str, *mses: float, paper: str = "") -> Row:
    return Row(name, paper, {fold: (scores(mse),) for fold, mse in enumerate(mses, start=1)})


def study(*systems: Row, **more: object) -> Results:
    run = RunResult(1, 1, 10, 3, {"model": scores(1.0)}, {}, 3, 1.0)
    values = {
        "ablations": {},
        "inference": {},
        "cosines": {},
        "mean_votes": row("mean votes", 2.0, 2.0, 2.0),
        "runs": (("a", "A", run),),
    }
    return Results(folds=3, systems=systems, **(values | more))  # type: ignore[arg-type]


def rows_of(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.csv())))


def named(tables: list[Table], name: str) -> Table:
    (table,) = (one for one in tables if one.name == name)
    return table


RESULTS = study(
    row("Ours", 1.0, 1.2, 1.1, paper="RoSTFine alpha 1"),
    row("R3D", 1.3, 1.1, 1.5, paper="R3D"),
    row("Half", 0.5, 0.5),
    row("Blind", 2.0, 2.1, 2.2),
)


def test_mean_and_deviation_and_the_best_in_bold() -> None:
    table = named(all_tables(RESULTS, "Ours", {}), "table2")
    text = table.markdown()
    assert "| Ours | **1.100 ± 0.100** | **4.400 ± 0.400** |" in text
    assert "| R3D | 1.300 ± 0.200 |" in text
    assert "| Half (2 of 3 folds) | 0.500 ± 0.000 |" in text, "half a row is never the best"
    assert "| mean votes | 2.000 ± 0.000 |" in text
    figures = rows_of(table)[0]
    assert float(figures["MSE x100 mean"]) == pytest.approx(1.1)
    assert float(figures["MSE x100 sd"]) == pytest.approx(0.1)
    assert float(figures["accuracy % mean"]) == pytest.approx(100 * (1 / 2 + 1 / 2.2 + 1 / 2.1) / 3)


def test_every_other_is_compared_over_the_same_folds() -> None:
    stats = pytest.importorskip("scipy.stats")
    table = named(all_tables(RESULTS, "Ours", {}), "table2-comparison")
    found = {line["against"]: line for line in rows_of(table)}
    assert list(found) == ["R3D", "Half", "Blind", "mean votes"]
    assert float(found["R3D"]["MSE x100 p"]) == pytest.approx(stats.kruskal([1.0, 1.2, 1.1], [1.3, 1.1, 1.5]).pvalue)
    assert (found["R3D"]["MSE x100 folds won"], found["R3D"]["MSE x100 folds lost"]) == ("2", "1")
    assert found["Half"]["MSE x100 p"] == ""
    assert "p is 0.0495 at least" in table.note


def test_the_papers_figures_stand_beside_ones_own_with_the_order_of_both() -> None:
    table = named(all_tables(RESULTS, "Ours", {}), "table2-paper")
    assert "| Ours | 1.100 (1) | 1.104 (1) |" in table.markdown()
    assert "| R3D | 1.300 (2) | 1.365 (2) |" in table.markdown()
    assert "30.52 (2)" in table.markdown()


def test_what_it_costs() -> None:
    table = named(all_tables(RESULTS, "Ours", {"Ours": COST}), "table2-cost")
    assert "| Ours | 1.25 | 2.5 | 12.3 | - |" in table.markdown()


def test_features_in_training_and_of_all_that_were_trained() -> None:
    trained = {"gst": row("gst", 1.0, 1.2, 1.1), "g": row("g", 1.2, 1.2, 1.2)}
    inference = {"g": row("g", 1.4, 1.4, 1.4), "gst": row("gst", 1.0, 1.2, 1.1)}
    results = study(row("Ours", 1.0, 1.2, 1.1), ablations={"features": trained}, inference=inference)
    text = named(all_tables(results, "Ours", {}), "table4").markdown()
    assert "| g | 1.200 ± 0.000 |" in text
    assert "1.400 ± 0.000" in text


def test_how_alike_features_are_is_read_from_the_log_and_drawn(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"epoch": 1, "loss": 0.1, "cos_gs": 0.2, "cos_gt": 0.4}\n{"epoch": 2, "cos_gs": 0.1}\n', "utf-8")
    assert read_cosines(log) == pytest.approx([0.3, 0.1])
    log.write_text('{"epoch": 1, "loss": 0.1}\n', "utf-8")
    assert read_cosines(log) == []
    by_alpha = {"0": row("0", 1.0, 1.2, 1.1), "1": row("1", 1.1, 1.0, 1.3)}
    cosines = {"0": (0.5, 0.6), "1": (0.4, 0.1)}
    results = study(row("Ours", 1.0, 1.2, 1.1), ablations={"alpha": by_alpha}, cosines=cosines)
    assert draw_figures(tmp_path, results) == ["figure5"]
    svg = (tmp_path / "figure5.svg").read_bytes()
    draw_figures(tmp_path, results)
    assert (tmp_path / "figure5.svg").read_bytes() == svg, "the same figures give the same file"
    assert (tmp_path / "figure5.png").stat().st_size > 10_000


def test_the_page_says_who_does_not_win_and_who_has_learnt_nothing() -> None:
    won = conclusions(RESULTS, "Ours")
    assert "Half: 2 of 3 folds." in won
    assert any("the best of 3 systems is Ours, in 2 of 3 folds better than the next, R3D" in line for line in won)
    assert won[-1].endswith("they have learnt nothing: Blind.")
    lost = conclusions(study(row("Ours", 1.0, 1.2, 1.1), row("R3D", 0.9, 0.9, 0.9)), "Ours")
    assert "**Ours does not win**, it is number 2" in lost[0]
