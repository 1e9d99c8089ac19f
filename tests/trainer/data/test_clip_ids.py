"""Ids that go through a spreadsheet and come back, and those that came back as something else."""

import pytest

from trainer.data.clip_ids import match_ids, safe_id, spreadsheet_damage


@pytest.mark.parametrize("name", ["s1-3", "d07_1-2", "v1/a", "clip-000000", "Müller-3", "sample", "juice-3x"])
def test_a_name_that_survives_is_the_id(name: str) -> None:
    assert safe_id(name) == name


@pytest.mark.parametrize(
    "name",
    ["000000", "12", "12-2", "2/12", "1E5", "5e-2", "-3", "=a", "+1", "@x", "mar-3", "DEC1", "sept-2", "Mai-3", "okt 4",
     "true", "NA", "nan", "None", "0x1", ".5", "1:30", "2024-05-01", " "],
)  # fmt: skip
def test_a_name_that_does_not_gets_a_word_before_it(name: str) -> None:
    assert safe_id(name) == f"clip-{name}"
    assert spreadsheet_damage(safe_id(name)) == ""


@pytest.mark.parametrize(
    "text",
    ["12-Feb", "2-Dec", "Feb-12", "02. Dez", "12. Feb", "12-févr", "1-Mrz", "02.12.2026", "12/2/2026", "2026-02-12",
     "2026-02-12 00:00:00", "2-Dec-26", "12月2日", "1.00E+05", "1,23457E+15", "1E+05", "#NAME?", "########", "#N/A"],
)  # fmt: skip
def test_what_a_spreadsheet_did_is_named_with_the_cure(text: str) -> None:
    assert "a spreadsheet" in spreadsheet_damage(text)
    assert "copy the ids from clips.csv again" in spreadsheet_damage(text)


@pytest.mark.parametrize("text", ["12-2", "s1-3", "12", "1", "0", "sample-12", "v1/a", "clip-12", "dec12", "mar-3"])
def test_an_ordinary_id_is_not_taken_for_that(text: str) -> None:
    assert spreadsheet_damage(text) == ""


def test_ids_are_matched_by_themselves_by_their_word_or_by_their_number() -> None:
    assert match_ids(["000001", "2"], ["000001", "000002"]) == {"000001": "000001", "2": "000002"}
    assert match_ids(["0", "000001", "2.0", "clip-3"], [f"clip-{n:06d}" for n in range(4)]) == {
        "0": "clip-000000", "000001": "clip-000001", "2.0": "clip-000002", "clip-3": "clip-000003"
    }  # fmt: skip
    assert match_ids(["12-2", "mar-3"], ["clip-12-2", "clip-mar-3"]) == {"12-2": "clip-12-2", "mar-3": "clip-mar-3"}
    assert match_ids(["1"], ["001", "01"]) == {}
    assert match_ids(["01"], ["001", "01"]) == {"01": "01"}
    assert match_ids(["x", "12-Feb"], ["12-2"]) == {}
