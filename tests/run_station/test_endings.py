"""Every way a run ends: all processes are gone within two seconds, and what went wrong is named."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.station_program import ROOT, Station, image_folder, station_process, station_processes, wait_for


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_everything_in_two_seconds(station: Station, signum: int) -> None:
    path = station.folder / "summary.json"
    command = station.command(*station.small, "--headless", "--summary", str(path))
    with subprocess.Popen(
        command, cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("model"):
            pass
        time.sleep(1.0)
        processes = wait_for(lambda: station_processes(process))
        assert len(processes) == 4
        start = time.monotonic()
        os.killpg(process.pid, signum)  # as a terminal does: to the whole group
        assert process.wait(5.0) == 0
        assert time.monotonic() - start < 2.0
    assert not any(child.is_running() for child in processes)
    assert station.left() == []
    assert json.loads(path.read_text())["frames"]["captured"] > 0, "what was known is in the summary"


def begun(pid: int) -> bool:
    """Whether the program's first line has run: until then Ctrl-C is the interpreter's own business."""
    status = Path(f"/proc/{pid}/status").read_text()
    ignored, caught = (int(re.search(rf"{name}:\s+(\w+)", status)[1], 16) for name in ("SigIgn", "SigCgt"))  # type: ignore[index]
    return bool(ignored >> (signal.SIGPIPE - 1) & 1) and not caught >> (signal.SIGINT - 1) & 1


@pytest.fixture
def not_ignored() -> Iterator[None]:
    """Ctrl-C is what a terminal makes it: tests that run in the background inherit that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("not_ignored")
@pytest.mark.parametrize("delay_s", [0.0, 0.3, 0.6, 1.0])
def test_ctrl_c_in_the_first_second_is_silent(station: Station, delay_s: float) -> None:
    with subprocess.Popen(
        station.command(*station.small, "--headless"), cwd=ROOT, env=station.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        for _ in range(3):  # the interpreter sets both up itself, one after the other: that moment looks the same
            wait_for(lambda: begun(process.pid))
            time.sleep(0.05)
        time.sleep(delay_s)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=10.0)
    assert errors == ""
    assert process.returncode in (0, 130, -signal.SIGINT)
    assert station.left() == []


def test_q_ends_the_dashboard(station: Station) -> None:
    """On a real terminal: the screen appears with its research-use line, a sperm is tracked, q ends the run."""
    command = station.command(*station.small, "--select", "auto:1")
    environment = station.environment | {"COLUMNS": "120", "LINES": "40"}
    pid, terminal = pty.fork()  # unlike a bare openpty, the child's terminal also controls it, as a user's does
    if pid == 0:
        os.chdir(ROOT)
        os.execve(command[0], command, environment)
    seen = bytearray()

    def read() -> bytes:
        with contextlib.suppress(OSError):  # nothing there at the moment, or the other end is gone
            seen.extend(os.read(terminal, 1 << 16))
        return bytes(seen)

    def exit_status() -> tuple[int, int] | None:
        read()  # a full terminal would hold the program up
        done, status = os.waitpid(pid, os.WNOHANG)
        return (done, status) if done else None

    os.set_blocking(terminal, False)
    wait_for(lambda: b"For research use only" in read())
    wait_for(
        lambda: b"locked" in read() and re.search(rb"[1-9]\d* frames, 0 lost", seen)
    )  # it is being recorded: q asks
    os.write(terminal, b"q")
    wait_for(lambda: b"Quit and end the recording?" in read())
    start = time.monotonic()
    os.write(terminal, b"q")
    _, status = wait_for(exit_status, 5.0)
    assert time.monotonic() - start < 2.0
    assert os.waitstatus_to_exitcode(status) == 0
    os.close(terminal)
    assert station.left() == []
    assert b"\x1b[?1049l" in seen, "the terminal was given back"


def test_a_terminal_that_is_closed_ends_everything(station: Station) -> None:
    command = station.command(*station.small)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(command[0], command, station.environment)
    seen = bytearray()
    while b"locked" not in seen:
        seen.extend(os.read(terminal, 1 << 16))
    os.close(terminal)
    start = time.monotonic()
    _, status = os.waitpid(pid, 0)
    assert time.monotonic() - start < 2.5
    assert os.waitstatus_to_exitcode(status) == 0
    assert station.left() == []


def test_offline_a_stage_that_is_killed_is_named_and_the_run_ends(station: Station) -> None:
    """Nothing may be missing there, so nothing is started again."""
    path = station.folder / "summary.json"
    command = station.command(*station.small, "--speed", "max", "--headless", "--summary", str(path))
    with subprocess.Popen(
        command, cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while not process.stdout.readline().startswith("model"):
            pass
        processes = wait_for(lambda: station_processes(process))
        time.sleep(1.0)  # frames flow by then
        station_process(process, "engine").kill()
        _, errors = process.communicate(timeout=10.0)
    assert process.returncode == 1
    assert "the engine process died (signal 9)" in errors
    assert not any(child.is_running() for child in processes)
    assert station.left() == []
    assert path.exists(), "what was known is in the summary"


def test_offline_a_stage_that_is_told_to_end_by_others_is_named(station: Station) -> None:
    command = station.command(*station.small, "--speed", "max", "--headless")
    with subprocess.Popen(
        command, cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("model"):
            pass
        station_process(process, "tracker").terminate()
        _, errors = process.communicate(timeout=10.0)
    assert (process.returncode, "the tracker process died" in errors) == (1, True)
    assert station.left() == []


def test_a_reader_of_the_output_that_leaves_ends_the_run_quietly(station: Station) -> None:
    command = station.command(*station.small, "--headless")
    with subprocess.Popen(
        command, cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(30.0)
    assert "Traceback" not in errors
    assert station.left() == []


def test_end_of_a_file_ends_the_run(station: Station, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "frames", *[(320, 240)] * 3)
    assert station.summary("--source", str(folder))["frames"]["captured"] == 3


def test_dashboard_without_a_terminal_says_so(station: Station) -> None:
    done = subprocess.run(
        station.command(*station.small), cwd=ROOT, env=station.environment, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--headless" in done.stderr
    assert station.left() == []
