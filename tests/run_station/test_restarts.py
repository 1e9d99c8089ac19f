"""The whole program while its processes are killed: they come back, nothing old is new, and the record is whole."""

import json
import os
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.support.chaos.record import across_gaps, intact, replayed
from bench.support.chaos.station import ChaosStation
from station.clock import now_ns
from station.session.records import ActionRecord, FrameRecord, GradesRecord, LossRecord
from station.session.session_reader import Session, SessionOutcome
from station.session.verify import verify_session
from station.transport.control_messages import ProcessName
from tests.support.station_program import SMALL

pytestmark = pytest.mark.slow
PATIENCE_S = 90.0
"""Tests also run on machines that do much else."""


def strike(station: ChaosStation, name: ProcessName, signum: int = signal.SIGKILL) -> None:
    """End a process, and wait until it is there again and a frame of afterwards has been graded."""
    before = station.pids()[name]
    os.kill(before, signum)
    struck_ns = now_ns()
    again: Callable[[], bool] = lambda: station.pids().get(name, before) != before  # noqa: E731
    station.wait_for(again, PATIENCE_S, f"{name} again")
    assert station.listener is not None
    listener = station.listener
    station.wait_for(lambda: listener.grades(struck_ns), PATIENCE_S, f"a grade after {name} was struck")


def restart_events(session: Path) -> list[str]:
    actions = [event.record.action for event in Session(session).events() if isinstance(event.record, ActionRecord)]
    return [action.details for action in actions if action.name == "restart"]


def test_killed_processes_come_back_and_a_replay_gives_the_same(tmp_path: Path) -> None:
    victims = [ProcessName.CAPTURE, ProcessName.TRACKER, ProcessName.ENGINE, ProcessName.VIEW]
    with ChaosStation(tmp_path / "run", "--select", "auto:2", "--view", config=SMALL) as station:
        listener = station.listener
        assert listener is not None
        station.wait_for(lambda: "\nview " in station.output, PATIENCE_S, "the view's link")
        station.wait_for(lambda: "\nrecord " in station.output, PATIENCE_S, "the recorder")
        station.wait_for(lambda: listener.grades(0), PATIENCE_S, "a grade")
        (link,) = [line.split()[1] for line in station.output.splitlines() if line.startswith("view ")]
        for name in victims:
            strike(station, name)

        def answers() -> bool:
            try:
                with urllib.request.urlopen(link, timeout=5.0) as page:
                    return int(page.status) == 200
            except OSError:
                return False

        station.wait_for(answers, PATIENCE_S, "the view at the same link")
        summary = station.end()
        assert station.left() == []
    assert summary["restarts"] == {name.value: 1 for name in victims}
    said = "the engine process died (signal 9); it was started again (1 so far)"
    assert said in summary["cautions"]
    (session,) = station.sessions.iterdir()
    assert [details.split()[1] for details in restart_events(session)] == [name.value for name in victims]
    assert intact(session) + across_gaps(session) == []
    frames = [event.record.header for event in Session(session).events() if isinstance(event.record, FrameRecord)]
    assert [frame.seq for frame in frames] == sorted({frame.seq for frame in frames}), "no number twice"
    assert [frame.t_source_ns for frame in frames] == sorted({frame.t_source_ns for frame in frames}), "no frame either"
    again = replayed(session, tmp_path)
    replay = again["replay"]
    exact = (replay["tracks_differ"], replay["grades_differ"], replay["windows_missing"]) == (0, 0, 0)
    if exact:
        headers = [event.record.header for event in Session(session).events() if isinstance(event.record, GradesRecord)]
        recorded = sum(len(header.grades) for header in headers)
        assert replay["grades_as_recorded"] == recorded > 0
        assert recorded <= summary["grades"] <= recorded + 8, "but for a batch on its way when the engine was killed"
    else:  # a frame was on its way when capture was killed: the tracker had it, the recorder had not
        assert any(caution.startswith("the record lacks ") for caution in again["cautions"])


def test_a_recorder_that_comes_back_goes_on_in_the_same_session_and_says_what_is_missing(tmp_path: Path) -> None:
    with ChaosStation(tmp_path / "run", "--select", "auto:2", config=SMALL) as station:
        station.wait_for(lambda: "\nrecord " in station.output, PATIENCE_S, "the recorder")
        for signum in (signal.SIGKILL, signal.SIGTERM):
            strike(station, ProcessName.RECORDER, signum)
            again_ns = now_ns()
            station.wait_for(lambda: newest_ns(station) > again_ns, PATIENCE_S, "new frames in the record")  # noqa: B023
        assert "RECORDING INTERRUPTED: the recorder process died (signal 9)" in " ".join(station.output.split())
        summary = station.end()
    (session,) = station.sessions.iterdir()
    assert summary["restarts"] == {"recorder": 2}
    recording, found = summary["recording"], verify_session(session)
    assert (found.breaks, found.outcome) == ([], SessionOutcome.COMPLETE)
    assert (recording["complete"], recording["frames"]) == (True, found.frames)
    records = [event.record for event in Session(session).events()]
    losses = [r for r in records if isinstance(r, LossRecord) and r.link == "frames"]
    assert sum(loss.count for loss in losses) == recording["lost"] > 0
    assert {loss.reason for loss in losses} == {"there was no recorder: it was started again"}
    assert recording["frames"] + recording["lost"] == summary["frames"]["captured"]
    assert restart_events(session) == [
        "the recorder process died (signal 9)",
        "the recorder process died (it was told to end from outside)",
    ]
    assert all(frame.pixels is not None for frame in Session(session).frames())
    table = pq.read_table(session / "tables" / "frames.parquet")
    assert table.num_rows == found.frames, "the tables have what was recorded before as well"
    assert replayed(session, tmp_path), "it can be replayed"


def newest_ns(station: ChaosStation) -> int:
    """When the newest frame in the record was exposed."""
    (log,) = station.sessions.glob("*/log.jsonl")
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        lines = [line for line in file.read().split(b"\n")[1:-1] if b'"kind":"frame"' in line]
    return int(json.loads(lines[-1])["data"]["header"]["t_exposure_ns"]) if lines else 0
