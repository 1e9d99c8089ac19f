"""What gives way when the machine is too slow for what is asked of it, and why nothing is graded where nothing is.

The ladder is fixed: first the network grades only the newest window of each sperm; then frames are dropped before the
tracker; then, of a film or a simulation, at the source; and where that goes on, frames are left out evenly. The
recorder has a step of its own (uncompressed video). Each step that was taken in the latest seconds is said. This module
knows counters and tracks over time, no processes.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from station.transport.control_messages import ProcessName, ProcessState, ProcessStatus
from station.transport.counters import CaptureCounters, EngineCounters, TrackerCounters, counters_of
from station.transport.messages import TracksHeader, TrackState

SPAN_S: Final = 5.0
"""Steps are looked for in so many latest seconds; without a grade for so long, something is wrong."""
FEWEST_WINDOWS: Final = 5
"""So few windows may be replaced in that time without being worth a word."""


@dataclass(frozen=True, slots=True)
class _Counts:
    t_s: float
    replaced: int
    dropped: int
    skipped: int
    """Both without those that were left out evenly,"""
    thinned: int
    """which are these."""
    captured: int
    lost: int
    """Before they were captured: by the camera, or on the way from another machine."""
    grades: int


class SheddingMeter:
    """Looks at the counters several times a second."""

    def __init__(self) -> None:
        self._history: deque[_Counts] = deque()

    def update(
        self, now_s: float, statuses: Mapping[ProcessName, ProcessStatus], tracks: TracksHeader | None
    ) -> tuple[tuple[str, ...], str]:
        """Take in the counters at a time; return the steps taken lately, and why nothing is graded, empty if it is."""
        capture, tracker, engine = (
            statuses.get(name) for name in (ProcessName.CAPTURE, ProcessName.TRACKER, ProcessName.ENGINE)
        )
        if any(s is None or s.state is not ProcessState.RUNNING for s in (capture, tracker, engine)):
            self._history.clear()  # it starts, has ended, or somebody is being started again, which is said anyway
            return (), ""
        captured, graded = counters_of(CaptureCounters, capture), counters_of(EngineCounters, engine)
        tracked = counters_of(TrackerCounters, tracker)
        now = _Counts(
            t_s=now_s,
            replaced=graded.replaced,
            dropped=tracked.dropped - tracked.thinned,
            skipped=captured.skipped - captured.thinned,
            thinned=tracked.thinned + captured.thinned,
            captured=captured.captured,
            lost=captured.lost_by_source,
            grades=graded.grades,
        )
        history = self._history
        history.append(now)
        while len(history) > 2 and now_s - history[1].t_s >= SPAN_S:
            history.popleft()
        before = history[0]
        if now_s - before.t_s < SPAN_S:
            return tuple(_steps(before, now)), ""
        return tuple(_steps(before, now)), "" if now.grades > before.grades else _why_ungraded(before, now, tracks)


def _steps(before: _Counts, now: _Counts) -> list[str]:
    """Return the steps of the ladder that were taken in between, the first one first."""
    replaced, dropped = now.replaced - before.replaced, now.dropped - before.dropped
    skipped, thinned = now.skipped - before.skipped, now.thinned - before.thinned
    lines = []
    if replaced > FEWEST_WINDOWS:
        lines.append(
            f"load shed, step 1: {replaced} windows gave way to newer ones in {SPAN_S:g} s, the network is slow"
        )
    if dropped > 0:
        lines.append(f"load shed, step 2: {dropped} frames dropped before the tracker in {SPAN_S:g} s")
    if skipped > 0:
        lines.append(f"load shed, step 3: {skipped} late frames left out at the source in {SPAN_S:g} s")
    if thinned > 0:
        lines.append(f"load shed, step 4: {thinned} frames left out evenly in {SPAN_S:g} s, so that windows fill")
    return lines


def _why_ungraded(before: _Counts, now: _Counts, tracks: TracksHeader | None) -> str:
    """Return why there was no grade in between, in a few words."""
    missing, lost = now.dropped - before.dropped + now.skipped - before.skipped, now.lost - before.lost
    if now.captured == before.captured:
        return "no frame comes from the source"
    if tracks is None or not tracks.tracks:
        return "no sperm is tracked"
    followed = [track for track in tracks.tracks if track.state is not TrackState.LOST]
    if not followed:
        return "all sperm are lost"
    if any(track.filled >= tracks.window_frames for track in followed):
        return "the engine has windows and grades none"
    if missing:
        return f"windows break, as frames are missing ({missing} in {SPAN_S:g} s): this machine is too slow"
    if tracks.disturbance:
        return tracks.disturbance
    if lost:
        return f"windows break, as the source has lost frames ({lost} in {SPAN_S:g} s)"
    reason, _ = Counter(track.reason or track.broken_by or "windows fill" for track in followed).most_common(1)[0]
    return reason
