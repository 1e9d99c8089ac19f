"""Two runs of a bench side by side: ratios, and what lies outside the noise.

Each file is what a bench printed or wrote: its last line is one JSON document, or the whole file is. Of timings the
medians are compared. Their noise is taken from the samples' own spread (three standard errors of each median, the
spread from p50 and p95), and below 3 % nothing is called a difference. It does not know the machine's mood: what else
ran, and how hot it was, is in no spread. Compare runs of one machine, in turn, more than once.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.support.report import Report
from station.errors import InputError
from station.files import TEXT_BYTES, read_bounded

SPREAD_P95: Final = 1.645
MEDIAN_ERROR: Final = 1.253
"""Standard error of a median over that of a mean, for a normal distribution."""
ERRORS: Final = 3.0
LEAST: Final = 0.03


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the bench's options."""
    parser.add_argument("old", type=Path, metavar="OLD.json", help="the earlier run")
    parser.add_argument("new", type=Path, metavar="NEW.json", help="the later one")


def run(args: argparse.Namespace) -> int:
    """Compare and report."""
    old, new = (read_documents(path) for path in (args.old, args.new))
    report = Report("compare", "ratios of medians, new over old; noise from the samples' own spread", {})
    only: list[str] = []
    for name in [*old, *(name for name in new if name not in old)]:
        if name in old and name in new:
            _compare(report, name if len(old) > 1 else "", old[name], new[name], only)
        else:
            only.append(f"{name}: only in {args.old if name in old else args.new}")
    if not report.figures and not only:
        raise InputError(f"{args.old} and {args.new}: expected the same bench in both, found nothing to compare")
    report.lines += only
    report.emit()
    return 0


def read_documents(path: Path) -> dict[str, dict[str, Any]]:
    """Return the documents of a file by bench. Raises InputError where it holds none."""
    try:
        text = read_bounded(path, TEXT_BYTES).decode("utf-8").strip()
        try:
            document = json.loads(text)
        except ValueError:
            document = json.loads(text.splitlines()[-1]) if text else None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected the JSON document of a bench, got {error}") from error
    if not isinstance(document, dict) or "bench" not in document:
        raise InputError(f"{path}: expected the JSON document of a bench; give what one printed or wrote")
    if document["bench"] == "all":
        return {name: one for name, one in document["settings"]["documents"].items() if one}
    return {document["bench"]: document}


@dataclass(frozen=True, slots=True)
class Change:
    """How much a median changed."""

    ratio: float
    outside: bool
    """Whether that is more than noise."""


def change(old: dict[str, float], new: dict[str, float]) -> Change:
    """Compare two timings as a report writes them."""
    ratio = new["p50"] / old["p50"] if old["p50"] else math.inf
    noise = ERRORS * math.hypot(*(_error(one) for one in (old, new)))
    return Change(ratio, abs(new["p50"] - old["p50"]) > noise and abs(ratio - 1) > LEAST)


def _error(timing: dict[str, float]) -> float:
    """Return the standard error of a median; infinite for fewer than three samples."""
    if timing["count"] < 3:
        return math.inf
    return MEDIAN_ERROR * (timing["p95"] - timing["p50"]) / SPREAD_P95 / math.sqrt(timing["count"])


def _compare(report: Report, prefix: str, old: dict[str, Any], new: dict[str, Any], only: list[str]) -> None:
    place = f"{prefix}: " if prefix else ""
    for kind in ("cpu", "cores"):
        if old["machine"][kind] != new["machine"][kind]:
            only.append(f"{place}another machine: {kind} {old['machine'][kind]} and {new['machine'][kind]}")
    loads = " and ".join(str((one["machine"]["load"] or ["not known"])[0]) for one in (old, new))
    only.append(f"{place}load of the machine: {loads}")
    for name, timing in old["timings"].items():
        if name not in new["timings"]:
            only.append(f"{place}{name}: only in the old one")
            continue
        other = new["timings"][name]
        found = change(timing, other)
        word = ("slower" if found.ratio > 1 else "faster") if found.outside else "within the noise"
        note = f"{word}: {timing['p50']:.3f} and {other['p50']:.3f} ms"
        if timing["dropped"] or other["dropped"]:  # what is left out is not late: a shorter time may be no better
            note += f"; dropped {timing['dropped']:.1%} and {other['dropped']:.1%}"
        report.figure(f"{place}{name}", found.ratio, "times", note)
    only.extend(f"{place}{name}: only in the new one" for name in new["timings"] if name not in old["timings"])
    for name, figure in old["figures"].items():
        other = new["figures"].get(name, {}).get("value")
        if figure.get("value") and other is not None:
            note = f"{figure['value']:.4g} and {other:.4g} {figure.get('unit', '')}".strip()
            report.figure(f"{place}{name}", other / figure["value"], "times", note)
