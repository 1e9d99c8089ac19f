"""A station that a scenario does its worst to: the program as a user runs it, its processes, what it left behind.

It starts and ends the program, finds each process by the log that its output goes to, and says what the program said.
It knows nothing of what is done to it.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from bench.support.chaos.listener import Listener
from station.build_info import ROOT
from station.commands.registry import RunningStation
from station.errors import ProcessError
from station.transport.control_messages import PIPELINE, ProcessName

START_S: Final = 90.0
END_S: Final = 60.0
FOUR: Final = ("--select", "auto:4")


class ChaosStation:
    """One run of the program, from entering to leaving; what it is to leave lies in ``folder``."""

    def __init__(
        self, folder: Path, *options: str, config: str = "", environment: dict[str, str] | None = None
    ) -> None:
        """``config``: TOML. ``environment``: beside or instead of this process's own."""
        self.folder = folder
        self.sessions = folder / "sessions"
        self.summary_path = folder / "summary.json"
        (folder / "run").mkdir(parents=True)
        self._temporary = Path(tempfile.mkdtemp(prefix="chaos-"))  # a path short enough for Unix sockets
        (folder / "station.toml").write_text(config, encoding="utf-8")
        self._environment = os.environ | {
            "TMPDIR": str(self._temporary),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "XDG_DATA_HOME": str(folder / "data"),
        }
        self._environment |= environment or {}
        self._options = options
        self._output = (folder / "output.txt").open("w+", encoding="utf-8")
        self.listener: Listener | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "run_station.py", "--headless", "--config", str(self.folder / "station.toml")]
        command += ["--summary", str(self.summary_path), "--session", str(self.sessions), *self._options]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=self._output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            wanted = set(PIPELINE)
            self.wait_for(lambda: wanted <= self.pids().keys(), START_S, "its processes")
            self.wait_for(lambda: self._file.is_file() and self._file.stat().st_size, START_S, "its file")
            self.listener = Listener(self.entry)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.listener is not None:
            self.listener.close()
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._output.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    @property
    def sockets(self) -> Path:
        """The folder of this run's sockets."""
        return next(path for path in self._temporary.iterdir() if path.name.startswith("rostfine-"))

    @property
    def entry(self) -> RunningStation:
        """What the run's file says: addresses and keys."""
        return RunningStation.model_validate_json(self._file.read_bytes())

    @property
    def _file(self) -> Path:
        return self.folder / "run" / "rostfine" / "station.json"

    @property
    def pid(self) -> int:
        """Of the program itself."""
        return self._process.pid

    @property
    def output(self) -> str:
        """All it has said so far."""
        return Path(self._output.name).read_text(encoding="utf-8", errors="replace")

    @property
    def running(self) -> bool:
        """True until the program has ended."""
        return self._process.poll() is None

    def require_running(self) -> None:
        """Raise ProcessError where the program has ended."""
        if not self.running:
            raise ProcessError(f"the station has ended: {self.output[-2000:]}")

    def pids(self) -> dict[ProcessName, int]:
        """Return the processes that are there now."""
        found: dict[ProcessName, int] = {}
        for pid in _descendants(self.pid):
            with contextlib.suppress(OSError, ValueError):
                log = Path(os.readlink(f"/proc/{pid}/fd/1"))
                if log.suffix == ".log":
                    found[ProcessName(log.stem)] = pid
        return found

    def wait_for(self, condition: Callable[[], Any], timeout_s: float, what: str) -> float:
        """Wait until ``condition`` holds; return the seconds it took. Raises ProcessError."""
        start = time.monotonic()
        while not condition():
            if not self.running:
                raise ProcessError(f"the station ended while waiting for {what}: {self.output[-2000:]}")
            if time.monotonic() - start > timeout_s:
                raise ProcessError(f"waited {timeout_s:g} s for {what}: {self.output[-2000:]}")
            time.sleep(0.01)
        return time.monotonic() - start

    def end(self) -> dict[str, Any]:
        """End the run as a user does; return its summary. Raises ProcessError where it does not end well."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        return self.ended(END_S)

    def ended(self, timeout_s: float) -> dict[str, Any]:
        """Wait for the end of the run; return its summary. Raises ProcessError where it does not end well."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"the station does not end: {self.output[-2000:]}") from None
        if code:
            raise ProcessError(f"the station ended with exit code {code}: {self.output[-2000:]}")
        summary: dict[str, Any] = json.loads(self.summary_path.read_text(encoding="utf-8"))
        return summary

    def left(self) -> list[str]:
        """Return what is left of an ended run where nothing may be: processes, and files in the temporary folder."""
        deadline = time.monotonic() + 1.0
        while (left := [*map(str, self._temporary.iterdir()), *self._processes()]) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def _processes(self) -> list[str]:
        mine = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if f"TMPDIR={self._temporary}".encode() in path.read_bytes().split(b"\0"):
                    mine.append(f"process {path.parent.name}")
        return mine


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *_descendants(child)]
    return found
