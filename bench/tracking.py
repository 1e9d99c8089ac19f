"""Follow sperm in a video with the live tracker, score it, and time it.

Causal and in a single pass: the field of each frame is prepared once, as in the live station, and every segment of
--starts is a tracker of its own on it, which selects one sperm at the segment's first frame and is told nothing more.
Segments overlap in time, so they must not see each other as neighbours.

Times are CPU time of the one thread that works (OpenCV is held to one), reading the video is not counted, and neither
is making frames of another size. "field" is what a frame costs whatever is followed; "per sperm" is what following
adds, neighbours and windows included, divided by the number of selected sperm that are not lost.
"""

import argparse
import csv
import itertools
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.support.report import Report
from bench.support.tracking_baselines import Baseline, baselines
from bench.support.tracking_cases import CASES, rate
from bench.support.tracking_score import score, tracks_of
from capture.files.video import VideoFile
from station.config import TrackerSettings
from station.errors import InputError
from station.files import open_regular
from station.transport.messages import TrackState
from tracker.field.preprocessor import Preprocessor
from tracker.matching.detection import find_candidates
from tracker.tracker import Tracker, matcher_for
from tracker.window import WindowShape

FOLLOWED = 150
"""Frames that a segment is followed for, its first included."""
COUNTS = (1, 4, 16, 64)
WARM_UP = 40
"""Frames that are not timed: the background is being learnt."""
BASELINE_FRAMES = 40
LARGE = (1392, 976)
"""Size (width, height) of the camera that the station is made for; the field is timed there too."""
FIGURES = ("survival", "on_target", "wrong_lock", "locked_right")


@dataclass(frozen=True, slots=True)
class Start:
    """A sperm to follow: where it is in which frame (from 0)."""

    segment: str
    frame: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Row:
    """One answer."""

    segment: str
    frame: int
    x: float
    y: float
    state: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--video", type=Path, help="video file")
    parser.add_argument("--starts", type=Path, help="CSV with segment,frame,x,y (frames from 0): what to follow")
    parser.add_argument("--tracks-out", type=Path, help="CSV that gets segment,frame,x,y,state")
    parser.add_argument("--gt", type=Path, help="hand-made tracks (MOT text): adds figures of quality to the report")
    parser.add_argument("--matcher", choices=("auto", "opencv", "torch"), default="auto")
    parser.add_argument(
        "--cases", type=int, metavar="SEEDS", help="play the simulated hard cases, each with so many seeds"
    )
    parser.add_argument("--no-timing", action="store_true", help="leave the timing out")


def run(args: argparse.Namespace) -> int:
    """Run the bench; return the exit code."""
    report = Report("tracking", "CPU time of one thread, reading and scaling of frames not counted.")
    settings = TrackerSettings(matcher=args.matcher)
    report.settings = {"video": args.video.name if args.video else None, "matcher": args.matcher}
    if args.video is None and args.cases is None:
        raise InputError("say what to follow: --video FILE, or --cases SEEDS for the simulated hard cases")
    if args.video is not None:
        _run_video(report, args, settings)
    if args.cases is not None:
        add_cases(report, args.cases)
    report.emit()
    return 0


def _run_video(report: Report, args: argparse.Namespace, settings: TrackerSettings) -> None:
    if args.starts:
        starts = read_starts(args.starts)
        rows = list(follow(args.video, starts, settings))
        if args.tracks_out:
            write_rows(args.tracks_out, rows)
        report.figure("segments", len(starts))
        report.figure("rows", len(rows))
        if args.gt:
            add_quality(report, "tracker", args.gt, rows)
            for baseline in baselines():
                if baseline.quick:
                    add_quality(report, baseline.name, args.gt, list(follow_plainly(args.video, starts, baseline)))
    elif args.tracks_out or args.gt:
        raise InputError("--tracks-out and --gt need --starts: say what to follow")
    if not args.no_timing:
        add_timing(report, args.video, settings)


def add_cases(report: Report, seeds: int) -> None:
    """Add the rates at which the simulated hard cases are passed."""
    if seeds < 1:
        raise InputError(f"--cases {seeds}: expected at least 1 seed")
    for name, case in CASES.items():
        found = rate(case, range(seeds))
        report.figure(f"{name}: survived", found.survived, "", f"{found.trials} trials, locked {found.locked:.0%}")
        report.figure(f"{name}: lost or right at the end", found.lost_or_right)
        report.figure(
            f"{name}: wrong lock", found.wrong_lock, "", f"at most {found.longest_wrong_lock_s:.2f} s at a stretch"
        )


def read_starts(path: Path) -> list[Start]:
    """Read the segments to follow. Raises InputError where the file is not as expected."""
    try:
        with TextIOWrapper(open_regular(path), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [Start(r["segment"], int(r["frame"]), float(r["x"]), float(r["y"])) for r in rows]
    except OSError as error:
        raise InputError(f"--starts {path}: cannot be read ({error.strerror})") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"--starts {path}: expected columns segment,frame,x,y with numbers ({error!r})") from error


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write the answers as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("segment", "frame", "x", "y", "state"))
        writer.writerows((r.segment, r.frame, round(r.x, 2), round(r.y, 2), r.state) for r in rows)


def follow(video: Path, starts: list[Start], settings: TrackerSettings, frames: int | None = None) -> Iterator[Row]:
    """Yield the live tracker's answers, frame by frame, for all segments in one pass over (the first) ``frames``."""
    due = _by_frame(starts)
    window = WindowShape()
    with VideoFile(video) as source:
        height, width = source.info.height, source.info.width
        preprocessor = Preprocessor(height, width, matcher_for(settings), settings.head_px)
        running: list[tuple[Start, Tracker]] = []
        for number, (pixels, t_source_ns) in enumerate(itertools.islice(_frames(source), frames)):
            frame = preprocessor.prepare(pixels, frame_seq=number, t_source_ns=t_source_ns)
            for start in due.pop(number, ()):
                tracker = Tracker(settings, window, height, width, preprocessor=preprocessor)
                tracker.select(min(max(start.x, 0.0), width - 1.0), min(max(start.y, 0.0), height - 1.0))
                running.append((start, tracker))
            running = [(s, t) for s, t in running if number < s.frame + FOLLOWED]
            for start, tracker in running:
                found = tracker.update_prepared(frame).tracks[0]
                yield Row(start.segment, number, found.x, found.y, found.state.value)
    if due:
        raise InputError(f"--starts: frame {max(due)} is beyond the end of {video.name}; take the starts of this video")


def follow_plainly(video: Path, starts: list[Start], baseline: Baseline) -> Iterator[Row]:
    """Yield a baseline's answers: it always claims to be locked, as it knows no doubt."""
    due = _by_frame(starts)
    with VideoFile(video) as source:
        running: list[tuple[Start, object]] = []
        for number, (pixels, _) in enumerate(_frames(source)):
            running = [(s, t) for s, t in running if number < s.frame + FOLLOWED]
            for start, state in running:
                x, y = baseline.update(state, pixels)
                yield Row(start.segment, number, x, y, "locked")
            for start in due.pop(number, ()):
                running.append((start, baseline.start(pixels, start.x, start.y)))
                yield Row(start.segment, number, start.x, start.y, "locked")


def add_quality(report: Report, name: str, gt: Path, rows: list[Row]) -> None:
    """Add the figures of quality over all and over the moving segments."""
    answers: dict[str, dict[int, tuple[float, float, str]]] = defaultdict(dict)
    for row in rows:
        answers[row.segment][row.frame] = (row.x, row.y, row.state)
    for part, figures in score(tracks_of(gt), answers).items():
        for figure in FIGURES:
            report.figure(f"{name} {figure}, {part}", getattr(figures, figure), "", f"{figures.segments} segments")


def add_timing(report: Report, video: Path, settings: TrackerSettings) -> None:
    """Time the field, the following of several numbers of sperm, and the baselines."""
    with VideoFile(video) as source:
        frames = list(_frames(source))
    height, width = frames[0][0].shape
    points: list[tuple[float, float]] = []
    for count in COUNTS:
        preprocessor = Preprocessor(height, width, matcher_for(settings))
        tracker = Tracker(settings, WindowShape(), height, width, preprocessor=preprocessor)
        field_ms, sperm_ms = [], []
        for number, (pixels, t_source_ns) in enumerate(frames):
            start = time.thread_time_ns()
            frame = preprocessor.prepare(pixels, frame_seq=number, t_source_ns=t_source_ns)
            middle = time.thread_time_ns()
            if number == WARM_UP:
                points = points or [(c.x, c.y) for c in sorted(find_candidates(frame), key=lambda c: -c.energy)]
                for x, y in points[:count]:
                    tracker.select(x, y)
            tracks = tracker.update_prepared(frame).tracks
            end = time.thread_time_ns()
            if number > WARM_UP:
                field_ms.append((middle - start) / 1e6)
                followed = sum(t.state is not TrackState.LOST for t in tracks)
                if followed:
                    sperm_ms.append((end - middle) / 1e6 / followed)
        if count == COUNTS[0]:
            report.timing(f"field, {width} x {height}", field_ms)
        note = "" if count <= len(points) else f"{len(points)} candidates only"
        report.timing(f"per sperm, {count} followed", sperm_ms, note=note)
    _time_large_field(report, frames, settings)
    _time_baselines(report, frames, points)


def _time_large_field(report: Report, frames: list[tuple[NDArray[np.uint8], int]], settings: TrackerSettings) -> None:
    """Time the field at the camera's size, on frames of the video enlarged."""
    preprocessor = Preprocessor(LARGE[1], LARGE[0], matcher_for(settings))
    preprocessor.rescale(preprocessor.head_px * LARGE[0] / frames[0][0].shape[1])
    samples = []
    for number, (pixels, t_source_ns) in enumerate(frames[: 4 * WARM_UP]):
        large = np.asarray(cv2.resize(pixels, LARGE, interpolation=cv2.INTER_CUBIC), np.uint8)
        start = time.thread_time_ns()
        preprocessor.prepare(large, frame_seq=number, t_source_ns=t_source_ns)
        if number > WARM_UP:
            samples.append((time.thread_time_ns() - start) / 1e6)
    report.timing(f"field, {LARGE[0]} x {LARGE[1]}", samples, note="frames enlarged")


def _time_baselines(
    report: Report, frames: list[tuple[NDArray[np.uint8], int]], points: list[tuple[float, float]]
) -> None:
    for baseline in baselines():
        state = baseline.start(frames[WARM_UP][0], *points[0])
        samples = []
        for pixels, _ in frames[WARM_UP + 1 : WARM_UP + 1 + BASELINE_FRAMES]:
            start = time.thread_time_ns()
            baseline.update(state, pixels)
            samples.append((time.thread_time_ns() - start) / 1e6)
        report.timing(f"{baseline.name}, per sperm", samples)
    if not hasattr(cv2, "TrackerCSRT"):
        report.figure("OpenCV CSRT", None, "ms", "not in this OpenCV: it comes with opencv-contrib-python")


def _frames(source: VideoFile) -> Iterator[tuple[NDArray[np.uint8], int]]:
    while (frame := source.read()) is not None:
        yield frame.pixels, frame.t_source_ns


def _by_frame(starts: list[Start]) -> dict[int, list[Start]]:
    due: dict[int, list[Start]] = defaultdict(list)
    for start in starts:
        due[start.frame].append(start)
    return due
