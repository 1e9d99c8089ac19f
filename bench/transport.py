"""From one process to others: how long does a frame take, how many get through, and what does a slow reader do?

The station's link from capture to tracker beside two things one would use instead: imagezmq (PUB and SUB, its default
queues), and a ring in shared memory. Each frame has its number drawn into it, and the reader looks whether it is the
one that was announced. Times are from just before a frame is handed over, its header not yet made, to just after the
reader has it, its header checked. The ways take turns at every rate, each with processes of its own; a ratio is of the
medians of the turns. Flat out at most 600 frames are sent, since imagezmq keeps up to 1000 for each reader. A slow
reader sleeps 0.2 s over each frame, and only the others are counted.

Included: all processes on this machine's cores, the copying of a frame that the next may be drawn. Not included:
another machine. Needs the extra bench for imagezmq; without it the other two are measured.
"""

import argparse
import statistics
from typing import Final

from bench.support.histogram import add_svg_option
from bench.support.report import Report, percentiles
from bench.support.transport.cell import Cell, Measured, measure
from bench.support.transport.ways import WAYS, why_not
from capture.simulator.microscope import SimulatedMicroscope
from station.config import SimulatedSettings

RATES: Final = (15.0, 60.0, 160.0, None)
READERS: Final = (1, 4)
SLOW_RATE: Final = 60.0
ABOUT: Final = {"imagezmq": 1.0, "ring": 2.0}
"""At most so many times another way's p99 at 60/s the station's may be."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (default 5)")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each kind (default 3)")
    parser.add_argument("--width", type=int, default=1392)
    parser.add_argument("--height", type=int, default=976)
    parser.add_argument("--quick", action="store_true", help="60/s and flat out alone, one turn of 2 s")
    add_svg_option(parser)


def run(args: argparse.Namespace) -> int:
    """Run the bench; return 1 where a reader got another picture than was announced, else 0."""
    seconds, turns = (min(args.seconds, 2.0), 1) if args.quick else (args.seconds, args.turns)
    report = Report(
        bench="transport",
        counts="a frame from one process to others on this machine: handed over to received and checked",
        settings={"seconds": seconds, "turns": turns, "width": args.width, "height": args.height},
    )
    ways = []
    for way in WAYS:
        if reason := why_not(way):
            report.lines.append(f"{way}: not measured: {reason}")
        else:
            ways.append(way)
    settings = SimulatedSettings(width=args.width, height=args.height)
    frame = SimulatedMicroscope(settings).read().pixels
    found: dict[Cell, list[Measured]] = {}
    for turn in range(turns):
        for kind in kinds(ways, seconds, quick=args.quick):
            for cell in kind[turn % len(kind):] + kind[:turn % len(kind)]:  # fmt: skip
                found.setdefault(cell, []).append(measure(cell, frame))
    describe(report, found)
    report.emit(svg=args.svg)
    return 1 if any(one.torn for turns_found in found.values() for one in turns_found) else 0


def kinds(ways: list[str], seconds: float, *, quick: bool) -> list[list[Cell]]:
    """Return what is measured in one turn: of each kind, a cell for each way."""
    rates = [rate for rate in RATES if not quick or rate in (SLOW_RATE, None)]
    shapes = [(rate, readers, False) for rate in rates for readers in READERS]
    shapes.insert(shapes.index((SLOW_RATE, READERS[-1], False)) + 1, (SLOW_RATE, READERS[-1], True))
    return [[Cell(way, rate, readers, seconds, slow) for way in ways] for rate, readers, slow in shapes]


def describe(report: Report, found: dict[Cell, list[Measured]]) -> None:
    """Put what was measured into the report: distributions first, then what follows from them."""
    for cell, turns in found.items():
        pooled = [delay for one in turns for delay in one.delays_ms]
        dropped = statistics.mean(one.dropped for one in turns)
        busy = statistics.median(one.busy for one in turns)
        report.timing(cell.name, pooled, dropped=dropped, note=f"{busy:.2f} cores")
        if cell.rate is None:
            report.figure(f"{cell.name}: received", statistics.median(one.per_s for one in turns), "frames/s")
    p99 = {cell: statistics.median(percentiles(one.delays_ms).p99 for one in turns) for cell, turns in found.items()}
    for cell in p99:
        if cell.way == WAYS[0] and cell.rate == SLOW_RATE and not cell.slow:
            for other, most in ABOUT.items():
                twin = Cell(other, cell.rate, cell.readers, cell.seconds)
                if p99.get(twin):
                    name = f"p99 at {SLOW_RATE:g}/s, readers: {cell.readers}, over {other}'s"
                    report.figure(name, p99[cell] / p99[twin], "times", f"aim: at most {most:g}")
    for cell in p99:
        if cell.slow:
            without = p99.get(Cell(cell.way, cell.rate, cell.readers, cell.seconds))
            if without:
                aim = "aim: .90 to 1.10" if cell.way == WAYS[0] else ""
                report.figure(f"{cell.way}: p99 of the others with a slow reader", p99[cell] / without, "times", aim)
            memory = max(one.slow_mb for one in found[cell])
            report.figure(f"{cell.way}: memory of the slow reader", memory, "MB", "at most, its start included")
    torn = sum(one.torn for turns in found.values() for one in turns)
    report.figure("pictures of another number than was announced", torn, note="aim: 0")
