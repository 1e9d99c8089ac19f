"""What a terminal says to the main process, and what is given back to it."""

import subprocess
import sys

import pytest

from station.build_info import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGHUP there")
SCRIPT = """
import os, signal
from station.processes.signals import StopRequest

class Terminal:
    def close(self):
        print("given back")
    def __enter__(self):
        print("taken")

stop = StopRequest()
stop.listen()
stop.lend([Terminal()])
for number in {signals}:
    os.kill(os.getpid(), number)
stop.attend()
print(stop.made)
"""


def said(signals: str) -> list[str]:
    """What it says of these, in the name of a child."""
    script = SCRIPT.format(signals=signals)
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")[:-1]


def test_a_program_that_is_continued_takes_its_terminal_again() -> None:
    assert said("[signal.SIGCONT]") == ["given back", "taken", "False"]


def test_a_terminal_that_has_gone_is_not_taken_again() -> None:
    """The system sends both, one after the other."""
    assert said("[signal.SIGHUP, signal.SIGCONT]") == ["True"]
