"""Does the whole station lose camera frames, and does it survive camera faults? On the SDK's emulated camera.

First the program itself, as a user starts it, for some seconds at each frame rate: frames lost in capture, exposure
jitter, and what happens to the frames downstream. Then the station's own processes with a capture process that fails on
command: a run of incomplete buffers (all counted, no window across them), and a camera that is removed and comes back
(time until a sperm is graded again). The bench presses `a` as soon as a sperm is shown as lost, as an operator would:
after seconds without frames the tracker does not trust the old positions. The emulator shows simulated sperm in slow
motion.

Not covered: sensor, cable, USB, Ethernet. The emulator renders frames on this machine's processor and paces them with
its own timers, so part of the jitter is its own. It waits for a free buffer instead of dropping a frame: a source that
is too slow shows as fewer frames than requested, beyond the few per cent of its timers.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import zmq

from bench.support.emulator import emulated_camera
from bench.support.emulator_images import write_images
from bench.support.faulty_capture import PLAN, Done, Plan
from bench.support.report import Report
from station.build_info import ROOT
from station.clock import NS_PER_S
from station.config import Config
from station.errors import InputError
from station.options import parse_options
from station.processes.supervisor import Supervisor
from station.transport.buffers import Fifo
from station.transport.control_messages import ProcessName
from station.transport.counters import CaptureCounters, counters_of
from station.transport.endpoints import private_endpoints
from station.transport.messages import GradesHeader, TrackInfo, TracksHeader, TrackState, WindowsHeader
from station.transport.receivers import ThreadedReceiver

MODULES = {
    ProcessName.CAPTURE: "bench.support.faulty_capture",
    ProcessName.TRACKER: "tracker.process",
    ProcessName.ENGINE: "engine.process",
}
FAULT_FPS = 15.0
KEY_EVERY_S = 1.0
AGAIN_LIMIT_S = 5.0
"""From the camera's return to the next grade."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--seconds", type=float, default=60.0, help="per frame rate (default 60)")
    parser.add_argument("--fps", type=float, nargs="*", default=[15.0, 60.0], help="frame rates (default 15 60)")
    parser.add_argument("--width", type=int, default=1392)
    parser.add_argument("--height", type=int, default=976)
    parser.add_argument("--select", default="auto:4", help="as for run_station.py (default auto:4)")
    parser.add_argument("--failed", type=int, default=100, help="incomplete buffers to force (default 100)")
    parser.add_argument("--away", type=float, default=3.0, help="seconds that the camera is away (default 3)")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds before each fault (default 5)")
    parser.add_argument("--no-faults", action="store_true", help="only the steady part")


def run(args: argparse.Namespace) -> int:
    """Run the bench; return 1 if frames were lost in capture or the station did not recover from a fault, else 0."""
    serial = emulated_camera()
    report = Report(
        bench="camera",
        counts="the whole station on the SDK's emulated camera; no sensor, no cable",
        settings={"width": args.width, "height": args.height, "seconds": args.seconds, "select": args.select},
    )
    good = True
    with tempfile.TemporaryDirectory(prefix="rostfine-bench-") as folder:
        for fps in args.fps:
            good &= _steady(report, Path(folder), serial, fps, args)
        if not args.no_faults:
            good &= _faults(report, Path(folder), serial, args)
    report.emit()
    return 0 if good else 1


def _configuration(folder: Path, fps: float, args: argparse.Namespace) -> Path:
    """Write images and configuration for a frame rate; return the latter's path."""
    path = folder / f"{fps:g}.toml"
    if path.exists():
        return path
    size = {"width": args.width, "height": args.height}
    config = parse_options([]).config
    features = write_images(folder / f"{fps:g}", config.simulated.model_copy(update={**size, "fps": fps}))
    lines = [f"[source]\num_per_px = {config.simulated.um_per_px}", "[camera]"]
    lines += [f"{key} = {value}" for key, value in (*size.items(), ("fps", fps))]
    lines += ["[camera.features]", *(f"{name} = {json.dumps(value)}" for name, value in features.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _steady(report: Report, folder: Path, serial: str, fps: float, args: argparse.Namespace) -> bool:
    """Run the program for some seconds; report what its summary says."""
    config, summary = _configuration(folder, fps, args), folder / "summary.json"
    command = [sys.executable, "run_station.py", "--config", str(config), "--source", f"basler:{serial}", "--headless"]
    command += ["--no-record", "--select", args.select, "--duration", f"{args.seconds:g}", "--summary", str(summary)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InputError(f"run_station.py ended with exit code {done.returncode}: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(summary.read_text(encoding="utf-8"))
    name, frames, camera = f"{fps:g}/s", found["frames"], found["camera"]
    lost: int = camera["lost"]
    report.figure(f"{name}: frames captured", frames["captured"], note=f"{args.seconds * fps:.0f} asked")
    report.figure(
        f"{name}: frames lost in capture",
        lost,
        note=f"incomplete {camera['incomplete']}, overrun {camera['overrun']}, reconnects {camera['reconnects']}",
    )
    report.figure(f"{name}: frames dropped before the tracker", frames["dropped"] - lost)
    report.figure(f"{name}: grades", found["grades"])
    for key, label in (("frame_interval_ms", "between exposures"), ("frame_jitter_ms", "off the even interval")):
        _quantiles(report, f"{name}: {label}", found[key])
    _quantiles(report, f"{name}: exposure to grade", found["latency_ms"]["exposure_to_grade"])
    return lost == 0


def _quantiles(report: Report, name: str, values: dict[str, float | None]) -> None:
    for key in ("p50", "p95", "p99", "max"):
        report.figure(f"{name}, {key}", values[key], "ms")


@dataclass(slots=True)
class Seen:
    """What came over the links of a run."""

    current: list[TrackInfo] = field(default_factory=list)
    windows: list[WindowsHeader] = field(default_factory=list)
    graded: list[tuple[int, int]] = field(default_factory=list)
    """(exposure of the window's newest frame, publication), ns of the station clock."""


def _faults(report: Report, folder: Path, serial: str, args: argparse.Namespace) -> bool:
    """Run the station's processes through both faults; report what was counted and how soon grades came again."""
    config = parse_options(
        [
            "--config",
            str(_configuration(folder, FAULT_FPS, args)),
            "--source",
            f"basler:{serial}",
            "--select",
            args.select,
        ]
    ).config
    remove_at_s = 2 * args.settle + args.failed / FAULT_FPS
    done_file = folder / "faults.json"
    plan = Plan(serial, str(done_file), args.settle, args.failed, remove_at_s, args.away)
    os.environ[PLAN] = json.dumps(asdict(plan))
    seen, counts = _watch(config, done_file, remove_at_s + args.away + 2 * AGAIN_LIMIT_S)
    done = Done(**json.loads(done_file.read_text(encoding="utf-8")))
    across = sum(_spans_a_hole(window.t_source_ns) for header in seen.windows for window in header.windows)
    report.figure("incomplete: forced", args.failed)
    report.figure("incomplete: counted", counts.incomplete)
    report.figure("incomplete: marked as lost on the frames after", counts.lost_by_source, "",
                  "the removal's included")  # fmt: skip
    report.figure(
        "incomplete and removal: windows for the engine across the hole", across, "", f"of {len(seen.windows)}"
    )
    refilled = _first_grade_s(seen.graded, done.failed_ns + round(args.failed / FAULT_FPS * NS_PER_S))
    report.figure("incomplete: from the last one to the next grade", refilled, "s", "16 frames at 15/s take 1.1 s")
    again = _first_grade_s(seen.graded, done.back_ns)
    report.figure("removal: away", args.away, "s")
    report.figure("removal: reconnects", counts.reconnects)
    report.figure("removal: from the camera's return to the next grade", again, "s", f"at most {AGAIN_LIMIT_S:g} asked")
    return counts.incomplete == args.failed and across == 0 and again is not None and again <= AGAIN_LIMIT_S


def _watch(config: Config, done_file: Path, longest_s: float) -> tuple[Seen, CaptureCounters]:
    """Run the station's processes until a sperm is graded after the last fault, or for so long.

    Returns what came over the links and the capture process's counts.
    """
    seen = Seen()
    with (
        private_endpoints() as endpoints,
        zmq.Context() as context,
        ThreadedReceiver(context, endpoints.windows, Fifo(1000)) as windows,
        ThreadedReceiver(context, endpoints.grades, Fifo(1000)) as grades,
        ThreadedReceiver(context, endpoints.tracks, Fifo(1000)) as tracks,
    ):
        with Supervisor(context, config, endpoints, MODULES) as supervisor:
            running_since: float | None = None
            next_key = 0.0
            over = False
            while not over and (running_since is None or time.monotonic() - running_since < longest_s):
                supervisor.poll(0.02)
                capture = supervisor.statuses.get(ProcessName.CAPTURE)
                if running_since is None and capture is not None and counters_of(CaptureCounters, capture).captured:
                    running_since = time.monotonic()
                _listen(seen, windows, grades, tracks)
                if done_file.exists():
                    over = _first_grade_s(seen.graded, json.loads(done_file.read_text())["back_ns"]) is not None
                if any(t.state is TrackState.LOST for t in seen.current) and time.monotonic() > next_key:
                    next_key = time.monotonic() + KEY_EVERY_S
                    supervisor.replace_lost(seen.current, config.select_auto)
            statuses = supervisor.statuses
        return seen, counters_of(CaptureCounters, statuses[ProcessName.CAPTURE])


def _listen(
    seen: Seen, windows: ThreadedReceiver[Any], grades: ThreadedReceiver[Any], tracks: ThreadedReceiver[Any]
) -> None:
    while message := tracks.receive(0):
        if isinstance(message.header, TracksHeader):
            seen.current = message.header.tracks
    while message := windows.receive(0):
        if isinstance(message.header, WindowsHeader):
            seen.windows.append(message.header)
    while message := grades.receive(0):
        if isinstance(message.header, GradesHeader):
            seen.graded += [(g.trace.t_exposure_ns, g.trace.t_grade_ns) for g in message.header.grades]


def _spans_a_hole(t_source_ns: Sequence[int]) -> bool:
    """Return whether more than one frame is missing in a window: the emulator's timers are late by less than that."""
    return any(b - a > 2.5 * NS_PER_S / FAULT_FPS for a, b in itertools.pairwise(t_source_ns))


def _first_grade_s(graded: list[tuple[int, int]], since_ns: int) -> float | None:
    """Return how long after ``since_ns`` the first grade of a frame exposed after it was published, s; None: never."""
    later = [published for exposed, published in graded if exposed > since_ns]
    return (min(later) - since_ns) / NS_PER_S if later else None
