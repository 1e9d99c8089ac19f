"""The stored screens in a real terminal emulator: what tmux shows is what is stored, cell by cell."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from station.build_info import ROOT
from tests.station.dashboard.test_render import SCREENS, SIZES, as_stored

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed: apt-get install tmux"),
]
TIMEOUT_S = 30.0
CHILD = """
import sys, time
from station.dashboard.nonblocking_output import NonblockingOutput
from station.dashboard.screen import Screen
from tests.station.dashboard.screen_cases import CASES
output = NonblockingOutput(sys.stdout)
with Screen(output) as screen:
    while True:
        screen.show(CASES[sys.argv[1]])
        output.drained()
        time.sleep(0.1)
"""


def shown(folder: Path, case: str, width: int, height: int, done: Callable[[str], bool]) -> str:
    """Draw a case in a terminal of that size; return what it shows once that will do, or after TIMEOUT_S."""

    def tmux(*words: str) -> str:
        command = ["tmux", "-S", str(folder / "tmux"), "-f", os.devnull, *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    (folder / "child.py").write_text(CHILD)
    variables = f"-u COLUMNS -u LINES PYTHONPATH={ROOT} LC_ALL=C.UTF-8 COLORTERM=truecolor"
    child = f"env {variables} {sys.executable} {folder / 'child.py'} {case}"
    tmux("-u", "new-session", "-d", "-x", str(width), "-y", str(height), child, ";", "set", "-g", "status", "off")
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not done(text := tmux("capture-pane", "-p")) and time.monotonic() < deadline:
            time.sleep(0.1)
        return text
    finally:
        tmux("kill-server")


@pytest.mark.parametrize(("width", "height"), SIZES, ids=str)
@pytest.mark.parametrize("case", ["every_state", "keys", "focused"])
def test_the_terminal_shows_the_stored_screen(tmp_path: Path, case: str, width: int, height: int) -> None:
    stored = (SCREENS / f"{case}_{width}x{height}.txt").read_text(encoding="utf-8")

    def found(text: str) -> str:
        return as_stored(text.removesuffix("\n"))

    assert found(shown(tmp_path, case, width, height, lambda text: found(text) == stored)) == stored


def test_the_picture_is_drawn_in_half_blocks(tmp_path: Path) -> None:
    def rows(text: str) -> list[str]:
        return [line for line in text.splitlines() if line.startswith("▀" * 20)]

    found = rows(shown(tmp_path, "focused_picture", 120, 40, lambda text: len(rows(text)) >= 7))
    assert len(found) >= 7
    assert {len(row) - len(row.lstrip("▀")) for row in found} == {2 * len(found)}
