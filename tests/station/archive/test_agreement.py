"""Operator against model: the rank of the chosen one among what was on the screen, shares with intervals."""

import csv
from pathlib import Path
from xml.etree import ElementTree

import pytest

from station.archive.agreement import compare, summarise, wilson
from station.archive.agreement_command import agreement
from station.archive.story import read_story
from station.errors import InputError
from station.notice import NOTICE
from station.options import parse_options
from tests.support.graded_session import record_graded
from tests.support.recorded_session import record


def test_the_rank_of_the_chosen_one(tmp_path: Path) -> None:
    """By mean grade sperm 1 stands before 2 before 3; sperm 3 is lost from frame 24 on."""
    marks = ((10, 3, ""), (11, 1, ""), (12, 1, "again"), (30, 2, ""), (31, 3, "lost"), (2, 2, "no grade yet"))
    found = compare(read_story(record_graded(tmp_path, marks=marks)))
    told = [(one.sperm_id, one.candidates, one.rank, one.top, one.why_not) for one in found]
    assert told == [
        (2, 0, None, False, "its grade was not current: none"),
        (3, 2, 2.0, False, ""),
        (1, 1, None, False, "no other candidate had a current grade"),
    ], "what was marked before is no candidate; of a sperm that is marked again the first mark counts"
    late = compare(read_story(record_graded(tmp_path, marks=((30, 2, ""), (31, 3, "")))))
    assert [(one.candidates, one.rank, one.why_not) for one in late] == [
        (2, 2.0, ""),
        (1, None, "its grade was not current: last before loss"),
    ]


def test_whoever_chooses_in_the_models_order_agrees_every_time(tmp_path: Path) -> None:
    """Sperm 1 stands before 2 before 3: the second choice is among the two that were left."""
    found = compare(read_story(record_graded(tmp_path, marks=((10, 1, ""), (11, 2, ""), (12, 3, "")))))
    assert [(one.candidates, one.rank, one.top) for one in found] == [(3, 1.0, True), (2, 1.0, True), (1, None, False)]
    (row, everybody) = summarise(found)
    assert (row.compared, row.top, row.left_out, row.mean_place) == (2, 2, 1, 0.0)
    assert row.chance == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert everybody.who == "all"


def test_blind_choices_are_told_apart(tmp_path: Path) -> None:
    blind, seen = (
        compare(read_story(record_graded(tmp_path, marks=((10, 1, ""),), config={"blind": blind})))[0]
        for blind in (True, False)
    )
    assert (blind.blind, seen.blind) == (True, False)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_intervals_are_wilsons(successes: int, trials: int, low: float, high: float) -> None:
    """Newcombe (1998) has 81 of 263 and 0 of 10."""
    assert wilson(successes, trials) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_by_operator_as_a_table_and_a_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parent, out = tmp_path / "s", tmp_path / "o"
    for operator, sperm in (("E1", 1), ("E1", 2), ("<E2>", 1), ("<E2>", 3)):
        record_graded(parent, marks=((10, sperm, ""),), config={"operator": operator, "blind": operator == "E1"})
    record(parent)
    assert agreement(["--session", str(parent), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "4 choices in 4 sessions, 2 of them blind" in said
    assert NOTICE in said
    (line,) = [line for line in said.splitlines() if line.startswith("E1")]
    assert line.split()[1:5] == ["abababab", "2", "1", "(50%)"]
    with (out / "agreement.csv").open(newline="") as file:
        rows = {row["operator"]: row for row in csv.DictReader(file)}
    assert (rows["all"]["compared"], rows["all"]["share"], rows["all"]["chance"]) == ("4", "0.5000", "0.3333")
    assert (rows["<E2>"]["mean_place"], rows["E1"]["mean_place"]) == ("0.5000", "0.2500")
    with (out / "choices.csv").open(newline="") as file:
        assert [row["rank"] for row in csv.DictReader(file)].count("1.0") == 2
    drawing = ElementTree.parse(out / "agreement.svg").getroot()
    texts = "".join(drawing.itertext())
    assert "<E2>, abababab (n = 2)" in texts
    assert NOTICE in texts
    assert agreement(["--session", str(parent), "--blind"]) == 0
    assert "2 choices in 2 sessions" in capsys.readouterr().out
    assert summarise([]) == []


def test_models_are_kept_apart_and_demonstrations_and_replays_left_out_unless_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    record_graded(one, marks=((10, 1, ""),))
    record_graded(one, marks=((10, 3, ""),), model="cd" * 32)
    for parent in (one, two):
        record_graded(parent, marks=((10, 1, ""),), demonstration=True)
        record_graded(parent, marks=((10, 1, ""),), config={"source": {"kind": "replay:folder-1"}})
    assert agreement(["--session", str(one)]) == 0
    said = capsys.readouterr().out
    assert "2 choices in 2 sessions" in said
    assert "left out: sessions: 1 of a demonstration model, 1 replayed; --all takes them too" in said
    rows = [line.split()[:5] for line in said.splitlines() if line.startswith("all ")]
    assert rows == [["all", "abababab", "1", "1", "(100%)"], ["all", "cdcdcdcd", "1", "0", "(0%)"]]
    with pytest.raises(InputError, match=r"in 2 sessions \(sessions: 1 of a demonstration model, 1 replayed; --all"):
        agreement(["--session", str(two)])
    out = tmp_path / "out"
    assert agreement(["--session", str(one), "--all", "--out", str(out)]) == 0
    assert "4 choices in 4 sessions" in capsys.readouterr().out
    with (out / "choices.csv").open(newline="") as file:
        told = sorted((row["model"], row["demonstration"], row["replay"]) for row in csv.DictReader(file))
    assert told == [("abababab", "0", "0"), ("abababab", "0", "1"), ("abababab", "1", "0"), ("cdcdcdcd", "0", "0")]


def test_where_nothing_was_chosen_it_says_so(tmp_path: Path) -> None:
    folder = record(tmp_path)
    with pytest.raises(InputError, match="nothing to compare"):
        agreement([str(folder)])


def test_the_operators_pseudonym_is_recorded() -> None:
    assert parse_options(["--operator", "E1"]).config.operator == "E1"
    with pytest.raises(InputError, match="operator"):
        parse_options(["--operator", "Jane Doe, MD"])
