"""The summary of a run: one JSON document, made of the stages' last words.

It knows what the stages report, not how they came to it.
"""

import json
from pathlib import Path
from typing import Any

from station.clock import NS_PER_MS
from station.errors import InputError
from station.messages import Percentiles, StageName, StageStatus, TrackInfo

NOTICE = "For research use only. Not for use in diagnostic procedures."


def summarise(statuses: dict[StageName, StageStatus], tracks: list[TrackInfo], restarts: int) -> dict[str, Any]:
    """Return the document; parts that a stage did not live to report are null or zero.

    ``tracks`` is the newest word on each sperm. All durations are in ms; a grade's age is its exposure-to-grade time.
    """
    capture, tracker, engine = (statuses.get(stage) for stage in StageName)
    source = capture.source if capture else None
    model = engine.model if engine else None
    tallies = {tally.sperm_id: tally for tally in engine.sperm} if engine else {}
    newest = {track.sperm_id: track for track in tracks}
    sperm = []
    for sperm_id in sorted(tallies.keys() | newest.keys()):
        tally, track = tallies.get(sperm_id), newest.get(sperm_id)
        last = tally.last if tally else None
        place = track or last
        sperm.append(
            {
                "id": sperm_id,
                "x": place.x if place else None,
                "y": place.y if place else None,
                "state": track.state if track else None,
                "grades": tally.grades if tally else 0,
                "last": last
                and {
                    "grade": last.grade,
                    "frame_seq": last.frame_seq,
                    "age_ms": (last.trace.t_grade_ns - last.trace.t_exposure_ns) / NS_PER_MS,
                    "validity": last.validity,
                },
            }
        )
    return {
        "notice": NOTICE,
        "source": source and source.name,
        "runtime": model and model.runtime,
        "model": model and {"name": model.name, "sha256": model.sha256, "demonstration": model.demonstration},
        "frames": {
            "captured": _count(capture, "captured"),
            "tracked": _count(tracker, "tracked"),
            "dropped": _count(tracker, "dropped") + _count(capture, "lost_by_source"),
        },
        "grades": _count(engine, "grades"),
        "grades_sha256": engine.digest if engine else "",
        "latency_ms": {
            "exposure_to_grade": _latency(engine, "exposure_to_grade"),
            "transport": _latency(engine, "transport"),
            "tracker": _latency(tracker, "tracker"),
            "waiting": _latency(engine, "waiting"),
            "engine": _latency(engine, "engine"),
        },
        "restarts": restarts,
        "sperm": sperm,
    }


def check_summary(path: Path | None) -> None:
    """Raise InputError where a summary could not be written, before anything runs for it."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise InputError(f"summary {path}: expected the path of a file in a folder that exists; give another")


def write_summary(path: Path, document: dict[str, Any]) -> None:
    """Write the document. Raises InputError where the file cannot be written."""
    try:
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"summary {path}: cannot be written ({error.strerror}); give a path in a folder that exists"
        ) from error


def _count(status: StageStatus | None, name: str) -> int:
    return status.counters.get(name, 0) if status else 0


def _latency(status: StageStatus | None, name: str) -> dict[str, float]:
    values = (status.latency_ms.get(name) if status else None) or Percentiles()
    return {key: round(getattr(values, key), 3) for key in ("p50", "p95", "p99", "max")}
