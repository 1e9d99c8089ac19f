"""Keys on a real pseudo-terminal, in a process whose controlling terminal it is."""

import io
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from station.build_info import ROOT

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are a POSIX thing", allow_module_level=True)

import fcntl
import pty
import termios

from station.dashboard.keyboard import Keyboard

CHILD = """
import sys, time
from station.dashboard.keyboard import Keyboard
with Keyboard() as keyboard:
    print("ready", flush=True)
    while True:
        keys = keyboard.poll()
        if keys:
            print(repr(keys), flush=True)
        if "q" in keys:
            break
        if "e" in keys:
            raise RuntimeError("on purpose")
        time.sleep(0.005)
"""


@dataclass
class Terminal:
    """Both ends of a pseudo-terminal, and a child that reads keys from it."""

    master: int
    slave: int
    child: subprocess.Popen[bytes]

    def press(self, *parts: bytes) -> None:
        for part in parts:
            os.write(self.master, part)
            time.sleep(0.02 if len(parts) > 1 else 0)

    def line(self) -> str:
        assert self.child.stdout is not None
        readable = select.select([self.child.stdout], [], [], 10)[0]
        return self.child.stdout.readline().decode().strip() if readable else "nothing came"

    def mode(self) -> list[object]:
        return termios.tcgetattr(self.slave)


def take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    with child:
        try:
            found = Terminal(master, slave, child)
            assert found.line() == "ready"
            assert found.mode() != before
            yield found
            assert termios.tcgetattr(slave) == before
        finally:
            child.kill()
            os.close(master)
            os.close(slave)


def test_keys_arrive_at_once_and_unseen(terminal: Terminal) -> None:
    terminal.press(b"x")
    assert terminal.line() == "['x']"
    assert not select.select([terminal.master], [], [], 0.05)[0], "the key was echoed"
    terminal.press(b"q")
    assert terminal.line() == "['q']"
    assert terminal.child.wait(10) == 0


def test_terminal_is_restored_after_an_error(terminal: Terminal) -> None:
    terminal.press(b"e")
    assert terminal.child.wait(10) == 1


@pytest.mark.parametrize(
    "sequence",
    [
        pytest.param((b"\x1b[C",), id="arrow to the right"),
        pytest.param((b"\x1b[15~",), id="function key"),
        pytest.param((b"\x1bOq",), id="keypad 1 as a sequence that ends in q"),
        pytest.param((b"\x1bq",), id="alt and q"),
        pytest.param(("é".encode()[:1],), id="half a character"),
    ],
)
def test_sequences_are_not_taken_for_keys(terminal: Terminal, sequence: tuple[bytes, ...]) -> None:
    terminal.press(*sequence)
    time.sleep(0.05)
    terminal.press(b"x")
    assert terminal.line() == "['x']"
    terminal.press(b"q")
    assert terminal.child.wait(10) == 0


def test_a_character_in_two_parts(terminal: Terminal) -> None:
    terminal.press("é".encode()[:1], "é".encode()[1:])
    assert terminal.line() == "['é']"
    terminal.press(b"q")
    assert terminal.child.wait(10) == 0


@pytest.mark.parametrize(
    ("sequence", "name"),
    [
        (b"\x1b[A", "up"), (b"\x1bOB", "down"), (b"\x1b[5~", "page up"), (b"\x1b[6~", "page down"),
        (b"\x1b", "esc"), (b"\r", "enter"), (b"\x7f", "backspace"),
    ],
)  # fmt: skip
def test_some_keys_have_names(terminal: Terminal, sequence: bytes, name: str) -> None:
    terminal.press(sequence)
    assert terminal.line() == f"['{name}']"
    terminal.press(b"q")
    assert terminal.child.wait(10) == 0


def test_sequence_split_between_two_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard = Keyboard()
    arriving = iter(["a\x1b", "[", "Aq", "\x1bO", "qz", "\x1b", "", "\x1b[5", ""])
    monkeypatch.setattr(keyboard, "_read", lambda: next(arriving, ""))
    expected = [["a"], [], ["up", "q"], [], ["z"], [], ["esc"], [], [], []]
    assert [keyboard.poll() for _ in range(10)] == expected


def test_no_terminal_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stdin in (io.StringIO("q"), None, closed):
        monkeypatch.setattr(sys, "stdin", stdin)
        with Keyboard() as keyboard:
            assert keyboard.poll() == []


def test_a_file_as_input_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys"
    path.write_text("q")
    with path.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        with Keyboard() as keyboard:
            assert keyboard.poll() == []
        assert file.read() == "q"
