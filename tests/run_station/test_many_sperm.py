"""Ten thousand sperm within a minute, through every process but the tracker: no process grows with their number."""

import json
import signal
import subprocess
import sys

import psutil
import pytest

from bench.support.chaos.listener import Listener
from engine.artifact import Artifact
from station.build_info import ROOT
from station.commands.registry import RunningStation
from station.session.records import GradesRecord
from station.session.session_reader import Session
from tests.support import crowded_station
from tests.support.crowded_station import SPERM
from tests.support.station_program import SMALL, Station, station_process, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SETTLED = 3_000
"""By then everything that is used has been used."""
MOST_BYTES = 3_000
"""A sperm may leave so much behind in a process; a window that waited for ever was 360,000."""
PROCESSES = ("main", "capture", "tracker", "engine", "recorder", "view")
LIMIT_S = 240.0


def test_ten_thousand_sperm_one_after_the_other(station: Station, tiny_artifact: Artifact) -> None:
    toml, summary = station.folder / "crowd.toml", station.folder / "summary.json"
    toml.write_text(SMALL)
    options = ["--config", str(toml), "--model", str(tiny_artifact.folder), "--headless", "--view"]
    options += ["--session", str(station.folder / "sessions"), "--summary", str(summary)]
    with subprocess.Popen(
        [sys.executable, "-m", crowded_station.__name__, *options],
        cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            entry = station.folder / "runtime" / "rostfine" / "station.json"
            wait_for(lambda: entry.is_file() and entry.stat().st_size)
            listener = Listener(RunningStation.model_validate_json(entry.read_text()))
            try:

                def graded(number: int) -> bool:
                    assert process.poll() is None, process.communicate()
                    heard = listener.grades(0)
                    return bool(heard) and heard[-1].grade.sperm_id >= number

                wait_for(lambda: graded(SETTLED), LIMIT_S)
                watched = {name: station_process(process, name) for name in PROCESSES[1:]}
                watched["main"] = psutil.Process(process.pid)
                before = {name: watched[name].memory_full_info().uss for name in PROCESSES}
                wait_for(lambda: graded(SPERM), LIMIT_S)
                after = {name: watched[name].memory_full_info().uss for name in PROCESSES}
            finally:
                listener.close()
            process.send_signal(signal.SIGTERM)
            said, errors = process.communicate(timeout=60.0)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, ""), said
    grown = {name: (after[name] - before[name]) / (SPERM - SETTLED) for name in PROCESSES}
    assert max(grown.values()) < MOST_BYTES, grown
    told = json.loads(summary.read_text())
    assert (told["grades"], told["restarts"]) == (SPERM, {})
    (session,) = (station.folder / "sessions").iterdir()
    recorded = [
        grade.sperm_id
        for event in Session(session).events() if isinstance(event.record, GradesRecord)
        for grade in event.record.header.grades
    ]  # fmt: skip
    assert sorted(recorded) == list(range(1, SPERM + 1))
    assert station.left() == []
