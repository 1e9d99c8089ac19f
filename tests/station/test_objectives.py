"""Named objectives: where they come from, that a name has one scale, and that a bad file is said and never used."""

import json
from pathlib import Path

import pytest

from station.errors import InputError
from station.objectives import (
    Calibration,
    all_objectives,
    calibration_path,
    keep_calibration,
    known,
    read_calibrations,
)

MEASURED = Calibration(um_per_px=0.2, length_um=100.0, length_px=500.0, calibrated_utc="2026-01-31T14:15:00+00:00")
FILE = {"format": 1, "objectives": {"40x": MEASURED.model_dump()}}


def test_what_is_kept_is_there_again_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "config" / "objectives.json"
    assert read_calibrations(path) == {}
    keep_calibration(path, "40x", MEASURED)
    keep_calibration(path, "20x", MEASURED.model_copy(update={"um_per_px": 0.4}))
    keep_calibration(path, "40x", MEASURED.model_copy(update={"um_per_px": 0.21}))
    assert {name: kept.um_per_px for name, kept in read_calibrations(path).items()} == {"40x": 0.21, "20x": 0.4}
    assert path.stat().st_mode & 0o077 == 0
    assert [other.name for other in path.parent.iterdir()] == ["objectives.json"]


def test_a_name_has_one_scale(tmp_path: Path) -> None:
    path = tmp_path / "objectives.json"
    keep_calibration(path, "40x", MEASURED)
    assert all_objectives({"20x": 0.4, "40x": 0.2}, path) == {"20x": 0.4, "40x": 0.2}
    with pytest.raises(InputError, match=r"40x: 0.25 um/px in the configuration, 0.2 by calibration .*remove one"):
        all_objectives({"40x": 0.25}, path)
    assert known("40x", {"40x": 0.2}) == 0.2
    with pytest.raises(InputError, match=r"objective 10x: not known; there are 40x"):
        known("10x", {"40x": 0.2})
    with pytest.raises(InputError, match="none is defined"):
        known("10x", {})


BAD = {
    "no JSON": "{",
    "a list": "[]",
    "another format": json.dumps(FILE | {"format": 2}),
    "a scale of nothing": json.dumps({"format": 1, "objectives": {"40x": MEASURED.model_dump() | {"um_per_px": 0}}}),
    "no number": json.dumps({"format": 1, "objectives": {"40x": MEASURED.model_dump() | {"um_per_px": "0.2"}}}),
    "an order to the terminal": json.dumps({"format": 1, "objectives": {"\x1b[2J": MEASURED.model_dump()}}),
    "a key too many": json.dumps(FILE | {"colour": "red"}),
    "a number without end": f'{{"format": {"9" * 5000}}}',
    "too large": json.dumps(FILE) + " " * (1 << 17),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_line_that_says_which_and_is_left_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / "objectives.json"
    path.write_text(BAD[name])
    for read in (lambda: all_objectives({}, path), lambda: keep_calibration(path, "40x", MEASURED)):
        with pytest.raises(InputError) as caught:
            read()
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "repair" in str(caught.value)
        assert len(str(caught.value)) < 500 + len(str(path))
    assert path.read_text() == BAD[name]


def test_it_lies_in_the_users_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert calibration_path() == tmp_path / "rostfine-station" / "objectives.json"
