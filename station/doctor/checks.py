"""What makes stations fail in the field: cameras, USB buffers, MTU, disk, clock, runtimes, threads, terminal.

Each check reads the machine and changes nothing but a scratch file. The limits are those of a 1392 x 976 camera at
60 frames/s. On systems that do not have such a limit the check says so and passes.
"""

import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from station.clock import NS_PER_MS, now_ns
from station.config import CameraSettings
from station.dashboard.render import MIN_HEIGHT, MIN_WIDTH
from station.doctor.report import Cameras, Check, Finding, FoundCamera, Verdict, look_for_cameras
from station.machine import usable_cores

FRAME_BYTES = 1392 * 976
FASTEST_FPS = 60
USB_LIMIT = Path("/sys/module/usbcore/parameters/usbfs_memory_mb")
NETWORK = Path("/sys/class/net")
ETHERNET = "1"
JUMBO_MTU = 8000
SCRATCH_BYTES = 64 * 2**20
LEAST_FREE_GB, AMPLE_FREE_GB = 1, 20
COARSE_CLOCK_MS, USELESS_CLOCK_MS = 0.1, 1.0
LONG_NAP_MS = 5.0
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

PASS, WARN, FAIL = Verdict.PASS, Verdict.WARN, Verdict.FAIL


def all_checks(
    folder: Path, list_cameras: Callable[[], Sequence[FoundCamera]], providers: Callable[[], Sequence[str]]
) -> list[tuple[str, Check]]:
    """Return the checks in the order of the report.

    ``folder`` is where recordings would go; ``list_cameras`` and ``providers`` say what the packages that know cameras
    and runtimes find.
    """
    cameras = look_for_cameras(list_cameras)
    return [
        ("cameras", lambda: check_cameras(cameras)),
        ("USB buffers", lambda: [check_usb_buffers(cameras)]),
        ("network MTU", lambda: [check_mtu(cameras)]),
        ("disk space", lambda: [check_space(folder)]),
        ("disk speed", lambda: [check_speed(folder)]),
        ("clock", lambda: [check_clock()]),
        ("sleep", lambda: [check_sleep()]),
        ("runtime", lambda: [check_runtime(providers)]),
        ("threads", check_threads),
        ("terminal", lambda: [check_terminal()]),
    ]


def check_cameras(cameras: Cameras) -> list[Finding]:
    """List the cameras found."""
    if cameras.missing:
        return [
            Finding("cameras", PASS, "the Basler SDK is not installed; files and simulation need none", cameras.missing)
        ]
    if cameras.broken:
        cure = 'reinstall it: pip install --force-reinstall ".[basler]"'
        return [Finding("cameras", FAIL, f"the camera SDK does not work ({cameras.broken})", cure)]
    if not cameras.found:
        cure = (
            "for a Basler camera: check cable and power; GigE: same subnet, no firewall; USB: the udev rules of pylon"
        )
        return [Finding("cameras", WARN, "none found", cure)]
    return [Finding("cameras", PASS, f"{camera} ({camera.device_class})") for camera in cameras.found]


def check_usb_buffers(cameras: Cameras, limit_file: Path = USB_LIMIT) -> Finding:
    """Compare Linux's limit for USB transfers (16 MB as delivered) with what the camera's buffers take."""
    name = "USB buffers"
    need_mb = math.ceil(CameraSettings().buffers * FRAME_BYTES / 2**20)
    try:
        limit_mb = int(limit_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return Finding(name, PASS, "this system has no such limit")
    if limit_mb == 0 or limit_mb >= need_mb:
        return Finding(name, PASS, f"{limit_mb or 'unlimited'} MB, {need_mb} MB needed")
    return Finding(
        name,
        FAIL if cameras.count("usb") else WARN,
        f"{limit_mb} MB for all USB transfers, a USB camera needs {need_mb} MB: frames arrive incomplete",
        f"now: echo 1000 | sudo tee {limit_file}; for good: the kernel parameter usbcore.usbfs_memory_mb=1000",
    )


def check_mtu(cameras: Cameras, interfaces: Path = NETWORK) -> Finding:
    """Look for a wired interface with jumbo frames, which GigE cameras need."""
    name = "network MTU"
    mtus = wired_mtus(interfaces)
    if mtus is None:
        found = "not readable on this system"
        cure = (
            "check in the settings of the network adapter that jumbo frames (9000) are on"
            if cameras.count("gige")
            else ""
        )
        return Finding(name, WARN if cameras.count("gige") else PASS, found, cure)
    listed = ", ".join(f"{interface} {mtu}" for interface, mtu in mtus.items()) or "no wired network"
    if not cameras.count("gige"):
        return Finding(name, PASS, f"{listed}; matters for GigE cameras only, none found")
    if max(mtus.values(), default=0) >= JUMBO_MTU:
        return Finding(name, PASS, listed)
    cure = "sudo ip link set INTERFACE mtu 9000 for the camera's interface; jumbo frames on in every switch between"
    return Finding(name, WARN, f"{listed}; a GigE camera sends six times as many packets as with 9000", cure)


def wired_mtus(interfaces: Path) -> dict[str, int] | None:
    """Return the MTU of each Ethernet interface that is up, by name; None where the system does not say."""
    try:
        folders = sorted(interfaces.iterdir())
    except OSError:
        return None
    mtus = {}
    for folder in folders:
        try:
            texts = [(folder / file).read_text(encoding="ascii").strip() for file in ("type", "operstate", "mtu")]
        except OSError:
            continue
        if texts[0] == ETHERNET and texts[1] == "up" and not (folder / "wireless").exists():
            mtus[folder.name] = int(texts[2])
    return mtus


def check_space(folder: Path, free_bytes: int | None = None) -> Finding:
    """Check the free space for recordings. ``free_bytes`` None: ask the system."""
    name = "disk space"
    free_gb = (shutil.disk_usage(folder).free if free_bytes is None else free_bytes) / 1e9
    minutes = free_gb * 1e9 / (FRAME_BYTES * FASTEST_FPS) / 60
    found = f"{free_gb:.1f} GB free in {folder}: {minutes:.0f} min of raw frames at {FASTEST_FPS} frames/s"
    verdict = PASS if free_gb >= AMPLE_FREE_GB else WARN if free_gb >= LEAST_FREE_GB else FAIL
    return Finding(
        name, verdict, found, "" if verdict is PASS else "free some space, or record to another disk (--session DIR)"
    )


def check_speed(folder: Path, seconds: float | None = None) -> Finding:
    """Write a scratch file through to the disk and time it. ``seconds`` None: measure."""
    name = "disk speed"
    need_mb_s = FRAME_BYTES * FASTEST_FPS / 1e6
    if seconds is None:
        try:
            seconds = _write_seconds(folder)
        except OSError as error:
            cure = "name a writable folder with --folder"
            return Finding(name, FAIL, f"cannot write to {folder} ({error.strerror})", cure)
    mb_s = SCRATCH_BYTES / 1e6 / seconds
    found = f"{mb_s:.0f} MB/s in {folder}; raw frames at {FASTEST_FPS} frames/s need {need_mb_s:.0f} MB/s"
    if mb_s >= need_mb_s:
        return Finding(name, PASS, found)
    return Finding(
        name,
        WARN,
        found,
        'record compressed ([record] codec = "ffv1": about half), at a lower frame rate, or to a faster disk',
    )


def _write_seconds(folder: Path) -> float:
    block = os.urandom(2**20)  # some disks and file systems compress zeros away
    with tempfile.TemporaryFile(dir=folder) as file:
        start = time.monotonic()
        for _ in range(SCRATCH_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return time.monotonic() - start


def check_clock(read_ns: Callable[[], int] = now_ns) -> Finding:
    """Measure the smallest step of the station clock: every latency is a difference of its readings."""
    steps: list[int] = []
    last = read_ns()
    deadline = time.monotonic() + 0.5
    while len(steps) < 200 and time.monotonic() < deadline:
        now = read_ns()
        if now != last:
            steps.append(now - last)
        last = now
    step_ms = min(steps) / NS_PER_MS if steps else math.inf
    verdict = PASS if step_ms <= COARSE_CLOCK_MS else WARN if step_ms <= USELESS_CLOCK_MS else FAIL
    cure = "" if verdict is PASS else "select another clock source (Linux: kernel parameter clocksource=tsc)"
    return Finding("clock", verdict, f"steps of {step_ms * 1000:.2g} us", cure)


def check_sleep(sleep: Callable[[float], None] = time.sleep) -> Finding:
    """Measure how late a short sleep ends: coarse timers and busy machines make frames late."""
    late_ms = []
    for _ in range(50):
        start = time.perf_counter()
        sleep(0.001)
        late_ms.append((time.perf_counter() - start) * 1e3 - 1)
    p95 = sorted(late_ms)[int(0.95 * len(late_ms))]
    found = f"a sleep of 1 ms ends {p95:.1f} ms late (p95)"
    if p95 <= LONG_NAP_MS:
        return Finding("sleep", PASS, found)
    return Finding("sleep", WARN, found, "close other programs and switch power saving off")


def check_runtime(providers: Callable[[], Sequence[str]]) -> Finding:
    """List what can run the network."""
    name = "runtime"
    try:
        found = f"onnxruntime {metadata.version('onnxruntime')}: {', '.join(providers())}"
    except (metadata.PackageNotFoundError, ImportError) as error:
        return Finding(name, FAIL, f"onnxruntime cannot be loaded ({error})", "pip install onnxruntime")
    for package in ("tensorrt-rtx-cu12", "tensorrt", "pycuda"):
        try:
            found += f"; {package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue
    return Finding(name, PASS, found)


def check_threads() -> list[Finding]:
    """Count the cores this program may use; look at variables that limit threads, and at the load."""
    cores, machine = usable_cores(), os.cpu_count() or 1
    found = f"{cores} cores" + (f" of {machine} usable" if cores < machine else "")
    if cores >= 2:
        findings = [Finding("threads", PASS, f"{found}: {cores - 1} for the network, one for the tracker")]
    else:
        cure = "give the station at least two cores (taskset, container limits), or a GPU for the network"
        findings = [Finding("threads", WARN, f"{found}: tracker and network share it", cure)]
    bound = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ]
    if bound:
        cure = "unset it unless intended; the setting [engine] threads is what counts for the network"
        findings.append(Finding("threads", WARN, f"{', '.join(bound)} is set", cure))
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > cores:
        found = f"load {os.getloadavg()[0]:.1f} on {cores} cores: other programs are using this machine"
        findings.append(Finding("load", WARN, found, "close other programs while the station runs"))
    return findings


def check_terminal(size: os.terminal_size | None = None, interactive: bool | None = None) -> Finding:
    """Compare the terminal with what the dashboard needs. None: ask the system."""
    name = "terminal"
    if not (sys.stdout.isatty() if interactive is None else interactive):
        return Finding(name, PASS, "output goes to a file or a pipe: use --headless")
    columns, lines = size or shutil.get_terminal_size()
    found = f"{columns} x {lines} characters"
    if columns >= MIN_WIDTH and lines >= MIN_HEIGHT:
        return Finding(name, PASS, found)
    return Finding(name, WARN, found, f"make it {MIN_WIDTH} x {MIN_HEIGHT} or larger, or use --headless")
