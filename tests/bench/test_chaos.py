"""The list of scenarios and the table that the bench writes; the scenarios themselves run the whole program."""

import argparse
from pathlib import Path

import pytest

import bench.chaos as chaos
from bench.support.chaos.scenarios import SCENARIOS, Outcome, Setting, scenario
from station.build_info import ROOT
from station.errors import InputError


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_has_what_the_bench_needs_and_a_place_in_the_document(name: str) -> None:
    found = scenario(name)
    assert found.SUMMARY
    assert callable(found.run)
    document = (ROOT / "docs" / "reliability.md").read_text()
    assert document.count(chaos.BEGIN.format(name)) == document.count(chaos.END.format(name)) == 1


def test_how_often_and_how_long(tmp_path: Path) -> None:
    assert Setting(tmp_path, quick=True).repeats(full=20, quick=1) == 1
    assert Setting(tmp_path, quick=False).repeats(full=20, quick=1) == 20
    assert Setting(tmp_path, quick=True, times=3).repeats(full=20, quick=1) == 3
    assert Setting(tmp_path, quick=True, minutes=0.5).seconds(full=1800.0, quick=60.0) == 30.0


def test_the_table_replaces_the_one_before_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "reliability.md"
    begin, end = chaos.BEGIN.format("kill"), chaos.END.format("kill")
    path.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    rows = [Outcome("engine: kill -9", 3, 2, "graded again", "p50 1 s", ("one took 9 s",))]
    text = chaos._replaced(path.read_text(), "kill", chaos.markdown(rows), path)
    assert "old" not in text
    assert text.startswith(f"before\n{begin}\n")
    assert text.endswith(f"{end}\nafter\n")
    assert "| engine: kill -9 | 2 of 3 | graded again | p50 1 s |" in text
    assert "Not as it must be: one took 9 s" in text
    assert not rows[0].passed


def test_a_document_without_the_markers_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "other.md"
    path.write_text("nothing\n")
    parser = argparse.ArgumentParser()
    chaos.add_arguments(parser)
    with pytest.raises(InputError, match="expected the lines"):
        chaos.run(parser.parse_args(["--quick", "--out", str(path)]))
