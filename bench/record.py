"""Does recording lose frames, and does it slow the station? The whole program, with and without its recorder.

Runs ``run_station.py`` headless on a film of the simulated microscope, alternately without and with recording, and
takes the figures from its summaries: frames missing in the record (by sequence numbers, so none can hide), and the
latency from exposure to grade. Each recording is verified. Runs alternate because a shared machine drifts; the p95
compared are medians over the runs. Lost sperm are replaced every two seconds, as an operator would (not on Windows), so
that the same number is graded throughout.

The film is rendered beforehand, uncompressed (1.4 MB a frame of 1392 x 976), because drawing live would take processor
time that a camera does not take; it is kept in memory if there is room (/dev/shm), because a camera's frames do not
come from the disk that is recorded to. Included: reading the film, a second copy of every frame to the recorder, the
codec, hashing, the disk of --folder, and the first seconds of each run.
"""

import argparse
import contextlib
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.support.report import Report
from capture.simulator.microscope import SimulatedMicroscope
from station.build_info import ROOT
from station.clock import NS_PER_MS
from station.config import SimulatedSettings
from station.errors import ProcessError
from station.output import say
from station.session.chunk_writer import ChunkWriter, FileSink
from station.session.verify import verify_session

MARGIN_S = 90.0
REPLACE_S = 2.0
FILM = "film.mkv"
MEMORY = Path("/dev/shm")
SPARE_S = 2.0
"""The film is longer than a run by this much: a run ends by the clock."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each run, s (default 60)")
    parser.add_argument("--turns", type=int, default=2, help="runs without and with recording, each (default 2)")
    parser.add_argument("--fps", type=float, default=60.0)
    parser.add_argument("--width", type=int, default=1392)
    parser.add_argument("--height", type=int, default=976)
    parser.add_argument("--sperm", type=int, default=4, help="sperm to track (default 4)")
    parser.add_argument("--codec", choices=("auto", "ffv1", "raw"), default="auto")
    parser.add_argument("--folder", type=Path, help="folder on the disk to record to (default: a temporary one)")


def run(args: argparse.Namespace) -> int:
    """Run the bench; return 1 if a frame is missing in a record or a record does not verify, else 0."""
    report = Report(
        bench="record",
        counts="the whole program on a film of the simulated microscope, without and with its recorder, in turn",
        settings={key: getattr(args, key) for key in ("seconds", "turns", "fps", "width", "height", "sperm", "codec")},
    )
    p95: dict[bool, list[float]] = {False: [], True: []}
    p50: dict[bool, list[float]] = {False: [], True: []}
    good = True
    with (
        tempfile.TemporaryDirectory(prefix="bench-record-", dir=args.folder) as name,
        tempfile.TemporaryDirectory(prefix="bench-record-", dir=_room_for_film(args)) as film_name,
    ):
        folder, film = Path(name), Path(film_name) / FILM
        _film(args, film)
        for turn in range(args.turns):
            for recorded in (False, True):
                summary = _station(args, folder, film, recorded=recorded)
                latency = summary["latency_ms"]["exposure_to_grade"]
                if latency["p95"] is not None:
                    p50[recorded].append(latency["p50"])
                    p95[recorded].append(latency["p95"])
                label = f"turn {turn + 1}, {'recorded' if recorded else 'not recorded'}"
                _note(report, label, summary)
                if recorded:
                    good &= _record(report, label, summary, args.seconds)
    for name, values in (("p50", p50), ("p95", p95)):
        if not values[False] or not values[True]:
            report.figure(f"exposure to grade {name}, ratio", None, note="no grades to compare")
            continue
        without, with_recorder = (statistics.median(values[recorded]) for recorded in (False, True))
        report.figure(f"exposure to grade {name}, not recorded", without, "ms", "median of the turns")
        report.figure(f"exposure to grade {name}, recorded", with_recorder, "ms", "median of the turns")
        report.figure(f"exposure to grade {name}, ratio", with_recorder / without, "", "aim: at most 1.10 for p95")
    report.emit()
    return 0 if good else 1


def _note(report: Report, label: str, summary: dict[str, Any]) -> None:
    frames = summary["frames"]
    for part in ("exposure_to_grade", "tracker", "engine"):
        found = summary["latency_ms"][part]
        note = f"p50 {found['p50'] or 0:.1f}, p99 {found['p99'] or 0:.1f}, longest {found['max'] or 0:.1f} ms"
        report.figure(f"{label}: {part.replace('_', ' ')} p95", found["p95"], "ms", note)
    report.figure(f"{label}: grades", summary["grades"])
    note = f"{frames['captured']} captured, {frames['tracked']} tracked"
    report.figure(f"{label}: frames dropped before the tracker", frames["dropped"], note=note)


def _record(report: Report, label: str, summary: dict[str, Any], seconds: float) -> bool:
    """Report on one record and remove it; return whether it is complete."""
    recording = summary["recording"]
    folder = Path(recording["folder"])
    found = verify_session(folder)
    shutil.rmtree(folder)
    captured = summary["frames"]["captured"]
    missing = captured - recording["frames"]
    report.figure(
        f"{label}: frames missing in the record", missing,
        note=f"{recording['frames']} recorded as {recording['codec']}, {recording['lost']} counted as lost",
    )  # fmt: skip
    report.figure(f"{label}: written", recording["size_bytes"] / seconds / 1e6, "MB/s")
    report.figure(f"{label}: verifies", int(found.intact), note=found.outcome.value)
    for caution in summary["cautions"]:
        say(f"{label}: {caution}")
    return missing == 0 and found.intact


def _room_for_film(args: argparse.Namespace) -> Path | None:
    """Return the in-memory folder if it has enough room, else --folder."""
    frames = math.ceil((args.seconds + SPARE_S) * args.fps)
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 1.5 * frames * args.width * args.height:
        return MEMORY
    folder: Path | None = args.folder
    return folder


def _film(args: argparse.Namespace, path: Path) -> None:
    microscope = SimulatedMicroscope(SimulatedSettings(width=args.width, height=args.height, fps=args.fps))
    with contextlib.closing(FileSink(path)) as sink:
        writer = ChunkWriter(sink, "raw", args.width, args.height)
        for _ in range(math.ceil((args.seconds + SPARE_S) * args.fps)):
            frame = microscope.read()
            writer.add(frame.pixels, frame.t_source_ns // NS_PER_MS)
        writer.close()


def _station(args: argparse.Namespace, folder: Path, film: Path, *, recorded: bool) -> dict[str, Any]:
    """Run the program once; return its summary."""
    settings = folder / "settings.toml"
    settings.write_text(f'[source]\num_per_px = {SimulatedSettings().um_per_px}\n[record]\ncodec = "{args.codec}"\n')
    path = folder / "summary.json"
    path.unlink(missing_ok=True)
    options = ["--config", settings, "--source", film, "--select", f"auto:{args.sperm}"]
    options += ["--duration", args.seconds, "--summary", path]
    options += ["--session", folder] if recorded else ["--no-record"]
    command = [sys.executable, "run_station.py", "--headless", *map(str, options)]
    code, output = (_plain if sys.platform == "win32" else _on_a_terminal)(command, args.seconds + MARGIN_S)
    if code:
        raise ProcessError(f"the station ended with exit code {code}: {output.strip().splitlines()[-1:]}")
    summary: dict[str, Any] = json.loads(path.read_text())
    return summary


def _plain(command: list[str], timeout_s: float) -> tuple[int, str]:
    """Run to the end; return exit code and output. Lost sperm stay lost."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout_s)
    return done.returncode, done.stdout + done.stderr


def _on_a_terminal(command: list[str], timeout_s: float) -> tuple[int, str]:
    """The same on a pseudo-terminal, pressing the key a every few seconds to replace lost sperm."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(command[0], command)
    os.set_blocking(terminal, False)
    seen = bytearray()
    deadline, next_key = time.monotonic() + timeout_s, time.monotonic() + REPLACE_S
    done, status = 0, 0
    while not done:
        with contextlib.suppress(OSError):  # nothing to read, or the other end is gone
            seen += os.read(terminal, 1 << 16)
        now = time.monotonic()
        if now > next_key:
            next_key = now + REPLACE_S
            with contextlib.suppress(OSError):
                os.write(terminal, b"a")
        if now > deadline:
            os.kill(pid, signal.SIGTERM)
            deadline = now + MARGIN_S
        time.sleep(0.1)
        done, status = os.waitpid(pid, os.WNOHANG)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), seen.decode(errors="replace")
