"""Puts the summary of a run together from what each process reported last, and writes it as one JSON document.

It knows what the processes report, not how they came to it.
"""

import json
from collections.abc import Set
from dataclasses import asdict, replace
from pathlib import Path

from station.clock import NS_PER_MS
from station.dashboard.assessment import LATE_SHARE, cautions, grade_validity, recording_alarms
from station.dashboard.run_summary import (
    CameraSummary,
    FrameSummary,
    LastGrade,
    Latency,
    LatencySummary,
    ModelSummary,
    RecordingSummary,
    ReplaySummary,
    RunSummary,
    SpermSummary,
    WindowSummary,
)
from station.dashboard.snapshot import Snapshot
from station.errors import InputError
from station.files import require_replaceable, write_atomically
from station.notice import NOTICE
from station.recent import RECENT_SPERM
from station.session.layout import require_outside_sessions
from station.transport.control_messages import PIPELINE, ProcessName, ProcessStatus, SourceInfo, SpermTally
from station.transport.counters import CaptureCounters, EngineCounters, TrackerCounters, counters_of
from station.transport.messages import TrackInfo


def summarise(snapshot: Snapshot, tracks: list[TrackInfo], *, ended: str) -> RunSummary:
    """Return the summary of a run.

    Args:
        snapshot: The last one of the run.
        tracks: The newest state of each sperm that was ever tracked.
        ended: What ended the run, in a few words.
    """
    capture, tracker, engine = (snapshot.process(name).status for name in PIPELINE)
    captured, tracked = counters_of(CaptureCounters, capture), counters_of(TrackerCounters, tracker)
    graded = counters_of(EngineCounters, engine)
    source, model = snapshot.source, snapshot.model
    tallies = {tally.sperm_id: tally for tally in engine.sperm} if engine else {}
    newest = {track.sperm_id: track for track in tracks}
    return RunSummary(
        notice=NOTICE,
        ended=ended,
        cautions=[
            *recording_alarms(snapshot),
            *_withheld(engine),
            *_lateness(captured),
            *_not_listed(tallies.keys() | newest.keys()),
            *cautions(replace(snapshot, late_share=None, shed=())),
        ],
        source=source.name if source else None,
        runtime=model.runtime if model else None,
        model=ModelSummary(model.name, model.sha256, model.demonstration, model.network) if model else None,
        frames=FrameSummary(
            captured=captured.captured,
            tracked=tracked.tracked,
            dropped=tracked.dropped + captured.lost_by_source + captured.skipped,
            left_out=captured.skipped,
        ),
        replay=_replay(tracked, graded),
        windows=WindowSummary(replaced=graded.replaced, lost=graded.lost),
        grades=graded.grades,
        withheld=engine.withheld if engine else None,
        grades_sha256=engine.digest if engine else "",
        frame_interval_ms=_latency(capture, "frame_interval"),
        frame_jitter_ms=_latency(capture, "frame_jitter"),
        camera=_camera(source, capture) if source and (source.settings or _has_clock(capture)) else None,
        latency_ms=LatencySummary(
            exposure_to_grade=_latency(engine, "exposure_to_grade"),
            transport=_latency(engine, "transport"),
            tracker=_latency(tracker, "tracker"),
            waiting=_latency(engine, "waiting"),
            engine=_latency(engine, "engine"),
        ),
        restarts={name.value: view.restarts for name, view in snapshot.processes.items() if view.restarts},
        recording=_recording(snapshot),
        sperm=[
            _sperm(sperm_id, tallies.get(sperm_id), newest.get(sperm_id), snapshot)
            for sperm_id in sorted(tallies.keys() | newest.keys())
        ],
    )


def _replay(tracked: TrackerCounters, graded: EngineCounters) -> ReplaySummary | None:
    """Return how much of a replay came out as recorded; None where the run was not a replay."""
    if tracked.tracks_as_recorded is None:
        return None
    return ReplaySummary(
        tracks_as_recorded=tracked.tracks_as_recorded,
        tracks_differ=tracked.tracks_differ,
        grades_as_recorded=graded.grades_as_recorded,
        grades_differ=graded.grades_differ,
        windows_missing=graded.windows_missing,
        windows_left_out=graded.left_out,
    )


def _withheld(engine: ProcessStatus | None) -> list[str]:
    """Return what is to be said of a run that was blind to its end."""
    if engine is None or engine.withheld is None:
        return []
    return [
        f"blind to the end: no choice was marked, so {engine.withheld} grades were shown to nobody and are in no "
        "recording; its video can be graded later"
    ]


def _lateness(counters: CaptureCounters) -> list[str]:
    """Return what is to be said of late frames: over the whole run, whatever the last seconds were like."""
    if counters.late <= LATE_SHARE * counters.captured:
        return []
    share = counters.late / counters.captured
    return [f"{counters.late} frames ({share:.0%}) came late by more than a frame interval: this machine is too slow"]


def _not_listed(sperm_ids: Set[int]) -> list[str]:
    """Return what is to be said where more sperm were tracked than are kept in memory: numbers are given from 1 on."""
    tracked = max(sperm_ids, default=0)
    if len(sperm_ids) < RECENT_SPERM or tracked == len(sperm_ids):
        return []
    return [f"{tracked} sperm were tracked; the last {len(sperm_ids)} are listed, the session's tables have all"]


def _has_clock(capture: ProcessStatus | None) -> bool:
    """Return whether frames come with the time of another clock: a camera's, or another machine's."""
    return _latency(capture, "camera_clock_error").max is not None


def _camera(source: SourceInfo, capture: ProcessStatus | None) -> CameraSummary:
    counters = counters_of(CaptureCounters, capture)
    return CameraSummary(
        settings=source.settings,
        lost=counters.lost_by_source,
        incomplete=counters.incomplete,
        overrun=counters.overrun,
        reconnects=counters.reconnects,
        clock_error_ms=_latency(capture, "camera_clock_error").max,
    )


def _sperm(sperm_id: int, tally: SpermTally | None, track: TrackInfo | None, snapshot: Snapshot) -> SpermSummary:
    last, tracks = tally.last if tally else None, snapshot.tracks
    place = track or last
    last_grade = None
    if last is not None:
        last_grade = LastGrade(
            grade=last.grade,
            frame_seq=last.frame_seq,
            frames_ago=tracks.frame_seq - last.frame_seq if tracks else None,
            age_ms=(last.trace.t_grade_ns - last.trace.t_exposure_ns) / NS_PER_MS,
            validity=last.validity,
            standing=grade_validity(track, last, tracks.window_frames) if track and tracks else None,
        )
    return SpermSummary(
        id=sperm_id,
        x=place.x if place else None,
        y=place.y if place else None,
        state=track.state if track else None,
        grades=tally.grades if tally else 0,
        last=last_grade,
    )


def _recording(snapshot: Snapshot) -> RecordingSummary | None:
    recording = snapshot.recording
    if recording is None:
        return None
    return RecordingSummary(
        folder=recording.folder,
        mode=recording.mode,
        codec=recording.codec,
        frames=recording.frames,
        lost=recording.lost,
        size_bytes=recording.size_bytes,
        kept=recording.kept,
        stopped=recording.stopped or snapshot.process(ProcessName.RECORDER).died,
        complete=recording.complete,
        chain=recording.chain,
    )


class SummaryFile:
    """Where the summary goes: tried before the run; an older file there stays until the new one is whole.

    Raises InputError where nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.is_dir():
            raise InputError(f"--summary {path}: this is a folder; give the path of a file")
        require_outside_sessions(path, "--summary")
        trial = path.with_name(f".{path.name}.trial")
        try:
            require_replaceable(path)
            trial.touch()
            trial.unlink()
        except OSError as error:
            raise self._refused(error) from error

    def write(self, summary: RunSummary) -> None:
        """Write the JSON document, whole or not at all."""
        document = json.dumps(asdict(summary), indent=2) + "\n"
        try:
            write_atomically(self._path, document.encode())
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> InputError:
        return InputError(
            f"--summary {self._path}: cannot be written ({error.strerror}); give a path in a folder that exists"
        )


def _latency(status: ProcessStatus | None, name: str) -> Latency:
    found = status.latency_ms.get(name) if status else None
    if found is None or found.count == 0:
        return Latency()
    return Latency(*(round(value, 3) for value in (found.p50, found.p95, found.p99, found.max)))
