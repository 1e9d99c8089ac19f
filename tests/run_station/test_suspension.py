"""The whole program stopped and continued: it goes on, ends with its report, and its record is complete."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from station.session.verify import verify_session
from tests.support.station_program import ROOT, Station, station_process, station_processes, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no SIGSTOP there")]
STOPPED_S = 4.5
"""Longer than any process but the recorder may take without progress."""
PROMPT = b"ready$ "


def whole(process: "subprocess.Popen[str]") -> list[int]:
    return [process.pid, *(child.pid for child in station_processes(process))]


WHO: dict[str, Callable[["subprocess.Popen[str]"], list[int]]] = {
    "everything": whole,
    "the main process": lambda process: [process.pid],
    "capture": lambda process: [station_process(process, "capture").pid],
}


@pytest.mark.parametrize("who", WHO)
def test_a_run_that_was_stopped_for_a_while_goes_on_to_its_end(station: Station, who: str) -> None:
    options = ("--headless", "--duration", "5", "--session", str(station.folder / "sessions"))
    with subprocess.Popen(
        station.command(*station.small, *options), cwd=ROOT, env=station.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while not process.stdout.readline().startswith("record"):
            pass
        time.sleep(0.5)
        pids = WHO[who](process)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(STOPPED_S)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        output, errors = process.communicate(timeout=60.0)
    assert (process.returncode, errors) == (0, "")
    assert "ended   at the end of the source" in output, output
    assert "started again" not in output, "it was only stopped"
    assert "too slow" not in output, "nothing is to be caught up with"
    if who != "the main process":
        assert "is suspended" in output or who == "everything"
        frames = re.search(r"frames +(\d+) captured(?:, (\d+) left out at the source)?", output)
        assert frames is not None
        assert int(frames[1]) + int(frames[2] or 0) == 75, "five seconds of the source's time"
    (session,) = (station.folder / "sessions").iterdir()
    assert f"complete: {verify_session(session).frames} frames" in output.lower(), "closed in good order"
    assert session.name in output
    assert station.left() == []


def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(station: Station) -> None:
    command = " ".join(station.command(*station.small, "--select", "auto:1"))
    shell = ["bash", "--norc", "--noprofile", "-i"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execvpe(shell[0], shell, station.environment | {"PS1": PROMPT.decode(), "COLUMNS": "120", "LINES": "40"})
    seen = bytearray()

    def read() -> bytes:
        with contextlib.suppress(OSError):
            seen.extend(os.read(terminal, 1 << 16))
        return bytes(seen)

    def type_and_wait(text: bytes, *expected: bytes) -> None:
        seen.clear()
        os.write(terminal, text)
        for part in expected:
            wait_for(lambda part=part: part in read())

    os.set_blocking(terminal, False)
    wait_for(lambda: PROMPT in read())
    type_and_wait(command.encode() + b"\n", b"\x1b[?1049h", b"locked")
    type_and_wait(b"\x1a", b"\x1b[?1049l", b"Stopped", PROMPT)
    time.sleep(STOPPED_S)
    type_and_wait(b"echo $((6*7))\n", b"42")  # the shell's own line editing works
    type_and_wait(b"fg\n", b"\x1b[?1049h", b"locked")
    type_and_wait(b"qq", b"\x1b[?1049l", b"ended   by key q", b"record  complete", PROMPT)
    type_and_wait(b"echo code $?\n", b"code 0")
    os.write(terminal, b"exit\n")
    wait_for(lambda: (read(), os.waitpid(pid, os.WNOHANG)[0])[1])
    os.close(terminal)
    assert station.left() == []
