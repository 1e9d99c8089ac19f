"""Snapshots of every kind, for the stored screens: what the dashboard may have to show."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from station.clock import NS_PER_MS, NS_PER_S
from station.dashboard.key_handler import KEYS, QUESTION, REPLAY_ONLY
from station.dashboard.snapshot import Motion, ProcessView, ScreenState, Snapshot
from station.transport.control_messages import (
    PIPELINE,
    ModelInfo,
    Percentiles,
    ProcessName,
    ProcessState,
    ProcessStatus,
    RecordingInfo,
    SourceInfo,
)
from station.transport.messages import (
    Cause,
    Evidence,
    GradeInfo,
    KinematicsInfo,
    Measured,
    Trace,
    TrackInfo,
    TracksHeader,
    TrackState,
    Validity,
)

NOW_NS = 1_000 * NS_PER_S
ALL_KEYS = tuple((key.shown, key.does) for key in KEYS if key.asks not in REPLAY_ONLY)

SOURCE = SourceInfo(name="simulated microscope", height=976, width=1392, fps=15.0, um_per_px=0.25)
MODEL = ModelInfo(
    name="demo",
    sha256="3f2a9c1b" * 8,
    runtime="onnxruntime (CPU, 1 thread)",
    demonstration=True,
    um_per_px=0.25,
    fps=15.0,
)
LATENCY = {
    name: Percentiles(count=256, p50=p50, p95=p95, p99=p95, max=p95)
    for name, p50, p95 in (
        ("exposure_to_grade", 182.4, 240.1),
        ("capture", 0.2, 0.4),
        ("transport", 1.1, 2.0),
        ("tracker_to_window", 5.2, 9.0),
        ("waiting", 45.0, 81.0),
        ("engine", 131.0, 150.2),
    )
}


def view(
    process: ProcessName, state: ProcessState = ProcessState.RUNNING, ago_s: float = 0.04, **fields: object
) -> ProcessView:
    t_ns = NOW_NS - round(ago_s * NS_PER_S)
    rate_hz = {ProcessName.ENGINE: 28.2}.get(process, 15.0)
    if process is ProcessName.CAPTURE:
        fields = {"source": SOURCE} | fields
    if process is ProcessName.ENGINE:
        fields = {"model": MODEL, "recent_ms": LATENCY} | fields
    status = ProcessStatus.model_validate(
        {"seq": 1, "stage": process, "state": state, "pid": 1, "t_ns": t_ns, "progress": 9} | fields
    )
    return ProcessView(status=status, progress_ns=t_ns, rate_hz=rate_hz if state is ProcessState.RUNNING else None)


def track(
    sperm_id: int, state: TrackState = TrackState.LOCKED, filled: int = 16, score: float = 0.93, reason: str = ""
) -> TrackInfo:
    x, y = 1203.4 - 97 * sperm_id, 88.2 + 61 * sperm_id
    return TrackInfo(sperm_id=sperm_id, x=x, y=y, state=state, score=score, reason=reason, filled=filled)


def grade(sperm_id: int, *shares: float, age_ms: int = 190, validity: Validity = Validity.VALID) -> GradeInfo:
    t_ns = NOW_NS - age_ms * NS_PER_MS
    return GradeInfo(
        sperm_id=sperm_id,
        frame_seq=400,
        x=0.0,
        y=0.0,
        grade=list(shares),
        heads=[list(shares)] * 3,
        validity=validity,
        trace=Trace(t_exposure_ns=t_ns, t_sent_ns=t_ns),
    )


def disturbed(sperm_id: int, *causes: Cause) -> GradeInfo:
    """A grade with the evidence that it was disturbed by these."""
    measured = Measured(causes=list(causes), stage_px=42.0, sharpness=0.31, nearest_px=38.0)
    evidence = Evidence(frame_seqs=list(range(370, 401, 2)), span_ms=1000.0, measured=measured)
    found = grade(sperm_id, 0.37, 0.31, 0.22, 0.072, 0.028, validity=Validity.DISTURBED)
    return found.model_copy(update={"evidence": evidence})


def broken(sperm_id: int, by: str) -> TrackInfo:
    return track(sperm_id, filled=5).model_copy(update={"unbroken_since": 397, "broken_by": by})


def tracks(*items: TrackInfo, disturbance: str = "", age_ms: int = 60) -> TracksHeader:
    t_ns = NOW_NS - age_ms * NS_PER_MS
    trace = Trace(t_exposure_ns=t_ns, t_sent_ns=t_ns)
    return TracksHeader(
        seq=401, frame_seq=401, trace=trace, window_frames=16, tracks=list(items), disturbance=disturbance
    )


BLURRED = "the picture is out of focus: grades are marked as disturbed. Turn the focus"
RUNNING = Snapshot(
    now_ns=NOW_NS,
    elapsed_s=83.4,
    processes={name: view(name) for name in PIPELINE},
    tracks=tracks(
        track(3),
        track(1),
        track(2, TrackState.ACQUIRING, filled=7, score=0.71),
        track(4, TrackState.UNCERTAIN, filled=3, score=0.44, reason="crossing"),
    ),
    grades={
        1: grade(1, 0.37, 0.31, 0.22, 0.072, 0.028),
        3: grade(3, 0.003, 0.0, 0.001, 0.0, 0.996, validity=Validity.PADDED, age_ms=204),
        4: grade(4, 0.05, 0.15, 0.6, 0.15, 0.05, age_ms=811),
    },
    drops={"camera to capture": 0, "capture to tracker": 3, "tracker to engine (replaced)": 120},
)
RECORDING = RecordingInfo(
    folder="/home/user/.local/share/rostfine-station/sessions/20260131T141500Z-3f9c", mode="all", codec="ffv1",
    frames=1251, size_bytes=803_000_000, left_s=5_400.0, kept=2,
)  # fmt: skip


def recorded(ago_s: float = 0.04, **changes: object) -> Snapshot:
    recorder = view(ProcessName.RECORDER, ago_s=ago_s, recording=RECORDING.model_copy(update=changes))
    keys = ("q quit", "? all keys", "a replace lost", "k keep 30 s")
    return dataclasses.replace(RUNNING, processes=RUNNING.processes | {ProcessName.RECORDER: recorder}, keys=keys)


REAL_MODEL = MODEL.model_copy(update={"name": "semen-base", "demonstration": False})
REAL = dataclasses.replace(
    RUNNING, processes=RUNNING.processes | {ProcessName.ENGINE: view(ProcessName.ENGINE, model=REAL_MODEL)}
)


def past(sperm_id: int) -> tuple[GradeInfo, ...]:
    """Grades of a minute: from sure of A to sure of E, with a gap of 10 s in the middle."""
    found = []
    for age_ms in range(59_000, 0, -200):
        share = age_ms / 60_000
        if not 25_000 < age_ms < 35_000:
            found.append(grade(sperm_id, 0.8 * share, 0.1, 0.1, 0.0, 0.8 * (1 - share), age_ms=age_ms))
    return tuple(found)


def spot() -> NDArray[np.uint8]:
    """A bright head with a tail to the right, on grey."""
    y, x = np.mgrid[-75:75, -75:75]
    picture = np.full((150, 150), 90.0)
    picture[(np.abs(y - 6 * np.sin(x / 9)) < 3) & (x > 0)] = 60
    picture[(x / 14) ** 2 + (y / 9) ** 2 < 1] = 200
    return picture.astype(np.uint8)


SWIMS = Motion(
    KinematicsInfo(
        vcl_um_s=81.4, vsl_um_s=48.2, vap_um_s=57.9, lin=0.59, straightness=0.83, wob=0.71, mad_deg=32.0,
        motility="rapidly progressive", confidence=0.8, rate_hz=15.0, duration_s=1.0,
    ),
    NOW_NS - 300 * NS_PER_MS,
)  # fmt: skip


MANY = dataclasses.replace(
    RUNNING,
    tracks=tracks(*(track(number, filled=16 if number % 3 else 4) for number in range(1, 13))),
    grades={number: grade(number, 0.1, 0.2, 0.4, 0.2, 0.1) for number in range(1, 13, 2)},
    keys=("q quit", "p pause", "+ select one more", "- release the last one"),
)
CASES = {
    "starting": Snapshot(
        now_ns=NOW_NS,
        elapsed_s=0.9,
        processes={ProcessName.ENGINE: view(ProcessName.ENGINE, ProcessState.STARTING, 0.6, model=None, recent_ms={})},
    ),
    "running": RUNNING,
    "recorded": recorded(),
    "recording_incomplete": recorded(lost=17, left_s=412.0, mode="keep", codec="raw", pre_trigger_s=12.5),
    "recording_stopped": recorded(
        stopped="the disk is almost full: 0.99 GB free, 1.00 GB are kept free ([record] reserve_mb)", left_s=0.0
    ),
    "recorder_died": dataclasses.replace(
        recorded(),
        processes=recorded().processes
        | {ProcessName.RECORDER: ProcessView(died="the recorder died (signal 9)", progress_ns=NOW_NS)},
    ),
    "lost_and_stale": dataclasses.replace(
        REAL,
        tracks=tracks(
            track(1, TrackState.LOST, filled=0, score=0.08, reason="left the frame"),
            track(2, TrackState.LOST, filled=0, score=0.1, reason="out of focus"),
            track(3),
            track(4, filled=5),
            disturbance="stage moving",
        ),
        grades={
            1: grade(1, 0.37, 0.31, 0.22, 0.07, 0.03, age_ms=4200),
            3: grade(3, 0.02, 0.08, 0.7, 0.15, 0.05, age_ms=1630),
            4: grade(4, 0.05, 0.15, 0.6, 0.15, 0.05, age_ms=730),
        },
    ),
    "process_failed": dataclasses.replace(
        RUNNING,
        processes=RUNNING.processes
        | {
            ProcessName.TRACKER: view(ProcessName.TRACKER, ago_s=1.24),
            ProcessName.ENGINE: view(
                ProcessName.ENGINE,
                ProcessState.FAILED,
                error="RuntimeError: the network gave a distribution that is not finite; the golden clips no longer "
                "agree, so nothing more is graded",
            ),
        },
        tracks=tracks(track(1), track(2), age_ms=1300),
        grades={1: grade(1, 0.37, 0.31, 0.22, 0.07, 0.03, age_ms=1400)},
    ),
    "every_state": dataclasses.replace(
        recorded(),
        screen=ScreenState(marked=frozenset({1, 4})),
        tracks=tracks(
            track(1),
            track(2, TrackState.ACQUIRING, filled=7, score=0.71),
            track(3, TrackState.UNCERTAIN, filled=3, score=0.44, reason="crossing"),
            track(4, TrackState.LOST, filled=0, score=0.0, reason="left the frame"),
            track(5, filled=5),
            track(6),
        ),
        grades={
            1: grade(1, 0.37, 0.31, 0.22, 0.072, 0.028),
            3: grade(3, 0.05, 0.15, 0.6, 0.15, 0.05, age_ms=811),
            4: grade(4, 0.0, 0.004, 0.996, 0.0, 0.0, age_ms=12_400),
            5: grade(5, 0.2, 0.2, 0.2, 0.2, 0.2, age_ms=900),
            6: grade(6, 0.003, 0.0, 0.001, 0.0, 0.996, validity=Validity.PADDED, age_ms=1630),
        },
    ),
    "disturbed": dataclasses.replace(
        recorded(),
        processes=recorded().processes
        | {
            ProcessName.ENGINE: view(ProcessName.ENGINE, model=REAL_MODEL),
            ProcessName.TRACKER: view(ProcessName.TRACKER, notices=[BLURRED]),
        },
        screen=ScreenState(focus=1),
        tracks=tracks(track(1), track(2), broken(3, "focus changed"), broken(4, "gap"), track(5)),
        grades={
            1: disturbed(1, Cause.STAGE, Cause.FOCUS),
            2: disturbed(2, Cause.CROSSING),
            3: grade(3, 0.2, 0.3, 0.3, 0.1, 0.1, age_ms=640),
            4: grade(4, 0.2, 0.3, 0.3, 0.1, 0.1, age_ms=640),
            5: grade(5, 0.2, 0.3, 0.3, 0.1, 0.1, validity=Validity.STALE),
        },
        history=(disturbed(1, Cause.STAGE, Cause.FOCUS),),
        crop=spot(),
        has_crops=True,
    ),
    "blind": dataclasses.replace(recorded(), blind=True, grades={}, screen=ScreenState(focus=3), motion=SWIMS),
    "ranked": dataclasses.replace(recorded(), screen=ScreenState(ranked=True)),
    "many": MANY,
    "many_scrolled": dataclasses.replace(MANY, screen=ScreenState(focus=9), history=past(9)),
    "focused": dataclasses.replace(recorded(), screen=ScreenState(focus=3), history=past(3), motion=SWIMS),
    "focused_picture": dataclasses.replace(
        recorded(), screen=ScreenState(focus=3), history=past(3), motion=SWIMS, crop=spot(), has_crops=True
    ),
    "focused_no_grade": dataclasses.replace(recorded(), screen=ScreenState(focus=2, message="Keeping the last 30 s.")),
    "keys": dataclasses.replace(recorded(), screen=ScreenState(keys=ALL_KEYS)),
    "asked": dataclasses.replace(recorded(), screen=ScreenState(question=QUESTION)),
    "not_available": dataclasses.replace(
        RUNNING,
        processes={
            ProcessName.CAPTURE: dataclasses.replace(
                view(
                    ProcessName.CAPTURE,
                    source=SourceInfo(name="clips/day 3/sample 12 of 40, diluted.mp4", height=480, width=640, fps=49.0),
                ),
                rate_hz=None,
            ),
            ProcessName.TRACKER: dataclasses.replace(view(ProcessName.TRACKER), rate_hz=None),
            ProcessName.ENGINE: dataclasses.replace(
                view(ProcessName.ENGINE, model=REAL_MODEL, recent_ms={}, notices=["graphics card not used: no driver"]),
                rate_hz=None,
            ),
        },
        elapsed_s=0.6,
        tracks=tracks(track(1, filled=16), track(2, filled=0, score=0.0)),
        grades={},
        drops={},
    ),
}
