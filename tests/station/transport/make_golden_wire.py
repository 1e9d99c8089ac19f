"""Writes golden_wire.json, only for a new wire version: ``python -m tests.station.transport.make_golden_wire``."""

import json
from pathlib import Path

import numpy as np

from station.transport.control_messages import (
    ActionHeader,
    Command,
    ModelInfo,
    Percentiles,
    ProcessName,
    ProcessState,
    ProcessStatus,
    SourceInfo,
)
from station.transport.hello import HelloHeader
from station.transport.messages import (
    AppliedCommand,
    Cause,
    CommandName,
    EndHeader,
    Evidence,
    FrameHeader,
    GradeInfo,
    GradesHeader,
    Header,
    KinematicsInfo,
    Measured,
    ModelDoubt,
    Trace,
    TrackInfo,
    TracksHeader,
    TrackState,
    Validity,
    WindowInfo,
    WindowsHeader,
)
from station.transport.wire import encode

TRACE = Trace(t_exposure_ns=100, t_sent_ns=200, t_tracker_in_ns=300, t_tracker_out_ns=400)
GRADED = TRACE.model_copy(update={"t_engine_in_ns": 500, "t_infer_ns": 600, "t_grade_ns": 700})
MESSAGES: dict[str, tuple[Header, list[list[int]] | None]] = {
    "frame": (
        FrameHeader(seq=7, t_exposure_ns=10, t_source_ns=20, t_sent_ns=30, height=2, width=3),
        [[0, 1, 2], [3, 4, 255]],
    ),
    "end": (EndHeader(seq=8), None),
    "windows": (
        WindowsHeader(
            seq=0,
            frame_seq=9,
            trace=TRACE,
            shape=[1, 2, 1, 3],
            windows=[WindowInfo(sperm_id=3, x=1.5, y=2.25, frame_seqs=[8, 9], t_source_ns=[80, 90], padded=False)],
        ),
        [[0, 1, 2], [3, 4, 5]],
    ),
    "tracks": (
        TracksHeader(
            seq=9,
            frame_seq=9,
            trace=TRACE,
            window_frames=16,
            tracks=[
                TrackInfo(sperm_id=3, x=1.5, y=2.25, state=TrackState.LOCKED, score=0.5, filled=16),
                TrackInfo(
                    sperm_id=4, x=0.0, y=9.0, state=TrackState.LOST, score=0.0, reason="left the frame", filled=0
                ),
            ],
            applied_commands=[AppliedCommand(name=CommandName.SELECT, x=1.0, y=2.0, sperm_id=3)],
        ),
        None,
    ),
    "grades": (
        GradesHeader(
            seq=0,
            grades=[
                GradeInfo(
                    sperm_id=3,
                    frame_seq=9,
                    x=1.5,
                    y=2.25,
                    grade=[0.5, 0.25, 0.125, 0.125, 0.0],
                    heads=[[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0, 0.0]],
                    validity=Validity.PADDED,
                    trace=GRADED,
                )
            ],
        ),
        None,
    ),
    "status": (
        ProcessStatus(
            seq=1,
            stage=ProcessName.CAPTURE,
            state=ProcessState.RUNNING,
            pid=42,
            t_ns=1000,
            progress=5,
            counters={"captured": 4},
            latency_ms={"engine": Percentiles(count=1, p50=1.0, p95=1.0, p99=1.0, max=1.0)},
            source=SourceInfo(name="clip.mp4", height=480, width=640, fps=49.0),
            model=ModelInfo(name="demo", sha256="ab", runtime="onnxruntime", demonstration=True, fps=15.0),
        ),
        None,
    ),
    "command": (Command(seq=0, name=CommandName.SELECT, x=320.0, y=240.0), None),
    "tracks_kinematics": (
        TracksHeader(
            seq=1,
            frame_seq=8,
            trace=TRACE,
            window_frames=16,
            tracks=[
                TrackInfo(
                    sperm_id=3,
                    x=1.0,
                    y=2.0,
                    state=TrackState.LOCKED,
                    score=0.5,
                    filled=16,
                    kinematics=KinematicsInfo(vcl_um_s=50.0, straightness=0.5, motility="rapidly progressive"),
                ),
                TrackInfo(
                    sperm_id=4,
                    x=1.0,
                    y=2.0,
                    state=TrackState.LOST,
                    score=0.0,
                    filled=0,
                    kinematics=KinematicsInfo(refused="um/px is not set"),
                ),
            ],
        ),
        None,
    ),
    "grades_patches": (
        GradesHeader(
            seq=1,
            grades=[
                GradeInfo(
                    sperm_id=3,
                    frame_seq=9,
                    x=1.0,
                    y=2.0,
                    grade=[0.2] * 5,
                    heads=[[0.2] * 5] * 3,
                    validity=Validity.VALID,
                    trace=GRADED,
                    patches=[[4, 0], [4, 5]],
                )
            ],
        ),
        None,
    ),
    "command_scale": (Command(seq=1, name=CommandName.SCALE, um_per_px=0.5, objective="20x"), None),
    "command_blind": (Command(seq=2, name=CommandName.BLIND, blind=True), None),
    "tracks_scale": (
        TracksHeader(
            seq=2,
            frame_seq=10,
            trace=TRACE,
            window_frames=16,
            tracks=[],
            applied_commands=[AppliedCommand(name=CommandName.SCALE, um_per_px=0.5, objective="20x")],
        ),
        None,
    ),
    "hello": (
        HelloHeader(
            seq=5,
            program="rostfine-station 0.1.0",
            source=SourceInfo(name="clip.mp4", height=480, width=640, fps=49.0, um_per_px=0.25),
            model=ModelInfo(
                name="demo", sha256="ab", runtime="onnxruntime", demonstration=True, um_per_px=0.25, fps=15.0
            ),
            window_frames=16,
            window_px=150,
            stride=3,
        ),
        None,
    ),
    "grades_evidence": (
        GradesHeader(
            seq=2,
            grades=[
                GradeInfo(
                    sperm_id=3,
                    frame_seq=9,
                    x=1.0,
                    y=2.0,
                    grade=[0.2] * 5,
                    heads=[[0.2] * 5] * 3,
                    validity=Validity.DISTURBED,
                    trace=GRADED,
                    evidence=Evidence(
                        frame_seqs=[8, 9],
                        span_ms=20.0,
                        measured=Measured(causes=[Cause.STAGE], stage_px=6.5, sharpness=0.5, brightest=200.0),
                        doubts=[ModelDoubt.RATE],
                    ),
                )
            ],
        ),
        None,
    ),
    "action": (ActionHeader(seq=2, t_ns=3000, name="key k"), None),
    "action_asked": (
        ActionHeader(seq=3, t_ns=4000, name="mark", details="sperm 3 marked as chosen", asked_by="shell"),
        None,
    ),
}


def main() -> None:
    """Write the file beside this one."""
    golden = {
        name: [bytes(part).hex() for part in encode(header, None if rows is None else np.array(rows, np.uint8))]
        for name, (header, rows) in MESSAGES.items()
    }
    Path(__file__).with_name("golden_wire.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
