"""The screen on a real pseudo-terminal: it draws at the current size and leaves the terminal as it was."""

import io
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from station.build_info import ROOT
from station.dashboard.nonblocking_output import NonblockingOutput
from station.dashboard.screen import Screen
from station.dashboard.snapshot import Snapshot
from station.errors import InputError

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are a POSIX thing", allow_module_level=True)

import fcntl
import pty
import termios

CHILD = """
import sys
from station.dashboard.nonblocking_output import NonblockingOutput
from station.dashboard.screen import Screen
from station.dashboard.snapshot import Snapshot
output = NonblockingOutput(sys.stdout)
with Screen(output) as screen:
    for line in sys.stdin:
        if line == "fail\\n":
            raise RuntimeError("on purpose")
        screen.show(Snapshot(now_ns=0, elapsed_s=0.0))
        output.drained()
"""


class Terminal:
    """A pseudo-terminal with a child that draws a frame for each line it is sent."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(80, 24)
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.child = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=self.slave,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=environment | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
        )

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def send(self, line: str) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(f"{line}\n".encode())
        self.child.stdin.flush()

    def read_until(self, ending: str) -> str:
        text = b""
        deadline = time.monotonic() + 10
        while ending.encode() not in text and time.monotonic() < deadline:
            if select.select([self.master], [], [], 0.1)[0]:
                text += os.read(self.master, 65536)
        return text.decode()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    found = Terminal()
    with found.child:
        try:
            yield found
        finally:
            found.child.kill()
            os.close(found.master)
            os.close(found.slave)


def test_follows_the_size_and_leaves_no_trace(terminal: Terminal) -> None:
    terminal.send("show")
    text = terminal.read_until("q quit")
    assert "\x1b[?1049h" in text
    assert "STARTING" in text
    assert "too small" not in text
    terminal.resize(60, 10)
    terminal.send("show")
    assert "60 x 10 characters" in terminal.read_until("q quit")
    assert terminal.child.stdin is not None
    terminal.child.stdin.close()
    assert_given_back(terminal.read_until("\x1b[?1049l"))


def test_gives_the_terminal_back_after_an_error(terminal: Terminal) -> None:
    terminal.send("show")
    terminal.send("fail")
    assert_given_back(terminal.read_until("\x1b[?1049l"))


def assert_given_back(text: str) -> None:
    assert "\x1b[?1049l" in text
    assert text.rindex("\x1b[?25h") > text.rfind("\x1b[?25l"), "the cursor stays hidden"


@pytest.mark.parametrize(
    "console",
    [
        pytest.param(Console(file=io.StringIO()), id="a file"),
        pytest.param(Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"}), id="a dumb terminal"),
    ],
)
def test_what_is_no_terminal_is_refused(console: Console) -> None:
    with pytest.raises(InputError, match="--headless"), Screen(NonblockingOutput(io.StringIO()), console):
        pass


def test_show_needs_an_open_screen() -> None:
    screen = Screen(
        NonblockingOutput(io.StringIO()), Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm"})
    )
    with pytest.raises(RuntimeError, match="not open"):
        screen.show(Snapshot(now_ns=0, elapsed_s=0.0))
