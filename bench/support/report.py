"""The report format of all benches: a table for people, and one JSON document as the last line for machines.

A bench warms up, takes samples and hands them in; this module computes percentiles, describes the machine and prints.
It does no measuring itself.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Column, Table

from bench.support.histogram import write_histograms
from station.console import Console
from station.machine import processor
from station.notice import NOTICE
from station.output import say
from station.transport.control_messages import Percentiles

PACKAGES = ("numpy", "opencv-python", "onnxruntime", "pyzmq", "torch")


@dataclass(frozen=True, slots=True)
class Timing:
    """A distribution of durations in ms."""

    name: str
    ms: Percentiles
    dropped: float = 0.0
    """Share of the samples that were lost."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A single number."""

    name: str
    value: float | None
    unit: str = ""
    note: str = ""


@dataclass(slots=True)
class Report:
    """The results of one bench."""

    bench: str
    """Name of the command, as in ``python -m bench NAME``."""
    counts: str
    """What the numbers include and exclude, in one sentence."""
    settings: dict[str, Any] = field(default_factory=dict)
    timings: list[Timing] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """What else is to be read, below the tables."""
    samples: dict[str, Sequence[float]] = field(default_factory=dict)
    """Of the timings that people are shown, ms."""

    def timing(
        self, name: str, samples_ms: Sequence[float], *, dropped: float = 0.0, note: str = "", shown: bool = True
    ) -> Percentiles:
        """Add the distribution of ``samples_ms`` and return it; ``shown`` False: to the JSON document alone."""
        found = percentiles(samples_ms)
        self.timings.append(Timing(name, found, dropped, note))
        if shown:
            self.samples[name] = samples_ms
        return found

    def figure(self, name: str, value: float | None, unit: str = "", note: str = "") -> None:
        """Add a single number; None if it could not be measured, and ``note`` says why."""
        self.figures.append(Figure(name, value, unit, note))

    def document(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON."""
        return {
            "bench": self.bench,
            "counts": self.counts,
            "settings": self.settings,
            "machine": machine(),
            "timings": {
                t.name: {**t.ms.model_dump(), "dropped": t.dropped, **({"note": t.note} if t.note else {})}
                for t in self.timings
            },
            "figures": {f.name: {k: v for k, v in asdict(f).items() if k != "name" and v != ""} for f in self.figures},
            **({"lines": self.lines} if self.lines else {}),
        }

    def emit(self, console: Console | None = None, *, svg: Path | None = None) -> None:
        """Print the tables, then the JSON document as the last line of standard output.

        ``svg``: where to draw the distributions of the timings.
        """
        if svg is not None:
            write_histograms(svg, f"bench {self.bench}: {self.counts}", self.samples)
        document = self.document()
        console = console or Console(soft_wrap=True)
        about = document["machine"]
        console.print(f"bench {self.bench}: {self.counts}", style="bold")
        console.print(f"{about['cpu']}, {about['cores']} cores, load {about['load']}, Python {about['python']}")
        if self.timings:
            table = Table("ms", *(_right(n) for n in ("n", "p50", "p95", "p99", "max", "dropped")), "")
            for t in (one for one in self.timings if one.name in self.samples):
                cells = (f"{v:.3f}" for v in (t.ms.p50, t.ms.p95, t.ms.p99, t.ms.max))
                table.add_row(t.name, str(t.ms.count), *cells, f"{t.dropped:.2%}", t.note)
            console.print(table)
        if self.figures:
            table = Table("figure", _right("value"), "unit", "")
            for f in self.figures:
                table.add_row(f.name, "N/A" if f.value is None else f"{f.value:.4g}", f.unit, f.note)
            console.print(table)
        for line in self.lines:
            console.print(line, markup=False, highlight=False)
        console.print(NOTICE)
        say(json.dumps(document), flush=True)


def percentiles(samples_ms: Sequence[float]) -> Percentiles:
    """Return the distribution of durations in ms; all zero without samples."""
    if not len(samples_ms):
        return Percentiles()
    p50, p95, p99, highest = np.percentile(np.asarray(samples_ms, float), (50, 95, 99, 100)).tolist()
    return Percentiles(count=len(samples_ms), p50=p50, p95=p95, p99=p99, max=highest)


def sample_ms(call: Callable[[], object], *, count: int, warm_up: int) -> list[float]:
    """Return the durations of ``count`` calls in ms, after ``warm_up`` uncounted calls."""
    for _ in range(warm_up):
        call()
    samples = []
    for _ in range(count):
        start = time.perf_counter_ns()
        call()
        samples.append((time.perf_counter_ns() - start) / 1e6)
    return samples


def machine() -> dict[str, Any]:
    """Return a description of this machine."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "load": [round(v, 2) for v in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": versions,
    }


def _right(name: str) -> Column:
    return Column(name, justify="right")
