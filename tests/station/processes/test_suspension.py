"""Processes that are stopped and continued: none counts as hanging for it, and one that does hang is still found."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from station import clock
from station.build_info import ROOT
from station.clock import AwakeClock
from station.config import Config
from station.errors import ProcessError
from station.processes.supervisor import Supervisor
from station.processes.suspension import is_suspended
from station.transport.control_messages import PIPELINE, ProcessName, ProcessState
from station.transport.endpoints import private_endpoints

CHILDREN = "tests.station.processes.children"
IMPATIENT = dict.fromkeys([*PIPELINE, ProcessName.RECORDER], f"{CHILDREN}.impatient")
Context = zmq.Context[zmq.Socket[bytes]]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP there")


@pytest.fixture
def supervisor(context: Context) -> Iterator[Supervisor]:
    with (
        private_endpoints() as endpoints,
        Supervisor(context, Config(speed="max"), endpoints, IMPATIENT, optional=[ProcessName.RECORDER]) as supervisor,
    ):
        watch(supervisor, lambda: [s.state for s in supervisor.statuses.values()] == [ProcessState.RUNNING] * 4)
        yield supervisor


def watch(supervisor: Supervisor, done: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        supervisor.poll(0.02)
        assert time.monotonic() < deadline, f"waited in vain, {supervisor.statuses}"


def watch_for(supervisor: Supervisor, seconds: float) -> None:
    end = time.monotonic() + seconds
    watch(supervisor, lambda: time.monotonic() > end)


def pid_of(supervisor: Supervisor, name: ProcessName) -> int:
    return supervisor.statuses[name].pid


@pytest.mark.parametrize("name", [ProcessName.TRACKER, ProcessName.RECORDER])
def test_a_process_that_is_stopped_does_not_hang_and_goes_on(supervisor: Supervisor, name: ProcessName) -> None:
    pid = pid_of(supervisor, name)
    os.kill(pid, signal.SIGSTOP)
    watch_for(supervisor, 1.5)
    assert supervisor.suspended == {name}
    progress = supervisor.statuses[name].progress
    os.kill(pid, signal.SIGCONT)
    watch(supervisor, lambda: supervisor.statuses[name].progress > progress)
    watch_for(supervisor, 0.7)
    assert supervisor.suspended == set()
    assert supervisor.faults == {}
    assert supervisor.statuses[name].notices == ["resumed 1"]
    assert 1.0 < supervisor.suspended_s < 2.0


def test_stopped_processes_end_like_the_others(supervisor: Supervisor) -> None:
    for name in (ProcessName.TRACKER, ProcessName.RECORDER):
        os.kill(pid_of(supervisor, name), signal.SIGSTOP)
    start = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - start < 4.0
    assert {status.state for status in supervisor.statuses.values()} == {ProcessState.ENDED}


def test_one_that_hangs_is_found_whoever_else_is_stopped(context: Context) -> None:
    modules = IMPATIENT | {ProcessName.TRACKER: f"{CHILDREN}.hanging"}
    with private_endpoints() as endpoints, Supervisor(context, Config(speed="max"), endpoints, modules) as supervisor:
        watch(supervisor, lambda: ProcessName.CAPTURE in supervisor.statuses)
        os.kill(pid_of(supervisor, ProcessName.CAPTURE), signal.SIGSTOP)
        with pytest.raises(ProcessError, match="tracker process hangs: no progress for 0"):
            watch(supervisor, lambda: False)


PROGRAM = f"""
import zmq
from station.config import Config
from station.errors import ProcessError
from station.processes.supervisor import Supervisor
from station.transport.endpoints import private_endpoints
from station.transport.control_messages import PIPELINE
if __name__ == "__main__":
    modules = dict.fromkeys(PIPELINE, "{CHILDREN}.impatient")
    with (
        private_endpoints() as endpoints,
        zmq.Context() as context,
        Supervisor(context, Config(speed="max"), endpoints, modules) as supervisor,
    ):
        said = False
        while supervisor.suspended_s == 0:
            supervisor.poll(0.02)
            if not said and [s.state for s in supervisor.statuses.values()] == ["running"] * 3:
                said = True
                print("running", flush=True)
        for _ in range(50):
            supervisor.poll(0.02)
        print("went on after", supervisor.suspended_s, flush=True)
"""


@pytest.mark.parametrize("whole_group", [True, False], ids=["all of them", "the supervisor alone"])
def test_silence_while_the_supervisor_itself_was_stopped_does_not_count(tmp_path: Path, whole_group: bool) -> None:
    """Ctrl-Z and fg, a closed lid, a debugger: no process made progress, or was heard, and none is at fault."""
    script = tmp_path / "station_under_test.py"
    script.write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        send = os.killpg if whole_group else os.kill
        send(process.pid, signal.SIGSTOP)
        time.sleep(2.0)
        send(process.pid, signal.SIGCONT)
        output, errors = process.communicate(timeout=20.0)
    assert output.startswith("went on after "), errors
    assert 1.8 < float(output.split()[-1]) < 3.0
    assert process.returncode == 0


def test_a_clock_that_jumps_while_awake_is_counted_as_suspension(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]
    monkeypatch.setattr(clock, "now_ns", lambda: now[0])
    awake = AwakeClock()
    for step_s in (0.02, 0.5, 7.0, 0.9, 1.1):
        now[0] += round(step_s * clock.NS_PER_S)
        awake.seconds()
    assert awake.seconds() == pytest.approx(1.42)
    assert awake.suspended_s == pytest.approx(8.1)


def test_only_what_stands_still_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:
            assert not is_suspended(process.pid)
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            assert is_suspended(process.pid)
            with monkeypatch.context() as patch:
                patch.setattr(Path, "read_bytes", lambda _self: (_ for _ in ()).throw(FileNotFoundError()))
                assert is_suspended(process.pid), "by ps, where there is no /proc"
        finally:
            process.kill()
    assert not is_suspended(process.pid)
