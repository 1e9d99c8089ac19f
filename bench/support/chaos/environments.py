"""Clock, disk, terminal, language, folders and limits that the program did not choose: a recorded run in each.

Each run must end as its row says; where it is to go through, it must grade, leave an intact session and nothing else,
and have said nothing on standard error. Rows that need a right or a program that this machine lacks say so and count
no try.
"""

import contextlib
import json
import os
import pty
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.support.chaos.record import intact
from bench.support.chaos.scenarios import Outcome, Setting
from bench.support.chaos.wall_clock_step import compiled_step
from station.build_info import ROOT
from station.errors import StationError
from station.session.layout import SessionState, read_manifest

SUMMARY = "clock, disk, terminal, language, folders and limits that the program did not choose"
LIMIT_S: Final = 240.0
TERMINAL_S: Final = 15.0
"""After so long a run whose terminal has gone must have ended: the record is closed within this."""
GRADES_S: Final = 30.0
UNREAD_S: Final = 2.0
"""Within this a terminal that nobody reads is full."""
TITLE: Final = b"RoSTFine station"
STEP_AFTER_S: Final = 6
HANDLES: Final = 64
ODD_NAME: Final = "Proben vom Tag 3 \u00e4\u00f6\u00fc \u00df"
LONG_NAME: Final = "a" * 120
C_LOCALE: Final = {"LC_ALL": "C", "LANG": "C"}
ASCII_ONLY: Final = C_LOCALE | {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""Without these two Python speaks UTF-8 in locale C, as most terminals do."""
SMALL: Final = "[simulated]\nwidth = 480\nheight = 360\nsperm = 8\ndebris = 20\n"
THROUGH: Final = "grades, session intact, nothing on standard error, nothing left"


@dataclass(slots=True)
class Place:
    """Where one run has its files."""

    folder: Path
    extra: dict[str, str] = field(default_factory=dict)
    """Of the environment."""

    def __post_init__(self) -> None:
        """Make the folders, and a configuration that is small."""
        for path in (self.temporary, self.folder / "run"):
            path.mkdir(parents=True, exist_ok=True)
        (self.folder / "station.toml").write_text(SMALL, encoding="utf-8")

    @property
    def temporary(self) -> Path:
        """The run's temporary folder."""
        return self.folder / "t"

    @property
    def sessions(self) -> Path:
        """Where it records."""
        return self.folder / "sessions"

    @property
    def summary(self) -> Path:
        """Where it writes its summary."""
        return self.folder / "summary.json"

    @property
    def environment(self) -> dict[str, str]:
        """What the program's environment is."""
        own = {"TMPDIR": str(self.temporary), "XDG_RUNTIME_DIR": str(self.folder / "run")}
        return os.environ | own | {"XDG_DATA_HOME": str(self.folder / "data"), "TERM": "xterm-256color"} | self.extra

    def command(self, *options: str, sessions: Path | None = None, summary: Path | None = None) -> list[str]:
        """Return the command line of a run."""
        command = [sys.executable, "run_station.py", "--config", str(self.folder / "station.toml")]
        command += ["--session", str(sessions or self.sessions), "--summary", str(summary or self.summary)]
        return [*command, "--select", "auto:4", *options]

    def run(self, command: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run the program to its end, headless."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.run(
            [*command, "--headless"], cwd=ROOT, env=self.environment, text=True, errors="replace", timeout=LIMIT_S,
            check=False, **options,
        )  # fmt: skip

    def left(self) -> list[str]:
        """Return what is left in the temporary folder a moment after the end."""
        deadline = time.monotonic() + 2.0
        while (left := sorted(path.name for path in self.temporary.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.05)
        return [f"left behind: {name}" for name in left]


def run(setting: Setting) -> Iterator[Outcome]:
    """Run each once."""
    for number, (what, must, attempt) in enumerate(ENVIRONMENTS):
        folder = setting.folder / str(number)
        folder.mkdir()
        try:
            wrong, figures = attempt(folder)
        except _NotHere as reason:
            yield Outcome(what, 0, 0, must, f"not tried: {reason}")
            continue
        except (OSError, StationError, subprocess.SubprocessError, AssertionError) as error:
            wrong, figures = [f"{type(error).__name__}: {error}"], ""
        yield Outcome(what, 1, int(not wrong), must, figures, tuple(wrong))


class _NotHere(Exception):
    """This machine cannot do what a row needs; the message says why."""


Found = tuple[list[str], str]
"""What was not as it must be, and what was measured."""


def went_through(
    place: Place, done: "subprocess.CompletedProcess[str]", state: SessionState = SessionState.COMPLETE
) -> Found:
    """Return what is wrong with a run that was to go through, and its grades."""
    wrong = place.left()
    if done.returncode or done.stderr:
        wrong.append(f"exit code {done.returncode}: {(done.stderr or '').strip()[-300:]}")
        return wrong, ""
    summary = json.loads(place.summary.read_text(encoding="utf-8"))
    if not summary["grades"]:
        wrong.append("no grade")
    wrong += recorded_well(place.sessions, state)
    latency_ms = summary["latency_ms"]["exposure_to_grade"]["max"] or 0.0
    return wrong, f"{summary['grades']} grades, oldest {latency_ms:.0f} ms"


def recorded_well(sessions: Path, state: SessionState = SessionState.COMPLETE) -> list[str]:
    """Return what is wrong with the only session in a folder."""
    (session,) = [path for path in sessions.iterdir() if path.is_dir()]
    found = read_manifest(session).state
    return intact(session) + ([] if found is state else [f"session is {found.value}, not {state.value}"])


def refused(place: Place, done: "subprocess.CompletedProcess[str]") -> Found:
    """Return what is wrong with a run that was to be refused in one line."""
    lines = done.stderr.strip().splitlines()
    good = done.returncode == 2 and len(lines) == 1
    wrong = [] if good else [f"exit code {done.returncode}, {len(lines)} lines: {done.stderr.strip()[-300:]}"]
    return wrong + place.left(), f"... {lines[0][-90:].partition(' ')[2]}" if lines else ""


def offline(place: Place, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run 2 s of source time, every frame of it."""
    return place.run(place.command("--speed", "max", "--duration", "2"), **options)


def _clock(step_s: int) -> Callable[[Path], Found]:
    def attempt(folder: Path) -> Found:
        library = compiled_step(folder)
        if library is None:
            raise _NotHere("no C compiler to make the library that steps the clock")
        step = {"LD_PRELOAD": str(library), "STEP_S": str(step_s), "STEP_AT": str(int(time.monotonic()) + STEP_AFTER_S)}
        place = Place(folder / "p", step)
        # Few frames, so that a machine that is busy drops none and windows become full.
        (place.folder / "station.toml").write_text(f"{SMALL}fps = 6\n", encoding="utf-8")
        done = place.run(place.command("--duration", "10"))
        wrong, figures = went_through(place, done)
        if done.returncode == 0:
            seconds = json.loads(place.summary.read_text())["latency_ms"]["exposure_to_grade"]["max"]
            wrong += [f"a grade of {seconds / 1000:.0f} s"] if seconds and seconds > 60_000 else []
        return wrong, figures

    return attempt


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a real disk in memory, of 12 MB. Raises _NotHere without the right to."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        raise _NotHere("no right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def _disk_filled(folder: Path) -> Found:
    place = Place(folder / "p")
    settings = '[record]\ncodec = "raw"\nreserve_mb = 0\n'
    (place.folder / "station.toml").write_text(SMALL + settings, encoding="utf-8")
    with small_disk(place.sessions, "size=12m"):
        done = place.run(place.command("--duration", "6"))
        said = " ".join(done.stdout.split())
        wrong = (
            [] if done.returncode == 0 and not done.stderr else [f"exit code {done.returncode}: {done.stderr[-300:]}"]
        )
        wrong += [] if said.count("RECORDING STOPPED") == 2 else ["not said when it happened and at the end"]
        (session,) = place.sessions.iterdir()
        wrong += intact(session)
    captured = json.loads(place.summary.read_text())["frames"]["captured"]
    wrong += [] if captured == 90 else [f"{captured} of 90 frames captured: the run did not go on"]
    return wrong + place.left(), f"{captured} frames captured"


def _read_only(folder: Path) -> Found:
    place = Place(folder / "p")
    with small_disk(folder / "disk", "ro,size=1m") as disk:
        wrong, line = refused(place, place.run(place.command("--duration", "2", sessions=disk / "sessions")))
        more, _ = refused(place, place.run(place.command("--duration", "2", summary=disk / "s.json")))
    return wrong + more, line


def _terminal_closed(folder: Path) -> Found:
    place = Place(folder / "p")
    pid, terminal = _run_on_terminal(place)
    seen = _read_until(terminal, b"16/16", GRADES_S)
    os.close(terminal)
    code, took_s = _end_of(pid)
    if code is None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    wrong = [] if code == 0 else [f"exit code {code} after {took_s:.1f} s; the screen: {seen[-200:]!r}"]
    return wrong + recorded_well(place.sessions) + place.left(), f"ended after {took_s:.1f} s"


def _terminal_unread(folder: Path) -> Found:
    place = Place(folder / "p")
    pid, terminal = _run_on_terminal(place)
    code, ended_s, wrong = None, 0.0, []
    try:
        _read_until(terminal, b"16/16", GRADES_S)
        time.sleep(UNREAD_S)
        said = _asked(place, "note", "nobody reads")
        wrong += [] if "nobody reads" in said else [f"not answered meanwhile: {said}"]
        screens = [_read_until(terminal, TITLE, GRADES_S) for _ in range(6)]  # more than a terminal keeps
        wrong += [] if all(TITLE in screen for screen in screens) else ["read again, the screen does not go on"]
        time.sleep(UNREAD_S)
        os.kill(pid, signal.SIGTERM)
        code, ended_s = _end_of(pid)
        rest = _read_until(terminal, b"\0 never", 1.0)
        wrong += [] if b"\x1b[?1049l" in rest else ["the terminal was not given back"]
        wrong += [] if b"ended   by a signal" in rest else ["not said why it ended"]
    finally:
        if code is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(terminal)
    wrong += [] if code == 0 else [f"exit code {code} after {ended_s:.1f} s"]
    return wrong + recorded_well(place.sessions) + place.left(), f"ended after {ended_s:.1f} s"


def _run_on_terminal(place: Place) -> tuple[int, int]:
    """Start a run on a terminal of its own; return its process and the terminal's other end."""
    command = place.command()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(command[0], command, place.environment | {"COLUMNS": "120", "LINES": "40"})
    return pid, terminal


def _end_of(pid: int) -> tuple[int | None, float]:
    """Wait for the end of a process; return its exit code, None where it goes on, and how long that took, s."""
    start = time.monotonic()
    code = None
    while code is None and time.monotonic() - start < TERMINAL_S:
        done, status = os.waitpid(pid, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if done else None
        time.sleep(0.02)
    return code, time.monotonic() - start


def _asked(place: Place, *words: str) -> str:
    """Return what the run answers to a command."""
    done = subprocess.run(
        [sys.executable, "run_station.py", *words], cwd=ROOT, env=place.environment, capture_output=True, text=True,
        timeout=GRADES_S, check=False,
    )  # fmt: skip
    return (done.stdout + done.stderr).strip()


def _read_until(terminal: int, wanted: bytes, timeout_s: float) -> bytes:
    """Return what comes from a terminal, up to what is wanted or to the end of the program at its other end."""
    seen = bytearray()
    deadline = time.monotonic() + timeout_s
    while wanted not in seen and time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            seen.extend(os.read(terminal, 1 << 16))
        except OSError:  # the program has ended
            break
    return bytes(seen)


def _output_closed(folder: Path) -> Found:
    place = Place(folder / "p")

    def close_all() -> None:
        for number in range(3):
            os.close(number)

    done = offline(place, preexec_fn=close_all)
    return went_through(place, done)


def _reader_gone(folder: Path) -> Found:
    place = Place(folder / "p")
    command = [*place.command("--duration", "60"), "--headless"]
    with subprocess.Popen(
        command, cwd=ROOT, env=place.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        deadline = time.monotonic() + GRADES_S
        while not _tracks(place.sessions) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.stdout.close()
        errors = process.stderr.read()
        code = process.wait(LIMIT_S)
    wrong = [] if code == 0 and not errors else [f"exit code {code}: {errors[-300:]}"]
    ended = json.loads(place.summary.read_text())["ended"]
    wrong += [] if "nobody reads" in ended else ["the summary does not say why"]
    return wrong + recorded_well(place.sessions) + place.left(), f"ended {ended}"


def _tracks(sessions: Path) -> bool:
    """Return whether a run has begun to track."""
    return any(b'"kind":"tracks"' in log.read_bytes() for log in sessions.glob("*/log.jsonl"))


def _locale_c(folder: Path) -> Found:
    place = Place(folder / ODD_NAME, C_LOCALE)
    done = offline(place)
    wrong, figures = went_through(place, done)
    screen, code = _on_terminal(Place(folder / "ascii", ASCII_ONLY))
    wrong += [] if code == 0 and b"RoSTFine" in screen else [f"exit code {code}; the screen: {screen[-200:]!r}"]
    wrong += [f"the screen has the byte {byte:#x}" for byte in sorted(set(screen)) if byte > 0x7F][:1]
    unreadable = Place(folder / f"2 {ODD_NAME}", ASCII_ONLY)
    wrong += refused(unreadable, offline(unreadable))[0]
    return wrong, figures


def _on_terminal(place: Place) -> tuple[bytes, int]:
    """Run the dashboard for 3 s on a terminal; return all that it drew, and the exit code."""
    command = place.command("--duration", "3")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(command[0], command, place.environment | {"COLUMNS": "120", "LINES": "40"})
    screen = _read_until(terminal, b"\0 never", LIMIT_S)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return screen, os.waitstatus_to_exitcode(status)


def _long_temporary(folder: Path) -> Found:
    place = Place(folder / LONG_NAME)
    return went_through(place, offline(place))


def _odd_path(folder: Path) -> Found:
    place = Place(folder / ODD_NAME)
    model = shutil.copytree(ROOT / "models" / "demo", place.folder / f"Modell {ODD_NAME}")
    done = place.run(place.command("--speed", "max", "--duration", "2", "--model", str(model)))
    return went_through(place, done)


def _few_handles(folder: Path) -> Found:
    place = Place(folder / "p")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (HANDLES, HANDLES))

    done = place.run(place.command("--speed", "max", "--duration", "2", "--view"), preexec_fn=limit)
    return went_through(place, done)


ENVIRONMENTS: Final[tuple[tuple[str, str, Callable[[Path], Found]], ...]] = (
    ("wall clock put forward by a day in mid-run", THROUGH, _clock(86_400)),
    ("wall clock put back by a day in mid-run", THROUGH, _clock(-86_400)),
    ("disk full in mid-run", "said at once and at the end, the run goes on, the record is intact", _disk_filled),
    ("folders that are read-only", "refused in one line, exit code 2", _read_only),
    ("terminal closed", f"ends in good order within {TERMINAL_S:g} s, the record is whole", _terminal_closed),
    (
        "terminal that is not read",
        f"answers; the screen goes on when read; ends on SIGTERM within {TERMINAL_S:g} s, the record is whole",
        _terminal_unread,
    ),
    ("standard input, output and error closed", THROUGH, _output_closed),
    ("reader of standard output gone", "ends in good order and says why in record and summary", _reader_gone),
    ("locale C, in a folder with umlauts", f"{THROUGH}; the screen is ASCII", _locale_c),
    ("temporary folder with a path of 150 characters and more", THROUGH, _long_temporary),
    ("paths with spaces and umlauts, of everything", THROUGH, _odd_path),
    (f"{HANDLES} file handles a process, with the live view", THROUGH, _few_handles),
)
"""What was done, what must be, and the function that does it."""
