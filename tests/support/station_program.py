"""The program as a user runs it, for whole-program tests: command line, processes, what it leaves behind."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from station.build_info import ROOT

NOTICE = "For research use only. Not for use in diagnostic procedures."
SMALL = "[simulated]\nwidth = 480\nheight = 360\nsperm = 8\ndebris = 20\n"


@dataclass
class Station:
    """Runs the program with its own temporary folder, so that anything left behind is found."""

    folder: Path
    temporary: Path = field(init=False)

    def __post_init__(self) -> None:
        self.temporary = self.folder / "t"
        self.temporary.mkdir()
        (self.folder / "runtime").mkdir(mode=0o700)
        (self.folder / "small.toml").write_text(SMALL)

    def command(self, *options: str) -> list[str]:
        return [sys.executable, "run_station.py", *options]

    @property
    def environment(self) -> dict[str, str]:
        data = {
            "XDG_DATA_HOME": str(self.folder / "data"),  # no recording of a test among the user's own
            # Which precision is the fastest here is measured once for all tests, not in each one's folder.
            "XDG_CACHE_HOME": str(Path(tempfile.gettempdir()) / f"rostfine-tests-{getattr(os, 'getuid', int)()}"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),  # nor an objective among theirs
            "XDG_RUNTIME_DIR": str(self.folder / "runtime"),  # nor a running station
        }
        return os.environ | {"TMPDIR": str(self.temporary), "TERM": "xterm-256color"} | data

    def run(self, *options: str, timeout_s: float = 100.0) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            self.command(*options, "--headless"),
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        assert self.left() == []
        return done

    def summary(self, *options: str) -> dict[str, Any]:
        path = self.folder / "summary.json"
        done = self.run(*options, "--summary", str(path))
        assert done.returncode == 0, done.stderr
        assert NOTICE in done.stdout
        loaded: dict[str, Any] = json.loads(path.read_text())
        return loaded

    def left(self) -> list[Path]:
        """Files and processes of this run that are left one second after its end, anywhere in the process tree."""
        deadline = time.monotonic() + 1.0  # Python's own helper process notices with a delay that its parent is gone
        while (left := self._there()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def _there(self) -> list[Path]:
        mine = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("TMPDIR") == str(self.temporary):
                    mine.append(Path("/proc") / str(process.pid))
        return [*self.temporary.iterdir(), *mine]

    @property
    def small(self) -> tuple[str, str]:
        return "--config", str(self.folder / "small.toml")


def image_folder(folder: Path, *sizes: tuple[int, int]) -> Path:
    folder.mkdir()
    for number, (width, height) in enumerate(sizes):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((height, width), 90, np.uint8))
    return folder


def wait_for(condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return result


def station_processes(process: "subprocess.Popen[Any]") -> list[psutil.Process]:
    """The station's processes, forked or spawned, without the helper that Python starts beside them."""
    children = psutil.Process(process.pid).children(recursive=True)
    main = psutil.Process(process.pid).cmdline()
    return [child for child in children if child.cmdline() == main or "spawn_main" in " ".join(child.cmdline())]


def station_process(process: "subprocess.Popen[Any]", name: str) -> psutil.Process:
    """One of them, by the log that its output goes to."""

    def found() -> psutil.Process | None:
        for child in station_processes(process):
            if any(Path(file.path).name == f"{name}.log" for file in child.open_files()):
                return child
        return None

    child: psutil.Process = wait_for(found)
    return child
