"""One run of the station on the stamping camera, and what another program received of it.

It starts and ends the program, replaces lost sperm as an operator does, and proves every grade by the pixels that were
graded. What follows from many cases is the bench's business.
"""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import zmq
from numpy.typing import NDArray
from pydantic import ValidationError

from bench.support.end_to_end.evidence import Evidence, Heard, Seen
from bench.support.end_to_end.stamp import read_stamp
from bench.support.end_to_end.stamped_capture import FILM, RATE
from bench.support.memory import together_mb
from station.build_info import ROOT
from station.clock import now_ns
from station.commands.client import CommandClient
from station.commands.registry import RunningStation
from station.commands.requests import ReplaceLostRequest
from station.errors import ProcessError
from station.transport.messages import Trace

START_S: Final = 60.0
SETTLE_S: Final = 3.0
"""After the first grade, before anything counts."""
REPLACE_S: Final = 2.0
END_S: Final = 30.0
SPAN_MS: Final = 1.0
"""So far at most what the evidence says of a window's span may be from what its pixels say."""
STAGES: Final = {
    "capture": ("t_exposure_ns", "t_sent_ns"),
    "wire": ("t_sent_ns", "t_tracker_in_ns"),
    "tracker": ("t_tracker_in_ns", "t_tracker_out_ns"),
    "window": ("t_tracker_out_ns", "t_engine_in_ns"),
    "waiting": ("t_engine_in_ns", "t_infer_ns"),
    "network": ("t_infer_ns", "t_grade_ns"),
}
"""Where the time goes, by the station's own account; "reader" is what is left until the grade has arrived."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is run."""

    sperm: int
    fps: float
    recorded: bool
    viewed: bool
    seconds: float

    @property
    def name(self) -> str:
        """In a table."""
        beside = [word for word, on in (("recorder", self.recorded), ("view", self.viewed)) if on]
        return f"{self.sperm} sperm, {self.fps:g}/s, {' and '.join(beside) or 'alone'}"


@dataclass(slots=True)
class Outcome:
    """What came of it. Durations in ms, of every grade or picture that the pixels proved."""

    grades_ms: list[float] = field(default_factory=list)
    """From the exposure in the graded pixels to the grade's arrival at another program."""
    stages_ms: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in (*STAGES, "reader")})
    pictures_ms: list[float] = field(default_factory=list)
    """The same of pictures of the live view."""
    wrong: int = 0
    """Grades whose pixels are of another exposure than they say, or of another span."""
    unproven: int = 0
    """Grades without readable pixels: their window did not arrive here."""
    frames: int = 0
    """That the station says were exposed, from start to end."""
    dropped: int = 0
    """Of these, before the tracker, those lost by the camera included."""
    first_grade_s: float = 0.0
    """From the start of the program."""
    memory_mb: float = 0.0
    """What the program took with all its processes, at the end."""


def run_case(case: Case, film: Path, folder: Path) -> Outcome:
    """Run it; ``folder`` is empty, and its path short. Raises ProcessError."""
    start_s = time.monotonic()
    with _program(case, film, folder) as program:
        entry = program.entry()
        with Evidence(entry, program.view) as evidence:
            program.wait_for_grade(evidence)
            first_s = time.monotonic() - start_s
            program.operate(entry, SETTLE_S)
            from_ns = now_ns()
            program.operate(entry, case.seconds)
            until_ns = now_ns()
            memory_mb = together_mb(program.process.pid)
            summary = program.end()
    outcome = judged(evidence, from_ns, until_ns)
    outcome.frames, outcome.dropped = summary["frames"]["captured"], summary["frames"]["dropped"]
    outcome.first_grade_s, outcome.memory_mb = first_s, memory_mb
    return outcome


class Arrived(Protocol):
    """What another program has received (``Evidence``)."""

    heard: list[Heard]
    seen: list[Seen]
    windows: dict[tuple[int, int], NDArray[np.uint8]]


def judged(evidence: Arrived, from_ns: int, until_ns: int) -> Outcome:
    """Return what the pixels prove of what arrived between two moments."""
    outcome = Outcome()
    for one in evidence.heard:
        if not from_ns <= one.t_ns < until_ns:
            continue
        stamps = [read_stamp(piece) for piece in evidence.windows.get(one.window, ())]
        read = [stamp for stamp in stamps if stamp is not None]
        if not read or len(read) < len(stamps):
            outcome.unproven += 1
            continue
        exposed_ns, trace, said = read[-1].t_exposure_ns, one.grade.trace, one.grade.evidence
        in_order = all(a.number < b.number for a, b in itertools.pairwise(read))
        span_ms = (exposed_ns - read[0].t_exposure_ns) / 1e6
        right = exposed_ns == trace.t_exposure_ns and in_order
        if not right or said is None or abs(said.span_ms - span_ms) > SPAN_MS:
            outcome.wrong += 1
            continue
        outcome.grades_ms.append((one.t_ns - exposed_ns) / 1e6)
        for name, ms in _stages(trace, one.t_ns):
            outcome.stages_ms[name].append(ms)
    for picture in evidence.seen:
        stamps = [read_stamp(piece) for piece in picture.pieces]
        if from_ns <= picture.t_ns < until_ns:
            outcome.pictures_ms += [(picture.t_ns - stamp.t_exposure_ns) / 1e6 for stamp in stamps[:1] if stamp]
    return outcome


def _stages(trace: Trace, t_ns: int) -> Iterator[tuple[str, float]]:
    for name, (start, end) in STAGES.items():
        yield name, (getattr(trace, end) - getattr(trace, start)) / 1e6
    yield "reader", (t_ns - trace.t_grade_ns) / 1e6


@dataclass(slots=True)
class Program:
    """The station as a process; what it says goes to a file."""

    process: subprocess.Popen[bytes]
    folder: Path
    viewed: bool
    view: str | None = None

    def entry(self) -> RunningStation:
        """Return what the run's file says, once the station runs and, where wanted, its view has a link."""
        found: list[RunningStation] = []

        def started() -> bool:
            entry = self.registered()
            found[:] = [] if entry is None else [entry]
            return bool(found) and (self._link() is not None or not self.viewed)

        self._wait(started, "its start")
        self.view = self._link()
        return found[0]

    def wait_for_grade(self, evidence: Evidence) -> None:
        """Wait for the first one."""
        self._wait(lambda: evidence.heard, "a grade")

    def operate(self, entry: RunningStation, seconds: float) -> None:
        """Let time pass; replace lost sperm now and then."""
        until_s = time.monotonic() + seconds
        with zmq.Context() as context, CommandClient(context, entry.endpoint("commands")) as client:
            while (left_s := until_s - time.monotonic()) > 0:
                client.ask(ReplaceLostRequest(key=entry.key))
                time.sleep(max(0.0, min(REPLACE_S, left_s, until_s - time.monotonic())))
                self._require_running("being measured")

    def end(self) -> dict[str, Any]:
        """End it as a user does; return its summary. Raises ProcessError."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:
            raise ProcessError(f"the station did not end well: {self._said()[-2000:]}")
        summary: dict[str, Any] = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
        return summary

    def _wait(self, condition: Any, what: str) -> None:
        until_s = time.monotonic() + START_S
        while not condition():
            self._require_running(what)
            if time.monotonic() > until_s:
                raise ProcessError(f"waited {START_S:g} s for {what}: {self._said()[-2000:]}")
            time.sleep(0.01)

    def _require_running(self, what: str) -> None:
        if self.process.poll() is not None:
            raise ProcessError(f"the station ended before {what}: {self._said()[-2000:]}")

    def registered(self) -> RunningStation | None:
        """Return what the run's file says; None where it is not there, or is being written."""
        try:
            content = (self.folder / "run" / "rostfine" / "station.json").read_bytes()
            return RunningStation.model_validate_json(content)
        except (OSError, ValidationError):
            return None

    def _link(self) -> str | None:
        lines = [line.split() for line in self._said().splitlines() if line.startswith("view ")]
        return lines[0][1] if lines else None

    def _said(self) -> str:
        return (self.folder / "output.txt").read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def _program(case: Case, film: Path, folder: Path) -> Iterator[Program]:
    (folder / "run").mkdir(parents=True)
    options = ["--headless", "--select", f"auto:{case.sperm}", "--summary", str(folder / "summary.json")]
    options += ["--session", str(folder / "sessions")] if case.recorded else ["--no-record"]
    options += ["--view"] if case.viewed else []
    environment = os.environ | {
        "TMPDIR": str(folder), "XDG_RUNTIME_DIR": str(folder / "run"), "XDG_DATA_HOME": str(folder / "data"),
        FILM: str(film), RATE: str(case.fps),
    }  # fmt: skip
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.support.end_to_end.stamped_station", *options],
            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield Program(process, folder, case.viewed)
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
