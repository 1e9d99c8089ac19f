"""What follows from a snapshot: the condition of each process, what a grade is worth now, what is wrong.

Pure functions of :class:`station.dashboard.snapshot.Snapshot`. They give facts and sentences, and know nothing of where
and how these are drawn.
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from station.clock import NS_PER_MS, NS_PER_S
from station.dashboard.snapshot import RATE_WINDOW_S, Snapshot
from station.model_fit import model_doubts
from station.processes.strangers import strangers
from station.transport.control_messages import PIPELINE, Percentiles, ProcessName, ProcessState
from station.transport.counters import EngineCounters, counters_of
from station.transport.messages import STALE_S, GradeInfo, ModelDoubt, TrackInfo, TrackState, Validity

NO_PROGRESS_S = 0.5
"""A running process without progress for longer than this is shown as such."""
DISK_PATIENCE_S = 2.0
SLOW_SHARE = 0.9
"""A live source below this fraction of its nominal frame rate is called slow."""
LATE_SHARE = 0.05
"""A machine is called too slow when more than this share of the latest frames came late."""
GAP = "gap"
"""What a tracker says broke a window where frames were missing."""
DISTURBED_BY = {
    "focus changed": "focus",
    "exposure changed": "exposure",
    "stage jumped": "stage",
    "field changed": "field",
    "picture frozen": "frozen",
    "nothing to see": "dark",
    "crossing": "crossing",
}
"""What a tracker may say that broke a window, in the words that the table has room for; anything else is a doubt."""
LATENCY_TOTAL = "exposure_to_grade"
LATENCY_PARTS = {
    "capture": "capture",
    "transport": "transport",
    "tracker": "tracker_to_window",
    "waiting": "waiting",
    "engine": "engine",
}
"""What a grade's time from exposure on is made of: word on screen, name in ``ProcessStatus.recent_ms``."""


class ProcessCondition(StrEnum):
    """The condition of a process, in the screen's words."""

    STARTING = "starting"
    READY = "ready"
    RUNNING = "running"
    WAITING = "waiting"
    """The engine, while no sperm has a full window: idle, not faulty."""
    ENDED = "ended"
    NO_PROGRESS = "no progress"
    SUSPENDED = "suspended"
    """Stopped by the system (SIGSTOP, a debugger): it has done nothing wrong."""
    FAILED = "failed"


def condition(snapshot: Snapshot, name: ProcessName) -> ProcessCondition:
    """Return the condition of a process."""
    view = snapshot.process(name)
    if view.died or (view.status and view.status.state is ProcessState.FAILED):
        return ProcessCondition.FAILED
    if view.status is None:
        return ProcessCondition.STARTING
    state = view.status.state
    if state in (ProcessState.STARTING, ProcessState.ENDED):  # loading a model takes long, and is silent
        return ProcessCondition(state.value)
    if view.suspended:
        return ProcessCondition.SUSPENDED
    if (progress_age_s(snapshot, name) or 0.0) > _patience_s(snapshot, name):
        return ProcessCondition.NO_PROGRESS
    if name is ProcessName.ENGINE and state is ProcessState.RUNNING and not _any_full_window(snapshot):
        return ProcessCondition.WAITING
    return ProcessCondition(state.value)


def progress_age_s(snapshot: Snapshot, name: ProcessName) -> float | None:
    """Return the seconds since the process last made progress; None until it has reported."""
    since_ns = snapshot.process(name).progress_ns
    return None if since_ns is None else _seconds(snapshot, since_ns)


def failure(snapshot: Snapshot, name: ProcessName) -> str:
    """Return why a process failed, in one line."""
    view = snapshot.process(name)
    return (view.status.error if view.status else "") or view.died or "no reason given"


def latency(snapshot: Snapshot, name: str) -> Percentiles | None:
    """Return a duration in ms over the latest values, else since the start; None where no process has measured it."""
    for process in reversed(ProcessName):
        status = snapshot.process(process).status
        for table in (status.recent_ms, status.latency_ms) if status else ():
            found = table.get(name)
            if found is not None and found.count > 0:
                return found
    return None


def source_slow(snapshot: Snapshot) -> bool:
    """Return whether a live source falls short of its nominal frame rate."""
    if snapshot.playback is not None:  # its pace is the reviewer's
        return False
    source, rate_hz = snapshot.source, snapshot.process(ProcessName.CAPTURE).rate_hz
    running = condition(snapshot, ProcessName.CAPTURE) is ProcessCondition.RUNNING
    long_enough = snapshot.elapsed_s > 2 * RATE_WINDOW_S
    if snapshot.speed != "live" or not running or not long_enough or source is None or rate_hz is None:
        return False
    return rate_hz < SLOW_SHARE * source.fps


class GradeValidity(StrEnum):
    """What the newest grade of a sperm is worth at this moment."""

    NONE = "none"
    CURRENT = "current"
    STALE = "stale"
    DISTURBED = "disturbed"
    """The stage moved, the focus was changed or another sperm crossed while the window filled, or broke it since."""
    BEFORE_GAP = "last before gap"
    """The sperm is tracked, but its window broke after the grade and is refilling."""
    BEFORE_DOUBT = "last before doubt"
    BEFORE_LOSS = "last before loss"


@dataclass(frozen=True, slots=True)
class SpermView:
    """One tracked sperm with its newest grade."""

    track: TrackInfo
    grade: GradeInfo | None
    age_ms: float | None
    """Of the grade: since the exposure of its newest frame."""
    validity: GradeValidity


def sperm_views(snapshot: Snapshot) -> list[SpermView]:
    """Return the tracked sperm, in order of id: an order by grade would be a recommendation."""
    if snapshot.tracks is None:
        return []
    views = []
    for track in sorted(snapshot.tracks.tracks, key=lambda track: track.sperm_id):
        grade = snapshot.grades.get(track.sperm_id)
        age_ms = None if grade is None else max(0.0, (snapshot.now_ns - grade.trace.t_exposure_ns) / NS_PER_MS)
        views.append(SpermView(track, grade, age_ms, _validity_now(snapshot, track, grade, age_ms)))
    return views


def worth(snapshot: Snapshot, view: SpermView) -> str:
    """Return what the grade is worth: "valid" only where window, model, scale and frame rate all allow it."""
    if view.validity is GradeValidity.DISTURBED and view.grade is not None:
        return f"disturbed: {disturbed_by(view.track, view.grade)}"
    if view.validity is not GradeValidity.CURRENT or view.grade is None:
        return "STALE" if view.validity is GradeValidity.STALE else view.validity.value
    validity = view.grade.validity
    model, doubt = snapshot.model, scale_doubt(snapshot) or rate_doubt(snapshot)
    if model is None:
        return "model unknown"
    if model.demonstration:
        return "demonstration" if validity is Validity.VALID else f"demo, {validity.value}"
    doubts = view.grade.evidence.doubts if view.grade.evidence is not None else []
    if doubt or doubts:
        return doubt or doubts[0].value
    if validity is not Validity.VALID:
        return "padded at edge" if validity is Validity.PADDED else validity.value
    return "valid"


def disturbed_by(track: TrackInfo, grade: GradeInfo) -> str:
    """Return in one word what disturbed a grade's window while it filled, or broke it since."""
    if grade.validity is Validity.GAP:
        return "gap"
    measured = grade.evidence.measured if grade.evidence is not None else None
    if grade.validity is Validity.DISTURBED and measured is not None and measured.causes:
        return measured.causes[0].value
    return DISTURBED_BY.get(track.broken_by, "cause unknown")


def no_grade(snapshot: Snapshot, view: SpermView) -> str:
    """Return why a sperm has no grade."""
    if snapshot.blind:
        return "hidden until a choice is marked"
    window_frames = snapshot.tracks.window_frames if snapshot.tracks else 0
    track = view.track
    if track.state is TrackState.LOST:
        return "no grade: lost before the first"
    if track.filled < window_frames:
        return f"no grade yet, {track.filled}/{window_frames} frames"
    if condition(snapshot, ProcessName.ENGINE) is ProcessCondition.FAILED:
        return "no grade: the engine has failed"
    return "no grade yet, waiting for the engine"


def positions_current(snapshot: Snapshot) -> bool:
    """Return whether positions and states are current: a tracker that hangs would leave a green "locked" behind."""
    return snapshot.tracks is not None and not why_unknown(snapshot)


WHY_UNKNOWN = {
    ProcessCondition.FAILED: "{} failed",
    ProcessCondition.NO_PROGRESS: "{} hangs",
    ProcessCondition.SUSPENDED: "suspended",  # which one, is among the cautions: here is no room for it
    ProcessCondition.ENDED: "{} ended",
}


def why_unknown(snapshot: Snapshot) -> str:
    """Return why nobody knows where the sperm are now, in a few words; empty where it is known."""
    found = condition(snapshot, ProcessName.TRACKER)
    if found is not ProcessCondition.RUNNING:
        return WHY_UNKNOWN.get(found, "not running").format("tracker")
    if snapshot.tracks is None or snapshot.speed == "max":  # offline, ages are only queue lengths
        return ""
    if snapshot.playback is not None and snapshot.playback.paused_ns is not None:  # what is shown is what was asked for
        return ""
    # The next frame of a source slower than the limit comes after it.
    interval_s = 1 / snapshot.source.fps if snapshot.source and snapshot.source.fps > 0 else 0.0
    patience_s = max(NO_PROGRESS_S, 3 * interval_s)
    age_s = _seconds(snapshot, snapshot.tracks.trace.t_exposure_ns)
    if age_s <= patience_s:
        return ""
    capture = condition(snapshot, ProcessName.CAPTURE)
    if capture in WHY_UNKNOWN:
        return WHY_UNKNOWN[capture].format("capture")
    silent_s = age_s if snapshot.tracks_received_ns is None else _seconds(snapshot, snapshot.tracks_received_ns)
    return f"no frame {_for(silent_s)}" if silent_s > patience_s else f"{_for(age_s)} behind"


def scale_doubt(snapshot: Snapshot) -> str:
    """Return why the source's scale does not fit the model's, in a few words; empty where it does."""
    source, model = snapshot.source, snapshot.model
    if source is None or model is None:
        return ""
    found = [doubt for doubt in model_doubts(model, source.um_per_px, source.fps) if doubt is not ModelDoubt.RATE]
    return found[0].value if found else ""


def rate_doubt(snapshot: Snapshot) -> str:
    """Return why the windows' frame rate does not fit the model's, in a few words; empty where it does."""
    model, window_fps = snapshot.model, snapshot.window_fps
    if model is None or window_fps is None:
        return ""
    return ModelDoubt.RATE.value if ModelDoubt.RATE in model_doubts(model, None, window_fps) else ""


class Overall(StrEnum):
    """The whole station in one word."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    ENDED = "ENDED"
    ATTENTION = "ATTENTION"
    FAILED = "FAILED"


def overall(snapshot: Snapshot) -> Overall:
    """Return the worst condition of any process."""
    found = {condition(snapshot, name) for name in PIPELINE}
    if ProcessCondition.FAILED in found:
        return Overall.FAILED
    if alarms(snapshot) or ProcessCondition.SUSPENDED in found:
        return Overall.ATTENTION
    if found == {ProcessCondition.ENDED}:
        return Overall.ENDED
    if found & {ProcessCondition.STARTING, ProcessCondition.READY}:
        return Overall.STARTING
    return Overall.RUNNING


def alarms(snapshot: Snapshot) -> list[str]:
    """Return what is wrong now, one sentence each, worst first."""
    conditions = {name: condition(snapshot, name) for name in PIPELINE}
    lines = [
        f"{name.value} FAILED: {failure(snapshot, name)}"
        for name, found in conditions.items()
        if found is ProcessCondition.FAILED
    ]
    lines += [
        f"{view.returning}; it is being started again" for view in map(snapshot.process, PIPELINE) if view.returning
    ]
    lines += [
        f"{name.value}: NO PROGRESS for {progress_age_s(snapshot, name) or 0.0:.1f} s"
        for name, found in conditions.items()
        if found is ProcessCondition.NO_PROGRESS
    ]
    if snapshot.ungraded:
        lines.append(f"NOTHING IS GRADED: {snapshot.ungraded}")
    return lines + recording_alarms(snapshot)


def recording_alarms(snapshot: Snapshot) -> list[str]:
    """Return what is wrong with the recording. The run goes on without it, so the screen must say so plainly."""
    if ProcessName.RECORDER not in snapshot.processes:
        return []
    recording = snapshot.recording
    found = condition(snapshot, ProcessName.RECORDER)
    returning = snapshot.process(ProcessName.RECORDER).returning
    if returning:
        return [f"RECORDING INTERRUPTED: {returning}; it is being started again, frames of now are not recorded"]
    if found is ProcessCondition.FAILED:
        why = failure(snapshot, ProcessName.RECORDER)
    else:
        why = recording.stopped if recording is not None else ""
    if why:
        return [f"RECORDING STOPPED: {why}. Tracking and grading continue, but nothing more is recorded"]
    lines = []
    if found is ProcessCondition.NO_PROGRESS:
        age_s = progress_age_s(snapshot, ProcessName.RECORDER) or 0.0
        lines.append(f"recorder: NO PROGRESS for {age_s:.1f} s")
    if found is ProcessCondition.SUSPENDED:
        lines.append("RECORDING STANDS STILL: the recorder is suspended; frames wait for it, and are lost when many do")
    if recording is not None and recording.lost:
        lines.append(f"RECORDING INCOMPLETE: {recording.lost} frames are missing from it")
    return lines


def disturbance(snapshot: Snapshot) -> str:
    """Return what disturbs the whole field now; empty where nothing does. Not an alarm: moving the stage is routine."""
    tracks = snapshot.tracks
    return tracks.disturbance if tracks is not None and positions_current(snapshot) else ""


def cautions(snapshot: Snapshot) -> list[str]:
    """Return what people should know while it runs, each sentence once."""
    tracker = snapshot.process(ProcessName.TRACKER).status
    lines = list(tracker.notices) if tracker is not None else []  # first what may just have gone wrong with the picture
    doubt = scale_doubt(snapshot)
    if doubt and snapshot.model is not None and snapshot.source is not None:
        scale = snapshot.source.um_per_px
        given = "scale of the source not known" if scale is None else f"source has {scale:.3g} um/px"
        lines.append(f"{given}, model trained for {snapshot.model.um_per_px:.3g} um/px: grades may be wrong")
    if rate_doubt(snapshot) and snapshot.model is not None:
        lines.append(
            f"windows have {snapshot.window_fps:.1f} frames/s, model trained for {snapshot.model.fps:.1f}: motion "
            "looks faster or slower to it, grades may be wrong"
        )
    if snapshot.speed == "live" and (snapshot.late_share or 0.0) > LATE_SHARE:
        lines.append(f"{snapshot.late_share:.0%} of the latest frames came late: this machine is too slow")
    lines += snapshot.shed
    lines += [
        f"{name.value} is suspended (by SIGSTOP or a debugger): it goes on when it is continued"
        for name in ProcessName
        if snapshot.process(name).suspended
    ]
    lines += snapshot.notices
    lost = counters_of(EngineCounters, snapshot.process(ProcessName.ENGINE).status).withheld_lost
    lines += [f"{lost} hidden grades are lost: blind for longer than there is memory for"] if lost else []
    stopped = snapshot.process(ProcessName.VIEW).died
    lines += [f"live view STOPPED: {stopped}. Everything else goes on"] if stopped else []
    for name in (*PIPELINE, ProcessName.RECORDER):
        status = snapshot.process(name).status
        if status is not None:
            lines += status.notices
            lines += strangers(name.value, status.counters.bad_messages, status.counters.turned_away)
    return list(dict.fromkeys(lines))


def state_counts(snapshot: Snapshot) -> Counter[TrackState]:
    """Return how many tracked sperm are in each state."""
    return Counter(track.state for track in snapshot.tracks.tracks) if snapshot.tracks else Counter()


def grade_validity(track: TrackInfo, grade: GradeInfo | None, window_frames: int) -> GradeValidity:
    """Return what the newest grade of a sperm is worth given what became of the sperm since, whatever its age."""
    if grade is None:
        return GradeValidity.NONE
    if track.state is TrackState.LOST:
        return GradeValidity.BEFORE_LOSS
    if track.state is TrackState.UNCERTAIN:
        return GradeValidity.BEFORE_DOUBT
    if track.filled < window_frames or grade.frame_seq < track.unbroken_since:
        return _before_break(track)
    if grade.validity in (Validity.DISTURBED, Validity.GAP):
        return GradeValidity.DISTURBED
    return GradeValidity.STALE if grade.validity is Validity.STALE else GradeValidity.CURRENT


def _before_break(track: TrackInfo) -> GradeValidity:
    """Return what a grade is worth whose window has been broken since: by the field, a gap, or a doubt that is gone."""
    if track.broken_by in DISTURBED_BY:
        return GradeValidity.DISTURBED
    return GradeValidity.BEFORE_DOUBT if track.broken_by not in ("", GAP) else GradeValidity.BEFORE_GAP


def _validity_now(snapshot: Snapshot, track: TrackInfo, grade: GradeInfo | None, age_ms: float | None) -> GradeValidity:
    if age_ms is None or snapshot.tracks is None:
        return GradeValidity.NONE
    standing = grade_validity(track, grade, snapshot.tracks.window_frames)
    if standing is not GradeValidity.CURRENT:
        return standing
    too_old = snapshot.speed == "live" and age_ms > STALE_S * 1000
    return GradeValidity.STALE if too_old or not positions_current(snapshot) else GradeValidity.CURRENT


def _patience_s(snapshot: Snapshot, name: ProcessName) -> float:
    """Return how long a process may go without progress: a large network on a CPU or a slow disk needs more time."""
    if name is ProcessName.RECORDER:
        return DISK_PATIENCE_S
    status = snapshot.process(name).status
    usual = status.recent_ms.get(name.value) if status else None  # engine and tracker measure their rounds
    return max(NO_PROGRESS_S, 2 * usual.p95 / 1000) if usual else NO_PROGRESS_S


def _any_full_window(snapshot: Snapshot) -> bool:
    tracks = snapshot.tracks
    return tracks is not None and any(
        track.state is TrackState.LOCKED and track.filled >= tracks.window_frames for track in tracks.tracks
    )


def _for(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.{1 if seconds < 9.95 else 0}f} s"
    return f"{seconds / 60:.0f} min"


def _seconds(snapshot: Snapshot, since_ns: int) -> float:
    return max(0.0, (snapshot.now_ns - since_ns) / NS_PER_S)
