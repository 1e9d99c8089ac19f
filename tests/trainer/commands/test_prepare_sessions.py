"""Clips of recorded sessions: the very windows that were graded, with their times and grades."""

import csv
from pathlib import Path

import numpy as np
import pytest

from station.archive.story import read_story
from station.archive.windows import cut_windows
from tests.support import graded_session
from tests.support.graded_session import record_graded
from trainer.__main__ import main
from trainer.data.dataset import open_clips

T, SIZE = 16, 150


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(graded_session, "T", T)
    monkeypatch.setattr(graded_session, "SIZE", SIZE)
    return record_graded(tmp_path / "s", frames=60)


def test_the_windows_that_were_graded(session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert main(["prepare", "--sessions", str(session), "--windows", "2", "--out", str(data)]) == 0
    clips = open_clips(data, unlabelled=True)
    assert [row.id for row in clips.rows] == [f"clip-{session.name}-{n}" for n in ("1-1", "2-1", "3-1", "1-2", "2-2")]
    assert {row.source for row in clips.rows} == {session.name}
    assert (clips.rows[0].um_per_px, clips.rows[0].fps) == (0.5, 50.0)
    story = read_story(session)
    (window,) = [window for _, window in cut_windows(story, [(1, 20)]) if not isinstance(window, str)]
    np.testing.assert_array_equal(np.load(data / clips.rows[0].file)["clip"], window.pixels)
    with (data / "graded.csv").open(newline="") as file:
        graded = list(csv.DictReader(file))
    assert [(row["id"], row["frame"], row["t_source_s"], row["grade_A"]) for row in graded[:1]] == [
        (clips.rows[0].id, "20", "0.400000", "0.600000")
    ]
    with (data / "cuts.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 5 * T
    assert "no more windows" in capsys.readouterr().out


def test_by_default_all_windows_that_share_no_frame(session: Path, tmp_path: Path, capsys) -> None:
    data = tmp_path / "data"
    where = ["--session", str(session.parent)]
    assert main(["prepare", "--sessions", session.name, *where, "--out", str(data)]) == 0
    clips = open_clips(data, unlabelled=True)
    counted = [sum(row.id.split("-")[-2] == str(sperm) for row in clips.rows) for sperm in (1, 2, 3)]
    assert counted == [2, 2, 1], "of those that end at 20, 25, ... each that begins after the one before"
    assert "no more windows" not in capsys.readouterr().out


def test_what_cannot_be_used_is_named(session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "o")
    assert main(["prepare", "--sessions", str(session), "--stride", "2", "--out", out]) == 2
    assert main(["prepare", "--sessions", str(session), "--rate", "15", "--out", out]) == 2
    assert main(["prepare", "VIDEOS", "--tags", "t.csv", "--session", str(tmp_path), "--out", out]) == 2
    assert main(["prepare", "--sessions", str(session), "--tags", "t.csv", "--out", out]) == 2
    assert main(["prepare", "--out", out]) == 2
    kept = record_graded(tmp_path / "k", mode="keep")
    assert main(["prepare", "--sessions", str(kept), "--out", out]) == 2
    assert "frames were not recorded" in capsys.readouterr().out
    assert not Path(out).exists()
