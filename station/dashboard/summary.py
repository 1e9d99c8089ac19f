"""The summary of a run: one JSON document, made of the stages' last words.

It knows what the stages report, not how they came to it.
"""

import json
import os
from pathlib import Path
from typing import Any

from station.clock import NS_PER_MS
from station.dashboard.assessment import cautions, recording_alarms, without_time
from station.dashboard.snapshot import Snapshot
from station.errors import InputError
from station.notice import NOTICE
from station.transport.messages import (
    PIPELINE,
    Percentiles,
    ProcessName,
    ProcessStatus,
    SourceInfo,
    SpermTally,
    TrackInfo,
)


def summarise(snapshot: Snapshot, tracks: list[TrackInfo], *, ended: str, restarts: int = 0) -> dict[str, Any]:
    """Return the document; parts that a stage did not live to report are null or zero.

    Args:
        snapshot: The last one of the run.
        tracks: The newest word on each sperm that was ever followed.
        ended: Why the run ended, in a few words.
        restarts: How often a stage was started again.

    ``frame_jitter_ms`` is how far the time between two exposures is from what the nominal rate says.
    A grade's ``age_ms`` is its exposure-to-grade time, ``frames_ago`` how many frames have been tracked since,
    ``standing`` what it is worth by what has become of the sperm since. All durations are in ms.
    """
    capture, tracker, engine = (snapshot.stage(stage).status for stage in PIPELINE)
    source, model = snapshot.source, snapshot.model
    tallies = {tally.sperm_id: tally for tally in engine.sperm} if engine else {}
    newest = {track.sperm_id: track for track in tracks}
    return {
        "notice": NOTICE,
        "ended": ended,
        "cautions": [*recording_alarms(snapshot), *cautions(snapshot)],
        "source": source and source.name,
        "runtime": model and model.runtime,
        "model": model and {"name": model.name, "sha256": model.sha256, "demonstration": model.demonstration},
        "frames": {
            "captured": _count(capture, "captured"),
            "tracked": _count(tracker, "tracked"),
            "dropped": _count(tracker, "dropped") + _count(capture, "lost_by_source"),
        },
        "replay": _replay(tracker, engine),
        "windows": {"replaced": _count(engine, "replaced"), "lost": _count(engine, "lost")},
        "grades": _count(engine, "grades"),
        "grades_sha256": engine.digest if engine else "",
        "frame_interval_ms": _latency(capture, "frame_interval"),
        "frame_jitter_ms": _latency(capture, "frame_jitter"),
        "camera": _camera(source, capture) if source and source.settings else None,
        "latency_ms": {
            "exposure_to_grade": _latency(engine, "exposure_to_grade"),
            "transport": _latency(engine, "transport"),
            "tracker": _latency(tracker, "tracker"),
            "waiting": _latency(engine, "waiting"),
            "engine": _latency(engine, "engine"),
        },
        "recording": _recording(snapshot),
        "restarts": restarts,
        "sperm": [
            _sperm(sperm_id, tallies.get(sperm_id), newest.get(sperm_id), snapshot)
            for sperm_id in sorted(tallies.keys() | newest.keys())
        ],
    }


def _replay(tracker: ProcessStatus | None, engine: ProcessStatus | None) -> dict[str, int] | None:
    """Return how far a replay came out as it was recorded; None where the run was no replay.

    ``windows_missing`` were graded then and did not come out; ``windows_left_out`` were not graded then.
    """
    if tracker is None or "tracks_as_recorded" not in tracker.counters:
        return None
    return {
        **{name: _count(tracker, name) for name in ("tracks_as_recorded", "tracks_differ")},
        **{name: _count(engine, name) for name in ("grades_as_recorded", "grades_differ", "windows_missing")},
        "windows_left_out": _count(engine, "left_out"),
    }


def _camera(source: SourceInfo, capture: ProcessStatus | None) -> dict[str, Any]:
    """Return a camera's settings as it accepted them, its faults, and how well its clock is known."""
    faults = {name: _count(capture, name) for name in ("incomplete", "overrun", "reconnects")}
    lost = _count(capture, "lost_by_source")
    return {
        "settings": source.settings,
        "lost": lost,
        **faults,
        "clock_error_ms": _latency(capture, "camera_clock_error")["max"],
    }


def _sperm(sperm_id: int, tally: SpermTally | None, track: TrackInfo | None, snapshot: Snapshot) -> dict[str, Any]:
    last, tracks = tally.last if tally else None, snapshot.tracks
    place = track or last
    return {
        "id": sperm_id,
        "x": place.x if place else None,
        "y": place.y if place else None,
        "state": track.state if track else None,
        "grades": tally.grades if tally else 0,
        "last": last
        and {
            "grade": last.grade,
            "frame_seq": last.frame_seq,
            "frames_ago": tracks.frame_seq - last.frame_seq if tracks else None,
            "age_ms": (last.trace.t_grade_ns - last.trace.t_exposure_ns) / NS_PER_MS,
            "validity": last.validity,
            "standing": without_time(track, last, tracks.window_frames) if track and tracks else None,
        },
    }


def _recording(snapshot: Snapshot) -> dict[str, Any] | None:
    """Return how the recording went; null where nothing was to be recorded or it never began."""
    recording = snapshot.recording
    if recording is None:
        return None
    died = snapshot.stage(ProcessName.RECORDER).died
    return recording.model_dump(exclude={"left_s", "pre_trigger_s"}) | {"stopped": recording.stopped or died}


class SummaryFile:
    """Where the summary goes: tried before the run; an older file there stays until the new one is whole.

    Raises InputError where nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        if path.is_dir():
            raise InputError(f"summary {path}: is a folder; give the path of a file")
        self._write("")
        self._partial.unlink()

    def write(self, document: dict[str, Any]) -> None:
        """Write the document, whole or not at all."""
        self._write(json.dumps(document, indent=2) + "\n")
        self._partial.replace(self._path)

    def _write(self, text: str) -> None:
        try:
            self._partial.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"summary {self._path}: cannot be written ({error.strerror}); give a path in a folder that exists"
            ) from error


def _count(status: ProcessStatus | None, name: str) -> int:
    return status.counters.get(name, 0) if status else 0


def _latency(status: ProcessStatus | None, name: str) -> dict[str, float | None]:
    """Return the percentiles in ms; null where nothing was measured."""
    values = (status.latency_ms.get(name) if status else None) or Percentiles()
    return {key: round(getattr(values, key), 3) if values.count else None for key in ("p50", "p95", "p99", "max")}
