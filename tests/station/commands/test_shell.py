"""What is typed at the shell and cannot be asked is one line, before any station is looked for."""

from pathlib import Path

import pytest

from station.command_line import exit_code_of
from station.commands.requests import StationStatus
from station.commands.shell import run, status_text
from station.notice import NOTICE

BAD = {
    "an empty note": (["note", ""], "note: text nothing: string should have at least 1 character"),
    "a note of marks that are not seen": (["note", "\n\t "], "text nothing"),
    "a point without end": (["select", f"{'9' * 400},5"], "select: x inf: input should be a finite number"),
    "a length of nearly nothing": (["calibrate", "40x", "--um", "0", "--px", "1"], "expected a length in um"),
    "a long note": (["note", "x" * 501], "a text of 501 characters"),
    "a note in another encoding": (["note", "M\udcfcller"], "no station is running"),
    "a point in other digits": (["select", "\u0663,\u0664"], "no station is running"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_asked_is_one_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (name, *words), expected = BAD[case]
    assert exit_code_of(lambda argv: run(name, argv), words) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("\n") == 1


def test_the_name_of_a_source_passes_for_no_line_of_the_status() -> None:
    status = StationStatus(notice=NOTICE, state="RUNNING", elapsed_s=1.0, source="a\nmodel   forged", fps=15.0)
    text = status_text(status)
    assert "source  a model   forged, 15 frames/s" in text
    assert [line for line in text.splitlines() if line.startswith("model")] == ["model   not loaded yet"]
