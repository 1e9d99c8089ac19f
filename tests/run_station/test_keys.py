"""Every key on a real terminal, through the real processes: what the screen answers and what the record says of it."""

import contextlib
import os
import pty
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from station.session.records import ActionRecord
from station.session.session_reader import Session
from tests.support.station_program import ROOT, Station, wait_for

# Nobody is replaced while a key is being pressed on a busy machine.
SLOW = """replace_lost_s = 0
[objectives]
20x = 0.5
[simulated]
width = 320
height = 240
fps = 5
sperm = 8
debris = 10
"""


class Terminal:
    """The program on a terminal of its own, with what it has drawn there."""

    def __init__(self, station: Station, *options: str) -> None:
        settings = station.folder / "slow.toml"  # what keys do is to be seen, not how fast the machine is
        settings.write_text(SLOW)
        command = station.command("--config", str(settings), *options)
        environment = station.environment | {"COLUMNS": "120", "LINES": "40", "NO_COLOR": "1"}
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.execve(command[0], command, environment)
        os.set_blocking(self._terminal, False)
        self._seen = ""
        self.ended: int | None = None

    def read(self) -> str:
        with contextlib.suppress(OSError):  # nothing there at the moment, or the other end is gone
            self._seen += os.read(self._terminal, 1 << 20).decode(errors="ignore")
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._seen)

    def press(self, keys: str, expected: str, timeout_s: float = 30.0) -> re.Match[str]:
        """Press keys and return where the screen, drawn from then on, shows what is expected."""
        self.read()
        self._seen = ""
        os.write(self._terminal, keys.encode())
        return self.wait(lambda text: re.search(expected, text), timeout_s)

    def insist(self, keys: str, expected: str) -> None:
        """Press keys until they are obeyed: on a busy machine the recorder may not answer for a while."""
        for _ in range(10):
            with contextlib.suppress(AssertionError):
                self.press(keys, expected, timeout_s=4.0)
                return
        self.press(keys, expected)

    def wait(self, found: Callable[[str], re.Match[str] | None], timeout_s: float = 30.0) -> re.Match[str]:
        deadline = time.monotonic() + timeout_s
        while (match := found(self.read())) is None:
            assert time.monotonic() < deadline, self.read()[-5000:]
            time.sleep(0.02)
        return match

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.ended is None:
            os.kill(self.pid, signal.SIGTERM)
            self.exit_code()

    def exit_code(self) -> int:
        def status() -> tuple[int, int] | None:
            self.read()  # a full terminal would hold the program up
            done, status = os.waitpid(self.pid, os.WNOHANG)
            return (done, status) if done else None

        _, code = wait_for(status, 20.0)
        os.close(self._terminal)
        self.ended = os.waitstatus_to_exitcode(code)
        return self.ended


def actions(folder: Path) -> list[tuple[str, str, str]]:
    """Name, details and asker of what was done in the one session there is."""
    (session,) = folder.iterdir()
    records = (event.record for event in Session(session).events())
    done = [record.action for record in records if isinstance(record, ActionRecord)]
    return [(action.name, action.details, action.asked_by) for action in done]


@pytest.mark.slow
def test_every_key_does_what_the_list_says(station: Station) -> None:
    sessions = station.folder / "sessions"
    with Terminal(station, "--select", "auto:2", "--session", str(sessions)) as terminal:
        terminal.wait(lambda text: re.search(r"\n +1 .*\n +2 ", text, re.DOTALL))
        terminal.press("?", r"t +write a note")
        terminal.press("?", r"x, y in px")
        terminal.press("r", r"Focus a sperm first")
        terminal.press("2", r"> 2")
        terminal.insist("m", r"Sperm 2 marked as chosen")
        terminal.press("\x1b[A", r"> 1")
        number = terminal.press("s", r"Sperm (\d+) selected at \d+, \d+, the best candidate left")[1]
        terminal.press("u", rf"Sperm {number} released")
        terminal.insist("twavy tail\r", r"Noted: wavy tail")
        terminal.insist("k", r"Kept |Passed on to the recorder")
        terminal.press("g", r"Order by expected grade, asked for")
        terminal.press("o", r"Objective 20x: 0.5 um/px")
        terminal.press("1", r"> 1")
        terminal.press("r", r"Sperm 1 released")
        terminal.press("a", r"\d lost sperm released, selecting \d more")
        terminal.press("q", r"Quit and end the recording\?")
        terminal.press("x", r"The run goes on")
        terminal.press("q", r"Quit and end the recording\?")
        terminal.press("q", r"ended   by key q")
        assert terminal.exit_code() == 0
    assert station.left() == []
    done = actions(sessions)
    assert [name for name, _, _ in done] == [
        "mark", "select_next", "select_previous", "note", "keep", "objective", "release",
        "replace_lost", "key q", "end",
    ]  # fmt: skip
    assert {asker for name, _, asker in done if name != "end"} == {"screen"}
    assert ("note", "wavy tail", "screen") in done
    assert ("mark", "sperm 2 marked as chosen", "screen") in done


def test_without_a_recording_nothing_is_kept_and_q_ends_at_once(station: Station) -> None:
    with Terminal(station, "--select", "auto:1", "--no-record") as terminal:
        terminal.wait(lambda text: re.search(r"\n +1 ", text))
        terminal.press("k", r"Not in this run: keep the last seconds")
        terminal.press("q", r"ended   by key q")
        assert terminal.exit_code() == 0
    assert station.left() == []
