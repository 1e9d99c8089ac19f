"""Does the station survive what a bad day does to it? Processes killed and stopped, overload, long runs, floods.

Each scenario runs the whole program (``run_station.py``), does its worst, and holds what comes of it against a stated
bound: graded again in time, no valid grade from a window with a gap, the session intact and replayable, nothing left
behind. Figures depend on the machine and on what else runs on it; the bounds do not. Linux only: it sends signals and
reads /proc.

The table goes to standard output, and with --out between the two markers of a document (docs/reliability.md).
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.table import Table

from bench.support.chaos.scenarios import SCENARIOS, Outcome, Setting, scenario
from bench.support.report import Report, machine
from station.console import Console
from station.errors import InputError
from station.files import write_atomically
from station.output import say

BEGIN: Final = "<!-- bench chaos: the table begins; {} -->"
END: Final = "<!-- bench chaos: the table ends; {} -->"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this bench's options."""
    parser.add_argument("--quick", action="store_true", help="a minute or two a scenario, for a change at hand")
    parser.add_argument(
        "--only", action="append", choices=sorted(SCENARIOS), metavar="NAME",
        help=f"this scenario ({', '.join(SCENARIOS)}); repeat it for several (default: all)",
    )  # fmt: skip
    parser.add_argument("--times", type=int, metavar="N", help="do each thing N times instead of as often as usual")
    parser.add_argument("--minutes", type=float, metavar="M", help="length of the long runs, instead of the usual one")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default 0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a document with the markers: replace its tables")


def run(args: argparse.Namespace) -> int:
    """Run the bench; return 1 if anything was not as it must be, else 0."""
    if sys.platform != "linux":
        raise InputError("bench chaos: runs on Linux only; it sends signals and reads /proc")
    names = args.only or list(SCENARIOS)
    if args.out is not None:
        for name in names:
            _replaced(_text(args.out), name, "", args.out)  # now, and not after half an hour
    report = Report(
        bench="chaos",
        counts="the whole program under faults and load; how often it did what it must",
        settings={"quick": args.quick, "times": args.times, "minutes": args.minutes, "seed": args.seed},
    )
    passed = True
    for name in names:
        rows = list(_outcomes(name, args))
        passed &= all(row.passed for row in rows)
        for row in rows:
            report.figure(f"{name}, {row.what}", row.good, f"of {row.tries}", row.figures)
            report.lines += [f"{name}, {row.what}: {line}" for line in row.wrong]
        if args.out is not None:
            write_atomically(args.out, _replaced(_text(args.out), name, markdown(rows), args.out).encode())
        _show(name, rows)
    report.emit()
    return 0 if passed else 1


def _outcomes(name: str, args: argparse.Namespace) -> Iterator[Outcome]:
    module = scenario(name)
    say(f"{name}: {module.SUMMARY}", flush=True)
    with tempfile.TemporaryDirectory(prefix=f"chaos-{name}-") as folder:
        for row in module.run(Setting(Path(folder), args.quick, args.times, args.minutes, args.seed)):
            say(f"{name}: {row.what}: {row.good} of {row.tries}, {row.figures}", flush=True)
            yield row


def _show(name: str, rows: list[Outcome]) -> None:
    table = Table(name, "good", "must", "measured")
    for row in rows:
        table.add_row(row.what, f"{row.good} of {row.tries}", row.bound, row.figures)
    Console(soft_wrap=True).print(table)


def markdown(rows: list[Outcome]) -> str:
    """Return the outcomes of one scenario as a table, with where and when they were found."""
    about = machine()
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {about['cpu']}, {about['cores']} cores, Python {about['python']}",
        "",
        "| what | good | must | measured |",
        "|---|---|---|---|",
    ]
    lines += [f"| {row.what} | {row.good} of {row.tries} | {row.bound} | {row.figures} |" for row in rows]
    lines += [f"\nNot as it must be: {line}" for row in rows for line in row.wrong]
    return "\n".join(lines)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out {path}: cannot be read ({error.strerror}); give docs/reliability.md") from error


def _replaced(text: str, name: str, table: str, path: Path) -> str:
    begin, end = BEGIN.format(name), END.format(name)
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise InputError(f"--out {path}: expected the lines {begin!r} and {end!r}; add them where the table belongs")
    return f"{before}{begin}\n{table}\n{end}{after}"
