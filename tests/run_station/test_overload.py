"""A source that no machine can carry is graded all the same, and its record replays bit for bit."""

import itertools
import json
import signal
import subprocess
from pathlib import Path

import pytest

from bench.support.chaos.record import across_gaps
from station.session.records import FrameRecord, GradesRecord, OpenedRecord
from station.session.session_reader import Session
from station.transport.messages import Validity
from tests.support.station_program import ROOT, Station, wait_for

FPS = 480
TOO_FAST = f"[simulated]\nfps = {FPS}\nsperm = 20\n"


@pytest.mark.slow
def test_a_source_that_is_much_too_fast_is_thinned_graded_and_replayed(station: Station, tmp_path: Path) -> None:
    (tmp_path / "fast.toml").write_text(TOO_FAST)
    options = ["--config", str(tmp_path / "fast.toml"), "--select", "auto:3", "--session", str(tmp_path / "sessions")]
    with subprocess.Popen(
        station.command(*options, "--headless", "--summary", str(tmp_path / "summary.json")),
        cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        log = wait_for(lambda: next((tmp_path / "sessions").glob("*/log.jsonl"), None), 60.0)
        wait_for(lambda: log.read_bytes().count(b'"kind":"grades"') >= 5 or process.poll() is not None, 90.0)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60.0)
    assert process.returncode == 0
    assert "load shed, step 4" in output
    summary, folder = json.loads((tmp_path / "summary.json").read_text()), log.parent
    records = [event.record for event in Session(folder).events()]
    (stride,) = {record.stride for record in records if isinstance(record, OpenedRecord)}
    frames = [record.header for record in records if isinstance(record, FrameRecord)]
    grades = [grade for record in records if isinstance(record, GradesRecord) for grade in record.header.grades]
    assert summary["grades"] == len(grades) >= 5
    assert max(frame.every for frame in frames) > 1
    for grade in grades:
        assert grade.evidence is not None
        assert grade.evidence.span_ms == pytest.approx(15 * 1000 * stride / FPS, abs=0.01)
        assert grade.validity is not Validity.GAP
    assert across_gaps(folder) == []
    for before, frame in itertools.pairwise(frames):
        if frame.seq != before.seq + 1:
            continue  # the recorder lost some, and says so
        passed = round((frame.t_source_ns - before.t_source_ns) * FPS / 1e9)
        assert passed == frame.every + frame.lost_before, "what is left out is said"
    left_out = sum(frame.every - 1 + frame.lost_before for frame in frames)
    assert summary["frames"]["captured"] == len(frames) + summary["recording"]["lost"]
    assert left_out <= summary["frames"]["left_out"] <= summary["frames"]["dropped"]
    replayed = station.summary("--source", f"replay:{folder}", "--speed", "max")
    if summary["recording"]["lost"]:
        assert any(caution.startswith("the record lacks ") for caution in replayed["cautions"])
        return  # what the tracker had and the record has not can't be done again
    again = replayed["replay"]
    assert (again["tracks_differ"], again["grades_differ"], again["windows_missing"]) == (0, 0, 0)
    assert again["grades_as_recorded"] == len(grades)
