"""Follow sperm in videos with the live tracker, score it, and time it.

Causal and in a single pass: each frame is prepared once, as in the live station, and every segment is a tracker of its
own on it, which selects one sperm at the segment's first frame and is told nothing more. Segments overlap in time, so
they must not see each other as neighbours.

``--clip VIDEO GT``, as often as wanted, scores hand-made tracks: all sperm and the moving ones, clip by clip and
pooled, with 95 % intervals over segments, coverage (locked and right) beside them, and the segments that failed.
``--pan SPEED`` adds the same footage through a window that moves over it as an operator moves the stage.

Times are CPU time of the one thread that works (OpenCV is held to one), reading the video is not counted, and neither
is making frames of another size. "field" is what a frame costs whatever is followed; "per sperm" is what following
adds, neighbours and windows included, divided by the number of selected sperm that are not lost.
"""

import argparse
import csv
import itertools
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.support.report import Report
from bench.support.tracking.baselines import Baseline, baselines
from bench.support.tracking.cases import CASES, STILL_CASES, rate
from bench.support.tracking.clips import Clip, Shown, Start, clip, mixed, panned, video_frames
from bench.support.tracking.score import Outcome, Tracks, failures, interval, outcomes, qualities, tracks_of
from bench.support.tracking.sheet import contact_sheet
from bench.support.tracking.trackpy import follow_trackpy
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

Answers = dict[str, dict[int, tuple[float, float, str]]]


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
    parser.add_argument(
        "--clip", type=Path, nargs=2, action="append", default=[], metavar=("VIDEO", "GT"),
        help="score the hand-made tracks of a video, clip by clip and pooled; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--pan", type=float, action="append", default=[], metavar="PX_S",
        help="with --clip: also through a window that moves at this speed (0.001: that stays); several times",
    )  # fmt: skip
    parser.add_argument(
        "--mix", type=float, action="append", default=[], metavar="SIGMA_PX",
        help="with two --clip: also both in one picture, a crowd, smoothed by so much; several times",
    )  # fmt: skip
    parser.add_argument("--jitter", type=float, default=0.0, metavar="PX", help="with --clip: displace the starts")
    parser.add_argument(
        "--turns", type=int, default=0, metavar="N",
        help="with --clip and --jitter: also N other displacements, and how far the figures scatter",
    )  # fmt: skip
    parser.add_argument("--sheet", type=Path, help="with --clip: picture of the failed segments, one file a clip")
    parser.add_argument(
        "--trackpy", type=Path, metavar="PYTHON", help="with --clip: also TrackPy, installed in this other Python"
    )
    parser.add_argument("--matcher", choices=("auto", "opencv", "torch"), default="auto")
    parser.add_argument(
        "--cases", type=int, metavar="SEEDS", help="play the simulated hard cases, each with so many seeds"
    )
    parser.add_argument(
        "--case", action="append", metavar="TEXT", help="with --cases: only those with this in their name"
    )
    parser.add_argument("--no-timing", action="store_true", help="leave the timing out")


def run(args: argparse.Namespace) -> int:
    """Run the bench; return the exit code."""
    report = Report("tracking", "CPU time of one thread, reading and scaling of frames not counted.")
    settings = TrackerSettings(matcher=args.matcher)
    report.settings = {"video": args.video.name if args.video else None, "matcher": args.matcher}
    if args.video is None and args.cases is None and not args.clip:
        raise InputError(
            "say what to follow: --video FILE, --clip VIDEO GT, or --cases SEEDS for the simulated hard cases"
        )
    if args.video is not None:
        _run_video(report, args, settings)
    if args.turns < 0 or (args.turns and not args.jitter):
        raise InputError(
            f"--turns {args.turns}: expected 1 or more, with --jitter PX that says how far starts are moved"
        )
    if args.mix and len(args.clip) != 2:
        raise InputError(f"--mix: expected two --clip to put into one picture, got {len(args.clip)}")
    if args.clip:
        _run_clips(report, args, settings)
    if args.cases is not None:
        add_cases(report, args.cases, args.case or [""])
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
                    found = follow_plainly(video_frames(args.video), starts, baseline)
                    add_quality(report, baseline.name, args.gt, found)
    elif args.tracks_out or args.gt:
        raise InputError("--tracks-out and --gt need --starts: say what to follow")
    if not args.no_timing:
        add_timing(report, args.video, settings)


def _run_clips(report: Report, args: argparse.Namespace, settings: TrackerSettings) -> None:
    """Score every clip, then all of them together; the panned ones by themselves, as they show the same sperm."""
    pooled: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for video, gt in args.clip:
        shown = {"": clip(video, gt)} | {f" panned at {v:g} px/s": panned(video, gt, v) for v in args.pan}
        for how, one in shown.items():
            starts = one.starts(args.jitter)
            rows = {"tracker": list(follow_frames(one.frames(), starts, settings))}
            for baseline in baselines():
                if baseline.quick and not how:
                    rows[baseline.name] = list(follow_plainly(one.frames(), starts, baseline))
            if args.trackpy and not how:
                for predict in (False, True):
                    rows[f"TrackPy{' with prediction' * predict}"] = trackpy_rows(one, starts, args.trackpy, predict)
            for name, found in rows.items():
                scored = outcomes(one.tracks, answers_of(found))
                pooled[name][how] += scored
                add_outcomes(report, f"{one.name}: {name}", scored)
            add_failures(report, one, rows["tracker"], args.sheet)
            if args.turns and not how:
                add_scatter(report, one, args.jitter, args.turns, settings)
    for sigma_px in args.mix:
        first, second = (clip(video, gt) for video, gt in args.clip)
        one = mixed(first, second, sigma_px)
        found = list(follow_frames(one.frames(), one.starts(args.jitter), settings))
        add_outcomes(report, f"{one.name}: tracker", outcomes(one.tracks, answers_of(found)))
        add_failures(report, one, found, args.sheet)
    for name, by_how in pooled.items():
        for how, scored in by_how.items():
            if len(args.clip) > 1:
                add_outcomes(report, f"pooled{how}: {name}", scored)


def add_outcomes(report: Report, name: str, scored: list[Outcome]) -> None:
    """Add survival, wrong lock and coverage over all segments and the moving ones, each with its interval."""
    moving = [row for row in scored if row.segment.moving]
    for part, rows in (("all", scored), ("moving", moving)):
        quality = qualities(rows)["all"]
        for figure in ("survival", "wrong_lock", "locked_right"):
            limits = interval(rows, figure)
            note = f"{len(rows)} segments" + (f", 95 % from {limits[0]:.4f} to {limits[1]:.4f}" if limits else "")
            report.figure(f"{name} {figure}, {part}", getattr(quality, figure), "", note)


def add_scatter(report: Report, one: Clip, jitter_px: float, turns: int, settings: TrackerSettings) -> None:
    """Add mean and spread of the figures over so many displacements of the starts, all followed in one pass."""
    starts = [
        replace(start, segment=f"{turn} {start.segment}")
        for turn in range(1, turns + 1)
        for start in one.starts(jitter_px, turn)
    ]
    answers: dict[str, Answers] = defaultdict(dict)
    for name, found in answers_of(follow_frames(one.frames(), starts, settings)).items():
        turn, segment = name.split(" ", 1)
        answers[turn][segment] = found
    scored = [qualities(outcomes(one.tracks, found)) for found in answers.values()]
    for part in ("all", "moving"):
        for figure in ("survival", "wrong_lock", "locked_right"):
            values = [value for quality in scored if (value := getattr(quality[part], figure)) is not None]
            if values:
                note = f"{len(values)} turns of starts {jitter_px:g} px off, {min(values):.4f} to {max(values):.4f}"
                spread = f", standard deviation {np.std(values):.4f}"
                report.figure(f"{one.name}: jittered {figure}, {part}", float(np.mean(values)), "", note + spread)


def add_failures(report: Report, one: Clip, rows: list[Row], sheet: Path | None) -> None:
    """Add which segments failed, when, where and what was near; on request with a picture of each."""
    answers = answers_of(rows)
    failed = failures(one.tracks, answers)
    report.lines += [f"{one.name}: {failure.words}" for failure in failed]
    if sheet is not None and failed:
        path = sheet.with_stem("-".join([sheet.stem, *one.name.replace("/", " ").split()]))
        contact_sheet(path, one.frames(), one.tracks, answers, failed)
        report.lines.append(f"{one.name}: failed segments in {path}")


def trackpy_rows(one: Clip, starts: list[Start], python: Path, predict: bool) -> list[Row]:
    """Return TrackPy's answers. Raises InputError where it does not run."""
    frames = np.stack([pixels for pixels, _ in one.frames()])
    given = [(s.segment, s.frame, s.x, s.y) for s in starts]
    try:
        return [Row(*found, "locked") for found in follow_trackpy(python, frames, given, predict=predict)]
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise InputError(
            f"--trackpy {python}: does not run ({said[-1] if said else error}); give the python of an environment with"
            " trackpy and opencv installed"
        ) from error


def add_cases(report: Report, seeds: int, wanted: list[str]) -> None:
    """Add the rates at which the simulated hard cases are passed."""
    if seeds < 1:
        raise InputError(f"--cases {seeds}: expected at least 1 seed")
    names = [*CASES, *STILL_CASES]
    chosen = [name for name in names if any(text in name for text in wanted)]
    if not chosen:
        raise InputError(f"--case {' '.join(wanted)}: no such case; there are: {', '.join(names)}")
    for name in chosen:
        found = rate(name, range(seeds))
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
    return follow_frames(itertools.islice(video_frames(video), frames), starts, settings)


def follow_frames(frames: Iterable[Shown], starts: list[Start], settings: TrackerSettings) -> Iterator[Row]:
    """Yield the live tracker's answers, frame by frame, for all segments in one pass."""
    due = _by_frame(starts)
    preprocessor: Preprocessor | None = None
    running: list[tuple[Start, Tracker]] = []
    for number, (pixels, t_source_ns) in enumerate(frames):
        height, width = pixels.shape
        preprocessor = preprocessor or Preprocessor(height, width, matcher_for(settings), settings.head_px)
        prepared = preprocessor.prepare(pixels, frame_seq=number, t_source_ns=t_source_ns)
        for start in due.pop(number, ()):
            tracker = Tracker(settings, WindowShape(), height, width, preprocessor=preprocessor)
            tracker.select(min(max(start.x, 0.0), width - 1.0), min(max(start.y, 0.0), height - 1.0))
            running.append((start, tracker))
        running = [(s, t) for s, t in running if number < s.frame + FOLLOWED]
        for start, tracker in running:
            found = tracker.update_prepared(prepared).tracks[0]
            yield Row(start.segment, number, found.x, found.y, found.state.value)
    if due:
        raise InputError(f"--starts: frame {max(due)} is beyond the end of the video; take the starts of this video")


def follow_plainly(frames: Iterable[Shown], starts: list[Start], baseline: Baseline) -> Iterator[Row]:
    """Yield a baseline's answers: it always claims to be locked, as it knows no doubt."""
    due = _by_frame(starts)
    running: list[tuple[Start, object]] = []
    for number, (pixels, _) in enumerate(frames):
        running = [(s, t) for s, t in running if number < s.frame + FOLLOWED]
        for start, state in running:
            x, y = baseline.update(state, pixels)
            yield Row(start.segment, number, x, y, "locked")
        for start in due.pop(number, ()):
            running.append((start, baseline.start(pixels, start.x, start.y)))
            yield Row(start.segment, number, start.x, start.y, "locked")


def answers_of(rows: Iterable[Row]) -> Answers:
    """Return the answers by segment and frame."""
    answers: Answers = defaultdict(dict)
    for row in rows:
        answers[row.segment][row.frame] = (row.x, row.y, row.state)
    return answers


def add_quality(report: Report, name: str, gt: Path, rows: Iterable[Row]) -> None:
    """Add the figures of quality over all and over the moving segments."""
    tracks: Tracks = tracks_of(gt)
    for part, figures in qualities(outcomes(tracks, answers_of(rows))).items():
        for figure in FIGURES:
            report.figure(f"{name} {figure}, {part}", getattr(figures, figure), "", f"{figures.segments} segments")


def add_timing(report: Report, video: Path, settings: TrackerSettings) -> None:
    """Time the field, the following of several numbers of sperm, and the baselines."""
    frames = list(video_frames(video))
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


def _by_frame(starts: list[Start]) -> dict[int, list[Start]]:
    due: dict[int, list[Start]] = defaultdict(list)
    for start in starts:
        due[start.frame].append(start)
    return due
