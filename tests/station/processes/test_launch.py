"""Processes that are forked before the main one has sockets: they run, come back, and never outlive it."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from station.build_info import ROOT
from tests.support.station_program import wait_for

BEGIN = """
import os, signal, sys, time
from station.startup import keep_to_one_thread
keep_to_one_thread()
from station.config import Config
from station.processes.launch import launched
from station.transport.control_messages import PIPELINE, ProcessName, ProcessState

modules = dict.fromkeys(PIPELINE, "tests.station.processes.children.patient")
with launched(Config(), modules) as first:
    pids = [process.pid for process in first.processes.values()]
    print(first.endpoints.folder, *pids, flush=True)
    loaded = {"cv2", "onnxruntime", "av", "rich", "pyarrow"} & set(sys.modules)
    assert not loaded, f"every process would have these in memory: {loaded}"
"""
LEAVE = """
    raise RuntimeError("before anybody took them over")
"""
LATE = """
    time.sleep(1.5)
    import zmq
    from station.errors import InputError
    from station.processes.supervisor import Supervisor

    with zmq.Context() as context:
        with Supervisor(context, Config(), first.endpoints, modules, begun=first.processes) as supervisor:
            try:
                for _ in range(1000):
                    supervisor.poll(0.02)
            except InputError as error:
                print(error)
"""
RUN = """
    import zmq
    from station.processes.supervisor import Supervisor

    def wait_until(done):
        deadline = time.monotonic() + 60
        while not done():
            supervisor.poll(0.02)
            assert time.monotonic() < deadline, supervisor.statuses

    def run(name):
        status = supervisor.statuses.get(name)
        return status is not None and status.state is ProcessState.RUNNING

    with zmq.Context() as context:
        with Supervisor(context, Config(), first.endpoints, modules, begun=first.processes) as supervisor:
            wait_until(lambda: all(map(run, PIPELINE)))
            assert [supervisor.statuses[name].pid for name in PIPELINE] == pids
            os.kill(pids[1], signal.SIGKILL)
            wait_until(lambda: run(PIPELINE[1]) and supervisor.statuses[PIPELINE[1]].pid != pids[1])
            print(supervisor.statuses[PIPELINE[1]].pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are spawned")
@pytest.mark.parametrize("then", ["leave", "run"])
def test_forked_processes_run_come_back_and_end_with_the_main_one(then: str) -> None:
    script = BEGIN + (LEAVE if then == "leave" else RUN)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    folder, *pids = done.stdout.split()
    assert len(pids) == 3 + (then == "run"), done.stderr
    assert done.returncode == (1 if then == "leave" else -9), done.stderr
    wait_for(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids))
    wait_for(lambda: not Path(folder).exists())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are spawned")
def test_what_a_process_refuses_is_heard_though_the_main_one_is_not_there_yet() -> None:
    """On a busy machine it has its socket only when the process has long ended."""
    script = BEGIN.replace("children.patient", "children.refusing") + LATE
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "clip.mp4: expected a video" in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere files have no such limit")
def test_no_room_for_the_ledgers_is_said_before_anything_begins() -> None:
    """A process that found out by itself would end with a traceback, or at a write into memory."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    command = [sys.executable, "-c", limit + "import runpy; runpy.run_path('run_station.py', run_name='__main__')"]
    options = ["--headless", "--no-record", "--duration", "1"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "a run needs 5 files of 512 kB there (File too large); free some space" in line


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they are spawned")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_process_with_threads_of_any_kind_is_not_copied(threads: str) -> None:
    script = "import numpy; from station.processes.launch import may_fork; print(may_fork())"
    environment = os.environ | {"OPENBLAS_NUM_THREADS": threads}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
    expected = threads == "1" or (os.cpu_count() or 1) == 1
    assert done.stdout.strip() == str(expected), done.stderr


NOT_NEEDED = {
    "station.run": "rich cv2 station.session.records",
    "capture.process": "station.session.playback capture.camera.basler capture.simulator.microscope",
    "tracker.process": "station.session.playback",
    "engine.process": "station.session.playback engine.torch_session engine.tensorrt.session",
}
"""What only other runs need, a replay or one with a screen, and the first frame would wait for."""


@pytest.mark.parametrize("module", NOT_NEEDED)
def test_a_process_loads_nothing_that_its_run_does_not_need(module: str) -> None:
    script = f"import sys, {module}; print(*sorted(set({NOT_NEEDED[module].split()!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.stderr) == ("", "")
