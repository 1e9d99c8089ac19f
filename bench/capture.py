"""Does camera capture lose frames? The Basler SDK's emulated camera, read through the station's own source.

Covered: every frame that the SDK's driver layer exposes, by its own numbers, against what the reader gets, and the
jitter of their arrival. Then two faults: a run of incomplete buffers (all must be counted, none handed out), and a
camera that disappears and comes back (time until frames flow again).

Not covered: sensor, cable, USB, Ethernet. The emulator renders frames on this machine's processor, which takes a share
of it, and paces them with its own timers, so part of the jitter is its own. It waits for a free buffer instead of
dropping a frame: a source that is too slow shows as a rate below the requested one, by more than the few per cent of
its timers.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from bench.support.emulator import Connection, emulated_camera
from bench.support.report import Report
from capture.camera.camera import Camera
from capture.source import CameraFaults, Pending
from station.clock import NS_PER_MS
from station.config import CameraSettings
from station.errors import InputError

WARM_UP_FRAMES = 10
FAULT_FPS = 60.0
FAULT_LIMIT_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--seconds", type=float, default=60.0, help="per frame rate (default 60)")
    parser.add_argument("--fps", type=float, nargs="+", default=[15.0, 60.0], help="frame rates (default 15 60)")
    parser.add_argument("--width", type=int, default=1392)
    parser.add_argument("--height", type=int, default=976)
    parser.add_argument("--failed", type=int, default=100, help="incomplete buffers to force (default 100)")
    parser.add_argument("--away", type=float, default=3.0, help="seconds that the camera is away (default 3)")


def run(args: argparse.Namespace) -> int:
    """Run the bench; return 1 if anything was lost or not counted, else 0."""
    emulated = emulated_camera()
    report = Report(
        bench="capture",
        counts="frames of the SDK's emulated camera through the station's source; no sensor, no cable",
        settings={"width": args.width, "height": args.height, "seconds": args.seconds},
    )
    settings = CameraSettings(width=args.width, height=args.height)
    good = True
    for fps in args.fps:
        good &= _steady(report, emulated, settings.model_copy(update={"fps": fps}), args.seconds)
    faulty = settings.model_copy(update={"fps": FAULT_FPS})
    good &= _incomplete(report, emulated, faulty, args.failed)
    _removal(report, emulated, faulty, args.away)
    report.emit()
    return 0 if good else 1


def _steady(report: Report, serial: str, settings: CameraSettings, seconds: float) -> bool:
    """Read for some seconds; report losses and jitter."""
    with Camera(Connection(serial, settings)) as camera:
        _read(camera, WARM_UP_FRAMES)
        start, cpu = time.monotonic(), time.process_time()
        frames = _read_while(camera, lambda: time.monotonic() - start < seconds)
        cpu_share = (time.process_time() - cpu) / (time.monotonic() - start)
        faults = _faults(camera)
    lost = sum(lost_before for lost_before, _ in frames)
    times_ms = np.array([t for _, t in frames]) / NS_PER_MS
    intervals_ms = np.diff(times_ms)
    name = f"{settings.fps:g}/s"
    dropped = lost / max(1, lost + len(frames))
    report.timing(f"{name}: interval", intervals_ms.tolist(), dropped=dropped)
    report.timing(
        f"{name}: off the even interval", np.abs(intervals_ms - 1000 / (settings.fps or 1)).tolist(), dropped=dropped
    )
    report.figure(f"{name}: frames read", len(frames))
    report.figure(f"{name}: rate", 1000 * len(intervals_ms) / float(np.sum(intervals_ms)), "frames/s")
    report.figure(f"{name}: frames lost", lost, note=f"incomplete {faults.incomplete}, overrun {faults.overrun}")
    report.figure(f"{name}: processor", cpu_share, "cores", "emulator and source together")
    return lost == 0


def _faults(camera: Camera) -> CameraFaults:
    return camera.condition.faults or CameraFaults()


def _incomplete(report: Report, serial: str, settings: CameraSettings, failed: int) -> bool:
    """Force incomplete buffers; report how many were counted and marked."""
    connection = Connection(serial, settings)
    with Camera(connection) as camera:
        _read(camera, WARM_UP_FRAMES)
        connection.command("ForceFailedBuffer", ForceFailedBufferCount=failed)
        deadline = time.monotonic() + FAULT_LIMIT_S
        marked = 0
        while marked < failed and time.monotonic() < deadline:
            marked += sum(lost for lost, _ in _read(camera, 1))
        counted = _faults(camera).incomplete
    report.figure("incomplete: forced", failed)
    report.figure("incomplete: counted", counted)
    report.figure("incomplete: marked as lost on the frames after", marked)
    return counted == marked == failed


def _removal(report: Report, serial: str, settings: CameraSettings, away_s: float) -> None:
    """Remove the camera and let it come back; report how long it takes until frames flow."""
    connection = Connection(serial, settings)
    with Camera(connection) as camera:
        _read(camera, WARM_UP_FRAMES)
        connection.back_at = time.monotonic() + away_s
        connection.command("FirePnPCallback")
        deadline = time.monotonic() + away_s + FAULT_LIMIT_S
        frames = _read_while(camera, lambda: _faults(camera).reconnects == 0 and time.monotonic() < deadline)
        frames += _read(camera, 1)
        flowing = time.monotonic()
    report.figure("removal: away", away_s, "s")
    report.figure("removal: from return to frames", flowing - connection.back_at, "s", "looked for every 2 s by then")
    marked = max(lost for lost, _ in frames)
    report.figure(
        "removal: marked as lost", marked, note=f"{(flowing - connection.back_at + away_s) * FAULT_FPS:.0f} expected"
    )


def _read(camera: Camera, count: int) -> list[tuple[int, int]]:
    """Return (lost before, exposure ns) of the next frames. Raises InputError where none come."""
    frames: list[tuple[int, int]] = []
    deadline = time.monotonic() + FAULT_LIMIT_S
    while len(frames) < count:
        if time.monotonic() > deadline:
            raise InputError(f"the emulated camera sends nothing ({', '.join(camera.condition.notices)})")
        frames += _read_while(camera, lambda: False)
    return frames


def _read_while(camera: Camera, go_on: Callable[[], bool]) -> list[tuple[int, int]]:
    """Read at least once, and as long as ``go_on``; return (lost before, exposure ns) of the frames."""
    frames = []
    while True:
        frame = camera.read()
        if frame is not Pending.NOTHING_YET:
            frames.append((frame.lost_before, frame.t_exposure_ns or 0))
        if not go_on():
            return frames
