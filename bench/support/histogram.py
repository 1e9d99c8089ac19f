"""The distributions of a bench as one picture (SVG): a row each, on one logarithmic axis of milliseconds.

Rows of one bench can be compared at a glance, tails included: a percentile says little about two humps. It draws; it
knows no bench.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import numpy as np

from station.errors import InputError
from station.notice import NOTICE

LEFT, WIDTH, ROW, HEAD, FOOT = 350, 640, 46, 30, 44
BINS_A_DECADE: Final = 40
STEPS: Final = (1, 2, 5)
MARKS: Final = {50: "p50", 95: "p95", 99: "p99"}
STYLE: Final = (
    "text{font:12px sans-serif;fill:#222}.s{font-size:10px;fill:#555}.b{fill:#3b6ea5}.g{stroke:#ddd}"
    ".m{stroke:#b3261e;stroke-width:1.2}.w{fill:#fff}"
)


def add_svg_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--svg``."""
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also draw the distributions to FILE (SVG)")


def write_histograms(path: Path, title: str, samples: Mapping[str, Sequence[float]]) -> None:
    """Write a row for each distribution, ms. Raises InputError where the file cannot be written."""
    try:
        path.write_text(draw(title, samples), encoding="utf-8")
    except OSError as error:
        raise InputError(f"--svg {path}: cannot be written ({error.strerror}); give another file") from error


def draw(title: str, samples: Mapping[str, Sequence[float]]) -> str:
    """Return the picture; times of zero and less stand at the left edge."""
    drawn = {name: np.asarray(ms, float) for name, ms in samples.items() if len(ms)}
    above = [ms[ms > 0] for ms in drawn.values()]
    low, high = _decades(np.concatenate(above) if above else np.ones(1))
    bins = round((high - low) * BINS_A_DECADE)
    height = HEAD + ROW * max(1, len(drawn)) + FOOT

    def x(at_ms: float) -> float:
        return LEFT + WIDTH * (min(high, max(low, math.log10(max(at_ms, 1e-12)))) - low) / (high - low)

    bottom = HEAD + ROW * len(drawn)
    parts = [f'<text x="8" y="18">{escape(title)}</text>']
    for decade in range(math.floor(low), math.ceil(high) + 1):
        for step in STEPS:
            tick_ms = step * 10.0**decade
            if low <= math.log10(tick_ms) <= high:
                parts.append(f'<path class="g" d="M{x(tick_ms):.1f} {HEAD}V{bottom}"/>')
                parts.append(
                    f'<text class="s" x="{x(tick_ms):.1f}" y="{bottom + 14}" text-anchor="middle">{tick_ms:g}</text>'
                )
    parts.append(f'<text class="s" x="{LEFT + WIDTH}" y="{bottom + 28}" text-anchor="end">ms</text>')
    for row, (name, ms) in enumerate(drawn.items()):
        base = HEAD + ROW * (row + 1) - 6
        logs = np.clip(np.log10(np.maximum(ms, 1e-12)), low, high)
        counts, edges = np.histogram(logs, bins=bins, range=(low, high))
        for count, edge in zip(counts, edges, strict=False):
            if count:
                tall = (ROW - 14) * count / counts.max()
                left = LEFT + WIDTH * (edge - low) / (high - low)
                parts.append(
                    f'<rect class="b" x="{left:.1f}" y="{base - tall:.1f}" width="{WIDTH / bins:.1f}" '
                    f'height="{tall:.1f}"/>'
                )
        parts.append(f'<text x="8" y="{base - 14}">{escape(name)}</text>')
        marks = {label: float(np.percentile(ms, percent)) for percent, label in MARKS.items()}
        said = ", ".join(f"{label} {value:.3g}" for label, value in marks.items())
        parts.append(f'<text class="s" x="8" y="{base}">n {len(ms)}, {said}, max {ms.max():.3g} ms</text>')
        parts += [
            f'<path class="m" d="M{x(value):.1f} {base}v{14 - ROW}"><title>{label} {value:.4g} ms</title></path>'
            for label, value in marks.items()
        ]
        parts.append(f'<path class="g" d="M{LEFT} {base}h{WIDTH}"/>')
    parts.append(f'<text class="s" x="8" y="{height - 8}">Red lines: p50, p95, p99. {NOTICE}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 20}" height="{height}" '
        f'viewBox="0 0 {LEFT + WIDTH + 20} {height}"><style>{STYLE}</style>'
        f'<rect class="w" width="100%" height="100%"/>{"".join(parts)}</svg>\n'
    )


def _decades(ms: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> tuple[float, float]:
    """Return the ends of the axis, as powers of ten: the samples with a little room."""
    low, high = math.log10(float(ms.min())) - 0.05, math.log10(float(ms.max())) + 0.05
    return low, max(high, low + 0.5)
