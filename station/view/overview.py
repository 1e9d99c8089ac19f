"""The state of the whole station, as the page shows it: put together from what each process last said of itself.

What follows from it (alarms, cautions, whether a grade holds) is decided by ``station.dashboard.assessment`` alone, so
that terminal and browser never disagree.
"""

import threading
from collections.abc import Mapping

from station.clock import now_ns
from station.config import Config
from station.dashboard.assessment import (
    LATENCY_TOTAL,
    ProcessCondition,
    alarms,
    cautions,
    condition,
    latency,
    overall,
)
from station.dashboard.headless import DEMONSTRATION
from station.dashboard.monitor import late_share, losses, window_fps
from station.dashboard.playback import playback_text, share_played, shown_ns
from station.dashboard.snapshot import LateMeter, ProcessView, RateMeter, Snapshot
from station.notice import NOTICE
from station.transport.control_messages import PIPELINE, ProcessName, ProcessState, ProcessStatus
from station.transport.messages import FrameHeader, GradeInfo, TracksHeader
from station.view.page_messages import Histogram, KeyHelp, Overview, ProcessFacts

RESTARTED = "the {} process died or hung"
"""All that can be told here of why a process is started again: its successor doesn't say."""
BLIND = "BLIND: grades are hidden until a choice is marked (m)"
GRADING = (ProcessState.RUNNING, ProcessState.ENDED)
"""States in which the engine says whether it withholds its grades."""
BEGINNING = (ProcessState.STARTING, ProcessState.READY)
UNWELL = (ProcessCondition.FAILED, ProcessCondition.NO_PROGRESS, ProcessCondition.SUSPENDED)


class StationFacts:
    """The latest word of each process; filled by one thread, read by another."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._start_ns = now_ns()
        self._statuses: dict[ProcessName, ProcessStatus] = {}
        self._progressed_ns: dict[ProcessName, int] = {}
        self._ran: set[ProcessName] = set()
        self._blind = config.blind
        self._late = LateMeter()
        self._rates = {name: RateMeter() for name in ProcessName}

    def take_in(self, status: ProcessStatus) -> None:
        """Keep what a process says of itself."""
        with self._lock:
            before = self._statuses.get(status.process)
            if before is None or status.progress > before.progress or status.state is not before.state:
                self._progressed_ns[status.process] = now_ns()
            self._statuses[status.process] = status
            if status.state is ProcessState.RUNNING or status.recording is not None:
                self._ran.add(status.process)
            if status.process is ProcessName.ENGINE and status.state in GRADING:
                self._blind = status.withheld is not None

    def snapshot(
        self, tracks: TracksHeader | None, tracks_received_ns: int | None, grades: dict[int, GradeInfo]
    ) -> Snapshot:
        """Return what is known now, with the tracks of the picture that is shown."""
        with self._lock:
            statuses, t_now_ns = dict(self._statuses), now_ns()
            recorded = self._config.record.mode != "off"
            return Snapshot(
                now_ns=shown_ns(statuses),
                elapsed_s=(t_now_ns - self._start_ns) / 1e9,
                speed=self._config.speed,
                replay=self._config.replay_of is not None,
                processes={
                    name: ProcessView(
                        status=statuses.get(name),
                        progress_ns=self._progressed_ns.get(name),
                        rate_hz=self._rates[name].update(statuses[name]) if name in statuses else None,
                        returning=RESTARTED.format(name.value) if self._is_returning(name) else "",
                        suspended=name in statuses and statuses[name].suspended,
                    )
                    for name in (*PIPELINE, *((ProcessName.RECORDER,) if recorded else ()))
                },
                tracks=tracks,
                blind=self._blind,
                grades={} if self._blind else grades,
                window_fps=window_fps(self._config, statuses),
                drops=losses(statuses),
                late_share=late_share(self._late, statuses),
                tracks_received_ns=tracks_received_ns,
            )

    def _is_returning(self, name: ProcessName) -> bool:
        """Return whether a process that has run is at its beginning again."""
        return name in self._ran and self._statuses[name].state in BEGINNING


def overview(
    snapshot: Snapshot,
    frame: FrameHeader | None,
    pixels: Histogram | None,
    keys: list[KeyHelp],
    objectives: Mapping[str, float],
    *,
    commands: bool,
) -> Overview:
    """Return the page's view of the whole station."""
    source, model = snapshot.source, snapshot.model
    recording, well = _recording(snapshot)
    settings = source.settings if source else {}
    exposure_us, gain = (frame.exposure_us, frame.gain) if frame else (None, None)
    return Overview(
        title=overall(snapshot).value,
        source=source.name if source else "source not open yet",
        model=f"{model.title}, {model.runtime}" if model else "model not loaded yet",
        selects_patches=model is None or model.patch_grid is not None,
        demonstration=DEMONSTRATION if model and model.demonstration else "",
        notice=NOTICE,
        replay=snapshot.replay,
        blind=BLIND if snapshot.blind else "",
        playback=playback_text(snapshot.playback) if snapshot.playback else "",
        played=share_played(snapshot.playback) if snapshot.playback else 0.0,
        paused=snapshot.playback is not None and snapshot.playback.paused_ns is not None,
        processes=[_facts(snapshot, name) for name in PIPELINE],
        latency=_latency(snapshot),
        recording=recording,
        recording_well=well,
        alarms=alarms(snapshot),
        cautions=cautions(snapshot),
        um_per_px=source.um_per_px if source else None,
        objective=source.objective if source else "",
        objectives=dict(objectives),
        fps=snapshot.process(ProcessName.CAPTURE).rate_hz,
        exposure=f"{exposure_us:.0f} us" if exposure_us else _in_us(settings.get("exposure_us", "")),
        gain=f"{gain:.2f}" if gain is not None else settings.get("gain", ""),
        trigger=settings.get("trigger", ""),
        camera=bool(settings),
        histogram=pixels,
        keys=keys,
        commands=commands,
    )


def _in_us(exposure: str) -> str:
    return f"{exposure} us" if exposure else ""


def _facts(snapshot: Snapshot, name: ProcessName) -> ProcessFacts:
    found, rate_hz = condition(snapshot, name), snapshot.process(name).rate_hz
    running = found is ProcessCondition.RUNNING
    unit = " grades/s" if name is ProcessName.ENGINE else "/s"
    return ProcessFacts(
        name=name.value,
        condition=found.value,
        healthy=found not in UNWELL,
        pace=f"{rate_hz:.1f}{unit}" if running and rate_hz is not None else "",
    )


def _latency(snapshot: Snapshot) -> str:
    found = latency(snapshot, LATENCY_TOTAL)
    return f"exposure to grade {found.p50:.0f} ms (p95 {found.p95:.0f})" if found else "no grade yet"


def _recording(snapshot: Snapshot) -> tuple[str, bool]:
    """Return whether this run is recorded, in words, and whether that is as it should be."""
    if ProcessName.RECORDER not in snapshot.processes:
        return "not recorded", True
    recording, found = snapshot.recording, condition(snapshot, ProcessName.RECORDER)
    if found is ProcessCondition.FAILED or (recording is not None and recording.stopped):
        return "RECORDING STOPPED", False
    if snapshot.process(ProcessName.RECORDER).returning:
        return "RECORDING INTERRUPTED", False
    if found is ProcessCondition.SUSPENDED:
        return "RECORDING STANDS STILL", False
    if recording is None:
        return "recording not begun yet", True
    what = "every frame recorded" if recording.mode == "all" else "only what is kept is recorded"
    kept = f", kept {recording.kept}" if recording.kept else ""
    lost = f", {recording.lost} MISSING" if recording.lost else ""
    return f"{what}{kept}{lost}", found not in UNWELL and not recording.lost
