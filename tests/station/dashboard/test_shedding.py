"""What gives way under load, and why nothing is graded, from counters over time."""

import pytest

from station.dashboard.assessment import Overall, alarms, cautions, overall
from station.dashboard.shedding import SPAN_S, SheddingMeter
from station.dashboard.snapshot import Snapshot
from station.transport.control_messages import ProcessName, ProcessState, ProcessStatus
from station.transport.counters import CaptureCounters, Counters, EngineCounters, TrackerCounters
from station.transport.messages import Trace, TrackInfo, TracksHeader, TrackState

FULL = 16


def status(name: ProcessName, counters: Counters, state: ProcessState = ProcessState.RUNNING) -> ProcessStatus:
    return ProcessStatus(seq=0, process=name, state=state, pid=1, t_ns=0, progress=1, counters=counters)


def statuses(
    *, captured: int = 0, skipped: int = 0, dropped: int = 0, replaced: int = 0, grades: int = 0, thinned: int = 0,
    lost: int = 0, engine: ProcessState = ProcessState.RUNNING,
) -> dict[ProcessName, ProcessStatus]:  # fmt: skip
    found = [
        status(
            ProcessName.CAPTURE,
            CaptureCounters(captured=captured, skipped=skipped, thinned=thinned, lost_by_source=lost),
        ),
        status(ProcessName.TRACKER, TrackerCounters(tracked=captured, dropped=dropped, thinned=thinned // 2)),
        status(ProcessName.ENGINE, EngineCounters(grades=grades, replaced=replaced), engine),
    ]
    return {one.process: one for one in found}


def track(state: TrackState, reason: str = "", filled: int = 0) -> TrackInfo:
    return TrackInfo(sperm_id=1, x=0.0, y=0.0, state=state, score=0.5, reason=reason, filled=filled)


def tracks(*found: TrackInfo, disturbance: str = "") -> TracksHeader:
    return TracksHeader(
        seq=0, frame_seq=0, trace=Trace(t_exposure_ns=0, t_sent_ns=0), window_frames=FULL, tracks=list(found),
        disturbance=disturbance,
    )  # fmt: skip


def test_each_step_of_the_ladder_is_said_and_forgotten() -> None:
    meter = SheddingMeter()
    graded = tracks(track(TrackState.LOCKED, filled=FULL))
    assert meter.update(0.0, statuses(grades=1), graded) == ((), "")
    busy = statuses(captured=30, grades=9, replaced=12, dropped=4 + 20, skipped=7 + 40, thinned=40)
    steps, ungraded = meter.update(1.0, busy, graded)
    assert [step.split(":")[0] for step in steps] == [f"load shed, step {number}" for number in (1, 2, 3, 4)]
    for step, said in zip(steps, ("12 windows", "4 frames", "7 late frames", "60 frames"), strict=True):
        assert f": {said}" in step
    assert ungraded == ""
    for second in range(2, 12):
        calm = statuses(captured=30 * second, grades=9 * second, replaced=12, dropped=24, skipped=47, thinned=40)
        steps, ungraded = meter.update(float(second), calm, graded)
    assert (steps, ungraded) == ((), ""), "what is over is not said any more"


LOCKED = track(TrackState.LOCKED, filled=3)
REASONS = {
    "no frame comes from the source": (0, 0, tracks(LOCKED)),
    "no sperm is tracked": (10, 0, tracks()),
    "all sperm are lost": (10, 0, tracks(track(TrackState.LOST, "left the frame"))),
    "crossing": (10, 0, tracks(track(TrackState.UNCERTAIN, "crossing"), track(TrackState.LOST))),
    "stage moving": (10, 0, tracks(LOCKED, disturbance="stage moving")),
    "windows break, as frames are missing": (10, 9, tracks(LOCKED)),
    "the engine has windows and grades none": (10, 9, tracks(track(TrackState.LOCKED, filled=FULL))),
}


def test_frames_that_a_camera_or_a_network_loses_are_no_fault_of_this_machine() -> None:
    meter = SheddingMeter()
    for second in range(int(SPAN_S) + 1):
        _, ungraded = meter.update(float(second), statuses(captured=9 * second, lost=6 * second), tracks(LOCKED))
    assert ungraded == "windows break, as the source has lost frames (30 in 5 s)"


@pytest.mark.parametrize("reason", REASONS)
def test_frames_without_grades_are_an_alarm_with_the_reason(reason: str) -> None:
    frames, skipped, header = REASONS[reason]
    meter = SheddingMeter()
    for second in range(int(SPAN_S) + 1):
        now = statuses(captured=frames * second, skipped=skipped * second, grades=5)
        steps, ungraded = meter.update(float(second), now, header)
        assert (ungraded == "") == (second < SPAN_S)
    assert ungraded.startswith(reason)
    snapshot = Snapshot(now_ns=0, elapsed_s=9.0, ungraded=ungraded, shed=steps)
    assert f"NOTHING IS GRADED: {ungraded}" in alarms(snapshot)
    assert overall(snapshot) is Overall.ATTENTION
    assert set(steps) <= set(cautions(snapshot))
    starting = statuses(captured=99, grades=5, engine=ProcessState.STARTING)
    assert meter.update(7.0, starting, header) == ((), ""), "an engine that is started again is said elsewhere"
