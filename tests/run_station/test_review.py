"""A recorded session is looked at again: paused, stepped on and back, taken forward; what is said stays beside it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from station.session.annotations import read_annotations
from tests.support.station_program import ROOT, Station, wait_for

pytestmark = pytest.mark.slow


def shell(station: Station, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "run_station.py", *words], cwd=ROOT, env=station.environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def done(station: Station, *words: str) -> str:
    answer = shell(station, *words)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_a_review(station: Station) -> None:
    sessions = station.folder / "sessions"
    recorded = station.summary(
        *station.small, "--speed", "max", "--duration", "6", "--select", "auto:2", "--session", str(sessions)
    )
    (session,) = sessions.iterdir()
    before = {path: path.read_bytes() for path in session.rglob("*") if path.is_file()}
    summary, settings = station.folder / "review.json", station.folder / "review.toml"
    settings.write_text("[replay]\nfrom_s = 2.5\npause_s = 2.7\n")
    options = ["--config", str(settings), "--source", f"replay:{session}", "--headless", "--summary", str(summary)]
    with subprocess.Popen(
        [*station.command(*options)], cwd=ROOT, env=station.environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_for(lambda: position(shell(station, "play", "slower")) >= 2.6 or process.poll() is not None, 90)
        sperm = status(station)["sperm"][0]["sperm_id"]
        assert "beside the recording" in done(station, "mark", str(sperm), "--note", "seen again")
        done(station, "note", "a reviewer's remark")
        assert shell(station, "keep").returncode == 1, "a replay that is not recorded keeps nothing"
        assert "the replay begins again" in done(station, "play", "back")
        wait_for(lambda: position(shell(station, "play", "slower")) >= 0 or process.poll() is not None, 90)
        done(station, "note", "a frame before")
        assert [one["sperm_id"] for one in status(station)["sperm"] if one["marked"]] == [sperm]
        # The grades of that moment are there, as soon as a busy machine has worked them out.
        wait_for(lambda: any(one["grade"] for one in status(station)["sperm"]), 60)
        shell(station, "play", "step")
        wait_for(lambda: position(shell(station, "play", "slower")) > 2.6, 60)
        shell(station, "play", "forward")
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
    found = read_annotations(session, session.name)
    mark, note, earlier = (one.what for one in found.written)
    assert (earlier.text, earlier.at.frame_seq) == ("a frame before", note.at.frame_seq - 1)
    assert (mark.sperm_id, mark.text, note.text) == (sperm, "seen again", "a reviewer's remark")
    assert 2.6 <= mark.at.t_s <= 2.7
    assert {path: path.read_bytes() for path in session.rglob("*") if path in before} == before, (
        "the record is as it was"
    )
    again: dict[str, Any] = json.loads(summary.read_text())
    assert again["replay"]["tracks_differ"] == again["replay"]["grades_differ"] == 0
    assert again["replay"]["tracks_as_recorded"] == recorded["frames"]["tracked"], "every frame was tracked"
    assert 0 < again["replay"]["grades_as_recorded"] <= recorded["grades"]
    assert again["replay"]["windows_missing"] == 0


def status(station: Station) -> dict[str, Any]:
    return dict(json.loads(done(station, "status", "--json")))


def position(answer: "subprocess.CompletedProcess[str]") -> float:
    """Where the replay is paused, of 5.9 s; -1 while it is not, or does not answer on a busy machine."""
    found = re.match(r"paused, (.*) of 5.9 s", answer.stdout)
    return float(found[1]) if found else -1.0


def test_nothing_but_a_replay_can_be_paused_or_begun_in_the_middle(station: Station, tmp_path: Path) -> None:
    refused = station.run(*station.small, "--from", "3")
    assert (refused.returncode, "--source replay:SESSION" in refused.stderr) == (2, True)
    missing = station.run("--source", f"replay:{tmp_path / 'none'}", "--from", "-1")
    assert missing.returncode == 2
