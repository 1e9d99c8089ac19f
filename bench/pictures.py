"""How soon are bad pictures noticed, and how often are good ones called bad?

Feeds the tracker with footage as it is, and with each fault put into it from its second second on: out of focus (a blur
of a tenth and a fifth of a head, under the noise that the camera adds afterwards), saturated, too dark, black, frozen,
and every picture twice. Counts windows by what their evidence says, and measures the source time until the caution.

Good footage must give no caution and no window that is disturbed by its pictures; windows with a crossing or a moving
stage are counted apart, as these are in the footage. Nothing is said about how a network would grade.
"""

import argparse
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.support.report import Report
from bench.support.tracking.clips import Shown, video_frames
from capture.simulator.microscope import SimulatedMicroscope
from station.clock import NS_PER_S
from station.config import SimulatedSettings, TrackerSettings
from station.errors import InputError
from station.output import say
from station.transport.messages import Cause
from tracker.tracker import Tracker
from tracker.window import WindowShape

BEFORE_S = 1.0
"""Good pictures before a fault."""
AFTER_S = 2.0
"""Bad ones: what is not noticed by then is missed."""
NOISE_LEVELS = 2.0
"""Of a camera, added to what was blurred: optics blur the picture, not the noise."""
PICTURE_CAUSES = frozenset(Cause) - {Cause.CROSSING, Cause.STAGE}
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Footage:
    """Frames to look at, over and over if need be."""

    name: str
    frames: Callable[[], Iterator[Shown]]
    head_px: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the tracker made of footage."""

    windows: int
    causes: Counter[Cause]
    """Windows by cause, after the fault began."""
    fresh: int
    """Windows after the fault began that are not marked by any cause of a bad picture."""
    cautions: frozenset[str]
    noticed_s: float | None
    """Source time from the fault's beginning to the first caution."""


def faults(head_px: float) -> dict[str, Callable[[Pixels, int], Pixels | None]]:
    """Return what is done to each frame (H, W), by name; None: the frame is the one before."""

    def blurred(share: float) -> Callable[[Pixels, int], Pixels]:
        def blur(pixels: Pixels, number: int) -> Pixels:
            soft = cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), share * head_px)
            noise = np.random.default_rng(number).normal(0.0, NOISE_LEVELS, pixels.shape)
            return np.asarray(np.clip(np.rint(soft + noise), 0, 255), np.uint8)

        return blur

    def brighter(pixels: Pixels, _number: int) -> Pixels:
        return np.minimum(pixels.astype(np.float32) * (300.0 / np.percentile(pixels, 80)), 255).astype(np.uint8)

    def darker(pixels: Pixels, _number: int) -> Pixels:
        return (pixels * (10.0 / np.percentile(pixels, 99))).astype(np.uint8)

    return {
        "out of focus by 0.1 heads": blurred(0.1),
        "out of focus by 0.2 heads": blurred(0.2),
        "too bright": brighter,
        "too dark": darker,
        "black": lambda pixels, _number: np.zeros_like(pixels),
        "frozen": lambda _pixels, _number: None,
        "every picture twice": lambda pixels, number: None if number % 2 else pixels,
    }


def look(footage: Footage, fault: Callable[[Pixels, int], Pixels | None] | None, seconds: float, sperm: int) -> Outcome:
    """Track some sperm through footage; ``fault`` sets in after ``BEFORE_S``."""
    tracker: Tracker | None = None
    first_ns: int | None = None
    shown: Pixels | None = None
    windows = fresh = 0
    causes: Counter[Cause] = Counter()
    cautions: set[str] = set()
    noticed_s: float | None = None
    for seq, (pixels, t_ns) in enumerate(footage.frames()):
        first_ns = t_ns if first_ns is None else first_ns
        past_s = (t_ns - first_ns) / NS_PER_S
        if past_s > seconds:
            break
        if tracker is None:
            tracker = Tracker(TrackerSettings(), WindowShape(), *pixels.shape)
            tracker.select_auto(sperm)
        bad = fault is not None and past_s >= BEFORE_S
        changed = fault(pixels, seq) if fault is not None and bad else pixels
        shown = shown if changed is None and shown is not None else changed
        assert shown is not None
        result = tracker.update(shown, frame_seq=seq, t_source_ns=t_ns)
        cautions.update(result.cautions)
        if bad and result.cautions and noticed_s is None:
            noticed_s = past_s - BEFORE_S
        if fault is None or bad:
            windows += len(result.windows)
            found = [set(window.measured.causes) for window in result.windows]
            causes.update(cause for one in found for cause in one)
            fresh += sum(not one & PICTURE_CAUSES for one in found)
    return Outcome(windows, causes, fresh, frozenset(cautions), noticed_s)


def simulated(**settings: float) -> Footage:
    """Return the simulated microscope."""
    chosen = SimulatedSettings.model_validate({"width": 640, "height": 480, "sperm": 12, "fps": 30.0, **settings})

    def frames() -> Iterator[Shown]:
        with SimulatedMicroscope(chosen) as microscope:
            while True:
                frame = microscope.read()
                yield frame.pixels, frame.t_source_ns

    words = ", ".join(f"{key} {value:g}" for key, value in settings.items())
    return Footage(f"simulated {words}".strip(), frames, 10.5 / chosen.um_per_px)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("video", nargs="*", type=Path, help="videos to look at beside the simulation, heads of 21 px")
    parser.add_argument("--seconds", type=float, default=20.0, help="of good footage, s (default 20)")
    parser.add_argument("--sperm", type=int, default=8, help="to track (default 8)")


def run(args: argparse.Namespace) -> int:
    """Run the bench; exit code 1 where good footage was called bad or a fault was missed."""
    for video in args.video:
        if not video.is_file():
            raise InputError(f"{video}: expected a video, found no such file; give its path")
    footage = [Footage(f"{video.parent.name}/{video.name}", _loop(video), 21.0) for video in args.video]
    footage += [simulated(), simulated(um_per_px=0.5), simulated(noise=0.0), simulated(sperm=1, debris=2)]
    report = Report("pictures", "source time from a fault to its caution; windows of good footage by their evidence")
    wrong = 0
    for one in footage:
        good = look(one, None, args.seconds, args.sperm)
        called = sum(good.causes[cause] for cause in PICTURE_CAUSES)
        wrong += called + len(good.cautions)
        marked = {cause.value: good.causes[cause] for cause in Cause if good.causes[cause]}
        report.figure(f"{one.name}: cautions", len(good.cautions), "", "; ".join(sorted(good.cautions)))
        report.figure(f"{one.name}: windows called bad", called, "", f"of {good.windows}; marked: {marked or 'none'}")
        for name, fault in faults(one.head_px).items():
            found = look(one, fault, BEFORE_S + AFTER_S, args.sperm)
            missed = found.noticed_s is None
            note = f"{found.fresh} of {found.windows} windows look fresh" + ("; MISSED" if missed else "")
            report.figure(f"{one.name}: {name}", found.noticed_s, "s", note)
            say(f"{one.name}: {name}: {found.noticed_s} s, {note}")
    report.emit()
    return 1 if wrong else 0


def _loop(video: Path) -> Callable[[], Iterator[Shown]]:
    return lambda: itertools.chain(video_frames(video))
