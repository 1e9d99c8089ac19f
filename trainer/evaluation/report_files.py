"""The files of an evaluation: everything as JSON, the main numbers alone, clip by clip as CSV, and the plots."""

import json
from pathlib import Path
from typing import Any

from station.files import write_atomically
from trainer.data.tables import table
from trainer.evaluation.report import EvaluationReport, figures
from trainer.evaluation.scored import Scored, per_clip


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON document."""
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def write_report(folder: Path, scored: Scored, report: EvaluationReport, plots: bool) -> str:
    """Write an evaluation into a folder, and return what is in it, in words.

    Without matplotlib there are no plots, and the words say so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "metrics.json", report.to_dict())
    write_json(folder / "figures.json", dict(figures(report)))
    write_atomically(folder / "predictions.csv", table(*per_clip(scored)))
    written = f"{folder}: metrics.json, figures.json, predictions.csv"
    if not plots:
        return written
    try:
        from trainer.evaluation.plots import draw_all
    except ImportError:
        return f'{written}; no plots: matplotlib is not installed, pip install ".[train]" brings it'
    return f"{written}, {', '.join(draw_all(folder, scored, report))} (each PNG and SVG)"
