"""How long from exposure to screen, and what does the live view cost? The whole program and a real Chromium.

Plays a film of the simulated microscope with each frame's number drawn into it through ``run_station.py --view``, and
reads that number back from the page's canvas one animation frame after it was drawn. Counted with: reading the film,
tracking, JPEG, WebSocket, decoding, drawing. Not counted: what a real screen adds (a refresh and its own delay).
The browser and all else share this machine's cores. Runs without the view alternate with those that have it, so that
exposure to grade can be compared; the third kind has the view and nobody who looks, in the fourth the browser is
stopped for 10 s (SIGSTOP). Beside them: exposure to terminal, read from the program's own terminal, and first paint: of
the terminal from the start of the program, of the page from following the link to the first picture.

Needs the extras view and test (Playwright), and /usr/bin/chromium.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zmq

from bench.support.frame_code import BITS, SIDE_PX, draw_code
from bench.support.report import Report
from bench.support.terminal_watch import Watched, watch
from capture.simulator.microscope import SimulatedMicroscope
from station.build_info import ROOT
from station.clock import NS_PER_MS, now_ns
from station.commands.client import CommandClient
from station.commands.registry import running_stations
from station.commands.requests import ReplaceLostRequest
from station.config import SimulatedSettings
from station.errors import MissingExtraError, ProcessError
from station.session.chunk_writer import ChunkWriter, FileSink

if TYPE_CHECKING:
    from playwright.sync_api import Page

MEMORY = Path("/dev/shm")
Pause = Callable[[float], None]
WARM_UP_S = 4.0
NAME = f"bench-{os.getpid()}"
REPLACE_S = 2.0
SPARE_S = 20.0
"""The film is longer than what is measured by the start of program and browser."""
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
BAND_PX = 96
"""Above the field, with the number in it: no ring or label of a sperm comes so far and hides a part of it."""

WATCH = """([bits, side]) => {
  const canvas = document.querySelector('#picture');
  const small = new OffscreenCanvas(bits, 1).getContext('2d', { willReadFrequently: true });
  globalThis.samples = [];
  new MutationObserver(() => {
    const { frameSeq, tExposureMs, frameWidth, frameHeight } = canvas.dataset;
    const zoom = Math.min(canvas.width / frameWidth, canvas.height / frameHeight);
    const left = (canvas.width - frameWidth * zoom) / 2, top = (canvas.height - frameHeight * zoom) / 2;
    for (let bit = 0; bit < bits; bit++)
      small.drawImage(canvas, left + (bit + 0.5) * side * zoom, top + side * zoom / 2, 1, 1, bit, 0, 1, 1);
    const pixels = small.getImageData(0, 0, bits, 1).data;
    let number = 0;
    for (let bit = 0; bit < bits; bit++) if (pixels[4 * bit] > 127) number |= 1 << bit;
    requestAnimationFrame(() => globalThis.samples.push(
      [number, Number(frameSeq), Number(tExposureMs), performance.timeOrigin + performance.now()]));
  }).observe(canvas, { attributeFilter: ['data-frame-seq'] });
}"""


FIRST = """new MutationObserver((_, observer) => {
  if (!document.querySelector('#picture[data-frame-seq]')) return;
  globalThis.firstPictureMs = performance.now();
  observer.disconnect();
}).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-frame-seq'] });"""
STOPPED = "view and a stopped browser"
STOP_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--fps", type=float, nargs="+", default=[15.0, 30.0])
    parser.add_argument("--seconds", type=float, default=20.0, help="measured in each run (default 20)")
    parser.add_argument("--turns", type=int, default=2, help="runs of each kind (default 2)")
    parser.add_argument("--width", type=int, default=1392)
    parser.add_argument("--height", type=int, default=976)
    parser.add_argument("--sperm", type=int, default=4, help="tracked (default 4)")


def run(args: argparse.Namespace) -> int:
    """Run the bench; return 1 where a picture and its overlay were of different frames, else 0."""
    if shutil.which("chromium") is None:
        raise MissingExtraError("bench view: no chromium on this machine; install Debian's: apt-get install chromium")
    report = Report(
        bench="view",
        counts="exposure to one animation frame after drawing, in Chromium on the same machine; not the screen itself",
        settings={key: getattr(args, key) for key in ("fps", "seconds", "turns", "width", "height", "sperm")},
    )
    torn = 0
    room = MEMORY if MEMORY.is_dir() else None
    for fps in args.fps:
        with tempfile.TemporaryDirectory(prefix="bench-view-", dir=room) as name:
            film = Path(name) / "film.mkv"
            _film(args, fps, film)
            torn += _at_rate(args, fps, film, report)
    report.figure("pictures whose overlay was of another frame", torn, note="aim: 0")
    report.emit()
    return 1 if torn else 0


def _at_rate(args: argparse.Namespace, fps: float, film: Path, report: Report) -> int:
    """Measure at one frame rate; return in how many pictures the overlay was of another frame."""
    label = f"{fps:g} frames/s"
    grade: dict[str, list[float]] = {"no view": [], "view, nobody looks": [], "view and browser": [], STOPPED: []}
    shares: list[float] = []
    paints_ms: list[float] = []
    after_stop_ms: list[float] = []
    terminals: list[Watched] = []
    samples: list[tuple[float, ...]] = []
    offset_ms = (time.time_ns() - now_ns()) / NS_PER_MS
    for _ in range(args.turns):
        for kind, found in grade.items():
            looks = kind in ("view and browser", STOPPED)
            with (
                _browser() if looks else contextlib.nullcontext() as page,
                _station(args, film, view=kind != "no view") as (process, link, summary),
                _operator() as pause,
            ):
                if page is not None and kind == STOPPED:
                    after_stop_ms.append(_stop(page, link, pause))
                elif page is not None:
                    taken, share = _watch(page, link, process.pid, args.seconds, pause)
                    samples += taken
                    shares.append(share)
                    paints_ms.append(page.evaluate("() => globalThis.firstPictureMs"))
                else:
                    pause(WARM_UP_S + args.seconds)
            p95 = json.loads(summary.read_text())["latency_ms"]["exposure_to_grade"]["p95"]
            if p95 is not None:
                found.append(p95)
        terminals.append(_terminal(args, film))
    delays_ms = [t_shown_ms - (t_exposure_ms + offset_ms) for _, _, t_exposure_ms, t_shown_ms in samples]
    expected = args.turns * args.seconds * fps
    report.timing(f"{label}: exposure to screen", delays_ms, dropped=max(0.0, 1 - len(samples) / expected))
    drawn_ms = [delay for seen in terminals for delay in seen.delays_ms]
    report.timing(f"{label}: exposure to terminal", drawn_ms)
    first_ms = statistics.median(seen.first_paint_ms for seen in terminals)
    report.figure(f"{label}: first screen of the terminal", first_ms, "ms", "from the program's start; aim: 1000")
    report.figure(f"{label}: first picture of the page", statistics.median(paints_ms), "ms", "aim: 1000")
    report.figure(
        f"{label}: picture's age 0.5 s after a stop of 10 s", max(after_stop_ms), "ms", "the newest, not a backlog"
    )
    report.figure(f"{label}: server", statistics.median(shares), "of a core", "aim: at most 0.15 at 15 frames/s")
    for kind, found in grade.items():
        median = statistics.median(found) if found else None
        report.figure(f"{label}: exposure to grade p95, {kind}", median, "ms", "median of the turns")
    return sum(number != seq for number, seq, _, _ in samples)


@contextlib.contextmanager
def _browser() -> Iterator["Page"]:
    """An empty page of a browser that has started: that alone may take longer than the film lasts."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise MissingExtraError(f"bench view: {error.name} is missing; pip install '.[test]'") from error

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*FLAGS])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(FIRST)
        yield page
        browser.close()


def _watch(page: "Page", link: str, pid: int, seconds: float, pause: Pause) -> tuple[list[tuple[float, ...]], float]:
    """Look at the view; return (number in the picture, overlay's, exposure ms, shown ms) and the server's CPU share."""
    import psutil

    port = int(link.split(":")[2].split("/")[0])
    children = psutil.Process(pid).children(recursive=True)
    server = next(c for c in children if any(k.laddr.port == port for k in c.net_connections("tcp")))
    page.goto(link)
    page.wait_for_selector("#picture[data-frame-seq]")
    page.evaluate(WATCH, [BITS, SIDE_PX])
    pause(WARM_UP_S)
    page.evaluate("() => { globalThis.samples = []; }")
    try:
        before, start = server.cpu_times(), time.monotonic()
        pause(seconds)
        after, took_s = server.cpu_times(), time.monotonic() - start
    except psutil.NoSuchProcess:
        raise ProcessError("the film ended before all was measured: this machine is too busy; try again") from None
    samples = page.evaluate("() => globalThis.samples")
    busy_s = after.user + after.system - before.user - before.system
    return [tuple(sample) for sample in samples], busy_s / took_s


def _stop(page: "Page", link: str, pause: Pause) -> float:
    """Stop the browser for a while; return how old the picture is half a second after it goes on, ms."""
    import psutil

    page.goto(link)
    page.wait_for_selector("#picture[data-frame-seq]")
    pause(WARM_UP_S)
    browser = [p for p in psutil.Process().children(recursive=True) if "chrom" in p.name()]
    for process in browser:
        process.suspend()
    pause(STOP_S)
    for process in browser:
        process.resume()
    time.sleep(0.5)
    exposed_ms = float(page.locator("#picture").get_attribute("data-t-exposure-ms") or "nan")
    return now_ns() / NS_PER_MS - exposed_ms


def _terminal(args: argparse.Namespace, film: Path) -> Watched:
    """Watch the program on a terminal, without a view."""
    command = [sys.executable, "run_station.py", *_options(args, film)]

    def replace() -> None:
        with zmq.Context() as context:
            for station in running_stations():
                if station.name == NAME:
                    with CommandClient(context, station.endpoint("commands")) as client:
                        client.ask(ReplaceLostRequest(key=station.key))

    return watch(command, NAME, args.seconds, WARM_UP_S, replace)


@contextlib.contextmanager
def _operator() -> Iterator[Pause]:
    """Yield a function that waits, and meanwhile replaces lost sperm as an operator would."""
    station = next(entry for entry in running_stations() if entry.name == NAME)
    with zmq.Context() as context, CommandClient(context, station.endpoint("commands")) as client:

        def pause(seconds: float) -> None:
            until = time.monotonic() + seconds
            while (left_s := until - time.monotonic()) > 0:
                client.ask(ReplaceLostRequest(key=station.key))
                time.sleep(min(REPLACE_S, left_s))

        yield pause


@contextlib.contextmanager
def _station(args: argparse.Namespace, film: Path, *, view: bool) -> Any:
    """Run the program; yield its process, the link of its view and the path of its summary, which is there after."""
    summary = film.parent / "summary.json"
    summary.unlink(missing_ok=True)
    options = [*_options(args, film), "--headless", "--summary", str(summary), *(["--view"] if view else [])]
    command = [sys.executable, "run_station.py", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        first = "view" if view else "model"
        line = ""
        for line in process.stdout:
            if line.startswith(first):
                break
        else:
            raise ProcessError(f"the station did not start: {line.strip()}")
        try:
            yield process, line.split()[1], summary
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            process.wait(20.0)


def _options(args: argparse.Namespace, film: Path) -> list[str]:
    settings = film.parent / "settings.toml"
    settings.write_text(f"[source]\num_per_px = {SimulatedSettings().um_per_px}\n")
    options = ["--config", settings, "--source", film, "--select", f"auto:{args.sperm}", "--no-record", "--name", NAME]
    return [str(option) for option in options]


def _film(args: argparse.Namespace, fps: float, path: Path) -> None:
    settings = SimulatedSettings(width=args.width, height=args.height - BAND_PX, fps=fps)
    microscope = SimulatedMicroscope(settings)
    with contextlib.closing(FileSink(path)) as sink:
        writer = ChunkWriter(sink, "raw", args.width, args.height)
        for number in range(math.ceil((args.seconds + WARM_UP_S + SPARE_S) * fps)):
            frame = microscope.read()
            band = np.full((BAND_PX, args.width), np.median(frame.pixels[::8, ::8]), np.uint8)
            pixels = np.concatenate([band, frame.pixels])
            draw_code(pixels, number)
            writer.add(pixels, frame.t_source_ns // NS_PER_MS)
        writer.close()
