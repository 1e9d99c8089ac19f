"""Real processes under the real supervisor: start order, every way to fail, and that all of them end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import zmq

from station.build_info import ROOT
from station.config import Config
from station.errors import InputError, ProcessError
from station.processes.supervisor import Supervisor
from station.transport.control_messages import PIPELINE, ProcessName, ProcessState
from station.transport.endpoints import private_endpoints
from station.transport.messages import TrackInfo, TrackState

CHILDREN = "tests.station.processes.children"
OFFLINE = Config(speed="max")
"""Nothing may be missing: what is gone is not started again."""
PATIENT = dict.fromkeys(PIPELINE, f"{CHILDREN}.patient")
Context = zmq.Context[zmq.Socket[bytes]]


def monitor_run(supervisor: Supervisor, done: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        supervisor.poll(0.02)
        assert time.monotonic() < deadline, f"waited in vain, {supervisor.statuses}"


def test_processes_start_downstream_first_with_the_stride_and_end_in_time(context: Context) -> None:
    order: list[ProcessName] = []
    with private_endpoints() as endpoints, Supervisor(context, Config(), endpoints, PATIENT) as supervisor:

        def all_run() -> bool:
            for name, status in supervisor.statuses.items():
                if status.state is ProcessState.RUNNING and name not in order:
                    order.append(name)
            return len(order) == 3

        monitor_run(supervisor, all_run)
        pids = [status.pid for status in supervisor.statuses.values()]
        start = time.monotonic()
        supervisor.stop()
        assert time.monotonic() - start < 2.0
        assert {status.state for status in supervisor.statuses.values()} == {ProcessState.ENDED}
        assert "stride 2" in supervisor.statuses[ProcessName.TRACKER].notices, "30 frames/s for a model of 15"
    assert order == [ProcessName.ENGINE, ProcessName.TRACKER, ProcessName.CAPTURE]
    assert not any(psutil.pid_exists(pid) for pid in pids)


def track(sperm_id: int, state: TrackState) -> TrackInfo:
    return TrackInfo(sperm_id=sperm_id, x=0.0, y=0.0, state=state, score=0.0, filled=0)


def test_lost_sperm_are_replaced_and_no_others(context: Context) -> None:
    tracks = [track(1, TrackState.LOCKED), track(2, TrackState.LOST), track(3, TrackState.UNCERTAIN)]
    with private_endpoints() as endpoints, Supervisor(context, Config(), endpoints, PATIENT) as supervisor:
        monitor_run(supervisor, lambda: {s.state for s in supervisor.statuses.values()} == {ProcessState.RUNNING})
        supervisor.replace_lost(tracks, wanted=4)
        monitor_run(supervisor, lambda: "select_auto 2" in supervisor.statuses[ProcessName.TRACKER].notices)
        heard = supervisor.statuses[ProcessName.TRACKER].notices
        assert heard[2:] == ["release 2", "select_auto 2"]


FAULTS = {
    "defect": ("failing", ProcessError, "tracker process failed: KeyError.*(?s:.*)Traceback"),
    "user's mistake": ("refusing", InputError, "^clip.mp4: expected a video"),
    "killed": ("dying", ProcessError, r"tracker process died \(signal 9\)(?s:.*)the last thing it printed"),
    "hangs": ("hanging", ProcessError, "tracker process hangs: no progress for 0"),
    "told to end from outside": ("leaving", ProcessError, r"tracker process died \(it was told to end from outside\)"),
    "user's mistake, found late": ("refusing_late", InputError, "^clip.mp4: expected a video"),
    "no such module": ("absent", ProcessError, "tracker process failed: ModuleNotFoundError"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_and_everything_ends(context: Context, name: str) -> None:
    module, error, message = FAULTS[name]
    modules = PATIENT | {ProcessName.TRACKER: f"{CHILDREN}.{module}"}
    with (
        private_endpoints() as endpoints,
        pytest.raises(error, match=message),
        Supervisor(context, OFFLINE, endpoints, modules) as supervisor,
    ):
        monitor_run(supervisor, lambda: False)


RECORDER_FAULTS = {
    "defect": ("failing", "failed: KeyError"),
    "killed": ("dying", r"died (signal 9)"),
    "hangs": ("hanging", "hangs: no progress for 0"),
    "told to end from outside": ("leaving", "died (it was told to end from outside)"),
    "no such module": ("absent", "failed: ModuleNotFoundError"),
}


@pytest.mark.parametrize("name", RECORDER_FAULTS)
def test_without_the_recorder_the_others_start_and_go_on(context: Context, name: str) -> None:
    module, message = RECORDER_FAULTS[name]
    modules = PATIENT | {ProcessName.RECORDER: f"{CHILDREN}.{module}"}
    with (
        private_endpoints() as endpoints,
        Supervisor(context, OFFLINE, endpoints, modules, optional=[ProcessName.RECORDER]) as supervisor,
    ):

        def all_run() -> bool:
            states = [status.state for name, status in supervisor.statuses.items() if name in PIPELINE]
            return ProcessName.RECORDER in supervisor.faults and states == [ProcessState.RUNNING] * 3

        monitor_run(supervisor, all_run)
        assert message in supervisor.faults[ProcessName.RECORDER]
        supervisor.note_action("key k")  # to nobody
        before = {name: supervisor.statuses[name].progress for name in PIPELINE}
        monitor_run(supervisor, lambda: all(supervisor.statuses[name].progress > before[name] for name in PIPELINE))


def test_capture_starts_when_the_recorder_runs_and_knows_of_two_readers(context: Context) -> None:
    order: list[ProcessName] = []
    modules = PATIENT | {ProcessName.RECORDER: f"{CHILDREN}.patient"}
    with (
        private_endpoints() as endpoints,
        Supervisor(context, Config(), endpoints, modules, optional=[ProcessName.RECORDER]) as supervisor,
    ):

        def all_run() -> bool:
            for name, status in supervisor.statuses.items():
                if status.state is ProcessState.RUNNING and name not in order:
                    order.append(name)
            return len(order) == 4

        monitor_run(supervisor, all_run)
        assert order[-1] is ProcessName.CAPTURE
        assert "readers 2" in supervisor.statuses[ProcessName.CAPTURE].notices


def test_a_recorder_that_cannot_use_what_the_user_gave_ends_the_start(context: Context) -> None:
    modules = PATIENT | {ProcessName.RECORDER: f"{CHILDREN}.refusing"}
    with (
        private_endpoints() as endpoints,
        pytest.raises(InputError, match="expected a video"),
        Supervisor(context, Config(), endpoints, modules, optional=[ProcessName.RECORDER]) as supervisor,
    ):
        monitor_run(supervisor, lambda: False)


def test_a_killed_supervisor_leaves_nothing_running(tmp_path: Path) -> None:
    program = f"""
import time, zmq
from station.config import Config
from station.transport.endpoints import private_endpoints
from station.transport.control_messages import PIPELINE, ProcessName
from station.processes.supervisor import Supervisor
if __name__ == "__main__":
    with private_endpoints() as endpoints, zmq.Context() as context:
        modules = {{name: "{CHILDREN}.patient" for name in PIPELINE}}
        with Supervisor(context, Config(), endpoints, modules) as supervisor:
            while len([s for s in supervisor.statuses.values() if s.state == "running"]) < 3:
                supervisor.poll(0.02)
            print(endpoints.folder, *(s.pid for s in supervisor.statuses.values()), flush=True)
            time.sleep(60)
"""
    script = tmp_path / "station_under_test.py"
    script.write_text(program)
    with subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        folder, *pids = process.stdout.readline().split()
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5.0
    while any(psutil.pid_exists(int(pid)) for pid in pids) or Path(folder).exists():
        assert time.monotonic() < deadline, "processes or their folder outlived the supervisor"
        time.sleep(0.05)
