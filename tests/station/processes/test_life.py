"""A process over its lives: each counts once, whatever ended it."""

from pathlib import Path

import pytest
import zmq

from station.processes import life
from station.processes.control import ProcessControl
from station.processes.ledger import Ledger
from station.processes.life import Lives
from station.processes.process import ledger_path
from station.transport.control_messages import ProcessName, ProcessState, ProcessStatus, RecordingInfo
from station.transport.counters import Counters, RecorderCounters, TrackerCounters, counters_of
from station.transport.endpoints import private_endpoints

TRACKER = ProcessName.TRACKER


def status(counters: Counters) -> ProcessStatus:
    return ProcessStatus(
        seq=1, process=TRACKER, state=ProcessState.RUNNING, pid=1, t_ns=1, progress=5, counters=counters
    )


def leave(folder: Path, tracked: int) -> None:
    with Ledger(ledger_path(folder, TRACKER)) as ledger:
        ledger.begin()
        ledger.write_counters(TrackerCounters(tracked=tracked).in_order)


def tracked(lives: Lives, last: ProcessStatus) -> tuple[int, ProcessStatus]:
    now = lives.whole(lives.end(TRACKER, last))
    return counters_of(TrackerCounters, now).tracked, now


def test_a_life_that_ended_before_it_began_to_count_adds_nothing(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    leave(tmp_path, 1000)
    count, now = tracked(lives, status(TrackerCounters(tracked=990)))
    assert count == 1000
    for _ in range(2):  # killed while it loads, or not even started
        count, now = tracked(lives, now)
        assert count == 1000
    leave(tmp_path, 20)
    assert tracked(lives, now)[0] == 1020


def test_where_the_ledger_cannot_be_opened_what_was_said_last_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = Lives(tmp_path)
    leave(tmp_path, 1000)
    _, now = tracked(lives, status(TrackerCounters()))
    with monkeypatch.context() as patch:

        def none_left(_path: Path) -> Ledger:
            raise OSError(24, "Too many open files")

        patch.setattr(life, "Ledger", none_left)
        last = lives.whole(status(TrackerCounters(tracked=30)))
        assert counters_of(TrackerCounters, last).tracked == 1030
        count, now = tracked(lives, last)
        assert count == 1030
    leave(tmp_path, 5)
    assert tracked(lives, now)[0] == 1035


def test_messages_that_were_turned_down_are_counted_beyond_a_life(context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    with private_endpoints() as endpoints:
        path = ledger_path(endpoints.folder, TRACKER)
        with ProcessControl(context, endpoints.control, TRACKER, Ledger(path)) as control:
            control.ledger.begin()
            control.account.counters = TrackerCounters(tracked=7)
            control._bad_messages = 500
            control.beat()
        lives = Lives(endpoints.folder)
        now = lives.whole(lives.end(TRACKER, status(TrackerCounters())))
        assert (now.counters.bad_messages, counters_of(TrackerCounters, now).tracked) == (500, 7)


def test_a_recorder_that_has_not_found_its_recording_again_has_that_of_its_life_before(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    recording = RecordingInfo(folder="s", mode="all", codec="raw", frames=70)
    counters = RecorderCounters(recorded=70)
    running = status(counters).model_copy(update={"process": ProcessName.RECORDER, "recording": recording})
    assert lives.whole(running) == running
    for state in (ProcessState.STARTING, ProcessState.READY, ProcessState.FAILED):
        new = running.model_copy(update={"state": state, "pid": 2, "recording": None, "counters": RecorderCounters()})
        found = lives.whole(new)
        assert (found.state, found.pid, found.recording, found.counters) == (state, 2, recording, counters)
    found_again = running.model_copy(update={"recording": recording.model_copy(update={"frames": 90})})
    assert lives.whole(found_again) == found_again
