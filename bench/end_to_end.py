"""From the exposure of a picture to its grade in another program: how long, and where does the time go?

The whole station on a camera that draws number and moment of exposure into the lowest bits of every picture. Another
program receives the grades, and the windows that were graded, and reads both back from the graded pixels: the time is
from what the pixels say to the grade's arrival, so no stamp of the station can make it look better. A grade whose
pixels are of another exposure than it says, or of another span, is wrong and makes the exit code 1. With the view, a
page that asks for pictures as fast as it gets them is served meanwhile, and their age is read likewise.

Where the time goes is the station's own account of each grade: capture (exposure to sent), wire (to the tracker),
tracker, window (to the engine), waiting (for the network), network, reader (from the grade's publication to its
arrival). These add up to the whole, grade by grade. Everything shares this machine's cores with the camera, the reader
and the page. Not included: a real camera's readout and transfer. The view needs the extra view.
"""

import argparse
import contextlib
import math
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from bench.support.end_to_end.case import Case, Outcome, run_case
from bench.support.histogram import add_svg_option
from bench.support.report import Report
from capture.simulator.microscope import SimulatedMicroscope
from station.config import SimulatedSettings

MEMORY: Final = Path("/dev/shm")
FILM_S: Final = 2.0
BESIDE: Final = {"nothing": (False, False), "recorder": (True, False), "view": (False, True), "both": (True, True)}
"""Whether there is a recorder, and a view with a page that looks."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--sperm", type=int, nargs="+", default=[1, 4, 8], help="tracked (default 1 4 8)")
    parser.add_argument("--fps", type=float, nargs="+", default=[15.0, 60.0, 160.0], help="default 15 60 160")
    parser.add_argument(
        "--beside", nargs="+", choices=BESIDE, default=[*BESIDE], help="what runs besides (default all)"
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="measured in each run (default 8)")
    parser.add_argument("--turns", type=int, default=1, help="runs of each kind (default 1)")
    parser.add_argument("--width", type=int, default=1392)
    parser.add_argument("--height", type=int, default=976)
    parser.add_argument("--folder", type=Path, help="folder on the disk to record to (default: a temporary one)")
    parser.add_argument("--quick", action="store_true", help="four sperm at 60/s, alone and with both, 3 s")
    add_svg_option(parser)


def run(args: argparse.Namespace) -> int:
    """Run the bench; return 1 where the pixels of a grade were not those it spoke of, else 0."""
    if args.quick:
        args.sperm, args.fps, args.beside, args.seconds, args.turns = [4], [60.0], ["nothing", "both"], 3.0, 1
    names = ("sperm", "fps", "beside", "seconds", "turns", "width", "height")
    report = Report(
        bench="end-to-end",
        counts="exposure that the graded pixels name to the grade's arrival elsewhere; dropped: frames never tracked",
        settings={name: getattr(args, name) for name in names},
    )
    found: dict[Case, list[Outcome]] = {}
    for fps in args.fps:
        with _film(args, fps) as film:
            for _ in range(args.turns):
                for sperm in args.sperm:
                    for beside in args.beside:
                        recorded, viewed = BESIDE[beside]
                        case = Case(sperm, fps, recorded, viewed, args.seconds)
                        with tempfile.TemporaryDirectory(prefix="e2e-", dir=args.folder) as folder:
                            found.setdefault(case, []).append(run_case(case, film, Path(folder)))
    describe(report, found)
    report.emit(svg=args.svg)
    return 1 if any(one.wrong for turns in found.values() for one in turns) else 0


def describe(report: Report, found: dict[Case, list[Outcome]]) -> None:
    """Put what was found into the report: the whole in the table, the stages as lines below it."""
    widths = max(len(case.name) for case in found)
    stages = [*next(iter(found.values()))[0].stages_ms]
    heads = " ".join(f"{name:>14}" for name in ("exposure-grade", *stages))
    report.lines += ["where the time goes, p50 / p95 ms:", f"{'':{widths}} {heads}"]
    for case, turns in found.items():
        grades_ms = [ms for one in turns for ms in one.grades_ms]
        frames, dropped = sum(one.frames for one in turns), sum(one.dropped for one in turns)
        per_s = len(grades_ms) / case.seconds / len(turns)
        note = f"{per_s:.1f} grades/s"
        whole = report.timing(case.name, grades_ms, dropped=dropped / frames if frames else 0.0, note=note)
        cells = [f"{whole.p50:.1f} / {whole.p95:.1f}"]
        for name in stages:
            stage_ms = [ms for one in turns for ms in one.stages_ms[name]]
            stage = report.timing(f"{case.name}: {name}", stage_ms, shown=False)
            cells.append(f"{stage.p50:.1f} / {stage.p95:.1f}")
        report.lines.append(f"{case.name:{widths}} " + " ".join(f"{cell:>14}" for cell in cells))
        if case.viewed:
            report.timing(f"{case.name}: to a picture of the view", [ms for one in turns for ms in one.pictures_ms])
    first_s = statistics.median(one.first_grade_s for turns in found.values() for one in turns)
    report.figure("start of the program to its first grade", first_s, "s", "median of all runs; aim: at most 2.5")
    memory_mb = max(one.memory_mb for turns in found.values() for one in turns)
    report.figure("memory of the whole program", memory_mb, "MB", "at most, of all runs; the film is a part of it")
    for name, attribute in (("of other pixels than they say", "wrong"), ("without readable pixels", "unproven")):
        count = sum(getattr(one, attribute) for turns in found.values() for one in turns)
        report.figure(f"grades {name}", count, note="aim: 0")


@contextlib.contextmanager
def _film(args: argparse.Namespace, fps: float) -> Iterator[Path]:
    """A film of a few seconds in memory, its lowest bits 0."""
    microscope = SimulatedMicroscope(SimulatedSettings(width=args.width, height=args.height, fps=fps))
    with tempfile.TemporaryDirectory(prefix="e2e-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        path, count = Path(folder) / "film.npy", math.ceil(FILM_S * fps)
        film = np.lib.format.open_memmap(path, "w+", np.uint8, (count, args.height, args.width))
        for number in range(count):
            film[number] = microscope.read().pixels & 0xFE
        film.flush()
        yield path
