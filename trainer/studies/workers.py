"""Runs as tasks: each in a process of its own, here or on a cluster's machine, started again where it was killed.

A task is plain values. Its process is ``python -m trainer tables STUDY.toml --run NAME``, which anybody may also start
by hand, or by the array jobs of a batch system. It ends when the process that started it is gone: a driver that was
killed leaves nothing behind that goes on.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from station.build_info import ROOT

RETRIES: Final = 5
"""Of a run whose process was killed; each goes on after the last whole epoch."""
OUTPUT: Final = "output.txt"
"""What a run's processes said, in its folder."""
STARTED_BY: Final = "ROSTFINE_STARTED_BY"
LOOK_S: Final = 0.5
ORPHANED: Final = 75
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True)
class RunTask:
    """One run to be carried out; paths are absolute, it may be carried out elsewhere."""

    name: str
    study: str
    out: str
    """Folder of the study."""
    folder: str
    """Of the run."""
    cpus: int


@dataclass(frozen=True, slots=True)
class RunEnded:
    """What became of a task; what became of the run is in its folder."""

    name: str
    problem: str
    """Why it failed, in a line; empty where it did not."""
    killed: int = 0
    """How often its process was killed and started again."""
    wall_s: float = 0.0


def given_up(task: RunTask, why: str) -> RunEnded:
    """Return what became of a task that could not be carried out at all."""
    return RunEnded(task.name, why)


def carry_out(task: RunTask) -> RunEnded:
    """Carry out a run in a process of its own. Never raises for what is wrong with it: the answer says so."""
    started = time.monotonic()
    for killed in range(RETRIES + 1):
        try:
            code, last = _process(task)
        except OSError as error:
            return RunEnded(task.name, f"could not be started ({error})", killed)
        if code == 0:
            return RunEnded(task.name, "", killed, time.monotonic() - started)
        if code >= 0:  # it ended by itself: another try would end alike
            return RunEnded(task.name, "interrupted" if code == INTERRUPTED else last or f"exit code {code}", killed)
    return RunEnded(task.name, f"its process was killed {RETRIES + 1} times (out of memory?)", RETRIES)


def _process(task: RunTask) -> tuple[int, str]:
    """Return the exit code of a run's process, below 0 where it was killed, and the last line that it said."""
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    threads = {name: str(task.cpus) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [sys.executable, "-m", "trainer", "tables", task.study, "--out", task.out, "--run", task.name]
    with open(folder / OUTPUT, "ab") as output:
        begin = output.tell()
        code = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **threads, STARTED_BY: str(os.getpid())}, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip
    with open(folder / OUTPUT, "rb") as said:
        said.seek(begin)
        lines = said.read().decode("utf-8", "replace").strip().splitlines()
    return code, lines[-1][:400] if lines else ""


@contextmanager
def ending_with_its_starter() -> Iterator[None]:
    """End this process as soon as the one that started it as a task is gone; nothing where nobody did."""
    starter = os.environ.get(STARTED_BY)
    if not starter or sys.platform == "win32":
        yield
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(LOOK_S):
            if os.getppid() != int(starter):
                os._exit(ORPHANED)

    watcher = threading.Thread(target=watch, name="starter watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
