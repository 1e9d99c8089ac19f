"""A recorded session with sperm that swim, are graded and are marked, written with the format's own parts.

Its windows can be cut again: their CRC is that of the very crops, and its times are those of a live run.
"""

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from station.crop import crop_into
from station.session.event_log import EventLog
from station.session.layout import LOG, Manifest, SessionState, new_session, write_manifest
from station.session.records import (
    ActionRecord,
    EndRecord,
    GradesRecord,
    OpenedRecord,
    StartRecord,
    StatusRecord,
    TracksRecord,
    WindowsRecord,
)
from station.transport.control_messages import (
    ActionHeader,
    ModelInfo,
    Percentiles,
    ProcessName,
    ProcessState,
    ProcessStatus,
    SourceInfo,
)
from station.transport.messages import (
    AppliedCommand,
    CommandName,
    FrameHeader,
    GradeInfo,
    GradesHeader,
    KinematicsInfo,
    Trace,
    TrackInfo,
    TracksHeader,
    TrackState,
    Validity,
    WindowInfo,
    WindowsHeader,
)
from tests.support import recorded_session as plain

FPS, T, SIZE = 50, 4, 32
MS = 1_000_000
BEGAN_NS = 10**9
WIDTH, HEIGHT = plain.WIDTH, plain.HEIGHT
GRADES = {1: [0.6, 0.3, 0.1, 0.0, 0.0], 2: [0.1, 0.2, 0.6, 0.1, 0.0], 3: [0.0, 0.0, 0.1, 0.3, 0.6]}
"""By sperm; sperm 3 is lost at the end."""


def place(sperm_id: int, seq: int) -> tuple[float, float]:
    return 18.0 + 0.9 * seq + 8 * (sperm_id - 1), 16.0 + 14 * (sperm_id - 1) + np.sin(seq / 2)


def exposed_ns(seq: int) -> int:
    return BEGAN_NS + seq * 20 * MS


def record_graded(
    parent: Path,
    *,
    frames: int = 40,
    marks: tuple[tuple[int, int, str], ...] = ((30, 2, ""),),
    ended: bool = True,
    config: dict[str, object] | None = None,
    mode: str = "all",
    notes: tuple[tuple[int, str], ...] = (),
    deeds: tuple[tuple[int, str], ...] = (),
    scale: tuple[int, float] | None = None,
    model: str = "ab" * 32,
    demonstration: bool = False,
) -> Path:
    """A session; ``marks``: frame number, sperm, note; ``deeds``: frame number, name. Sperm 3 is lost from frame 24 on.

    ``scale``: the frame from which on another objective is in, and its um/px.
    """
    folder = new_session(parent)
    images = plain.noise_images(frames, seed=7)
    start = StartRecord(
        notice=plain.NOTICE, session=folder.name, started_utc="2026-01-01T10:00:00.000+00:00",
        mode="keep" if mode == "keep" else "all", program="test 1", git_commit="0" * 40,
        config={"window": {"frames": T, "size": SIZE, "stride": 1}, "speed": "live", **(config or {})},
        machine={"system": "Linux"}, packages={"numpy": "2"},
    )  # fmt: skip
    manifest = Manifest(
        notice=plain.NOTICE, session=folder.name, started_utc=start.started_utc, program="test 1",
        state=SessionState.COMPLETE if ended else SessionState.RECORDING,
    )  # fmt: skip
    with EventLog(folder / LOG) as log:
        log.append(start)
        log.append(
            OpenedRecord(
                source=SourceInfo(name="drawn", height=HEIGHT, width=WIDTH, fps=float(FPS), um_per_px=0.5,
                                  settings={"ExposureTime": "4000"}),
                model=ModelInfo(name="tried", sha256=model, runtime="none", demonstration=demonstration, patch_grid=4,
                                um_per_px=0.5, fps=float(FPS)),
                stride=1,
            )
        )  # fmt: skip
        if mode == "all":
            headers = [
                FrameHeader(seq=s, t_exposure_ns=exposed_ns(s), t_source_ns=s * 20 * MS, t_sent_ns=exposed_ns(s) + 5,
                            height=HEIGHT, width=WIDTH)
                for s in range(frames)
            ]  # fmt: skip
            plain.write_chunk(log, folder, 0, list(zip(headers[:25], images[:25], strict=True)), "ffv1")
            plain.write_chunk(log, folder, 1, list(zip(headers[25:], images[25:], strict=True)), "ffv1")
        windows = grades = 0
        for seq in range(frames):
            log.append(TracksRecord(header=_tracks(seq, scale)))
            for sperm_id in GRADES:
                if seq < T or seq % 5 or (sperm_id == 3 and seq >= 24):
                    continue
                info, pixels = _window(sperm_id, seq, images)
                header = WindowsHeader(seq=windows, frame_seq=seq, trace=_trace(seq), shape=[1, T, SIZE, SIZE],
                                       windows=[info])  # fmt: skip
                log.append(WindowsRecord(header=header, crc32=[zlib.crc32(pixels.data)]))
                log.append(GradesRecord(header=GradesHeader(seq=grades, grades=[_grade(sperm_id, seq)])))
                windows, grades = windows + 1, grades + 1
            for number, (at, sperm_id, note) in enumerate(marks):
                if at == seq:
                    text = f"sperm {sperm_id} marked as chosen" + (f": {note}" if note else "")
                    t_ns = exposed_ns(seq) + 15 * MS
                    action = ActionHeader(seq=number, t_ns=t_ns, name="mark", details=text, asked_by="screen")
                    log.append(ActionRecord(action=action))
            for at, name in deeds:
                if at == seq:
                    log.append(ActionRecord(action=ActionHeader(seq=80, t_ns=exposed_ns(seq) + 16 * MS, name=name)))
            for at, text in notes:
                if at == seq:
                    t_ns = exposed_ns(seq) + 15 * MS
                    log.append(ActionRecord(action=ActionHeader(seq=90, t_ns=t_ns, name="note", details=text,
                                                                asked_by="view")))  # fmt: skip
        status = ProcessStatus(
            seq=0, process=ProcessName.ENGINE, state=ProcessState.ENDED, pid=1, t_ns=1, progress=1,
            latency_ms={"exposure_to_grade": Percentiles(count=5, p50=12.5, p95=20.0, p99=21.0, max=22.0)},
            notices=["a notice & more"],
        )  # fmt: skip
        log.append(StatusRecord(status=status))
        if ended:
            counters = {"frames": frames, "sperm": 3, "marks": len(marks), "notes": len(notes)}
            log.append(EndRecord(ended_utc="2026-01-01T10:01:00Z", counters=counters))
        write_manifest(folder, manifest.model_copy(update={"head": log.head}))
    return folder


def _trace(seq: int) -> Trace:
    exposed = exposed_ns(seq)
    return Trace(t_exposure_ns=exposed, t_sent_ns=exposed + MS, t_tracker_in_ns=exposed + 2 * MS,
                 t_tracker_out_ns=exposed + 4 * MS, t_engine_in_ns=exposed + 5 * MS, t_infer_ns=exposed + 6 * MS,
                 t_grade_ns=exposed + 10 * MS)  # fmt: skip


def _tracks(seq: int, scale: tuple[int, float] | None) -> TracksHeader:
    tracks: list[TrackInfo] = []
    for sperm_id in GRADES:
        lost = sperm_id == 3 and seq >= 24
        x, y = place(sperm_id, min(seq, 23) if sperm_id == 3 else seq)
        swims = KinematicsInfo(vcl_um_s=45.0, vsl_um_s=22.0, lin=0.49, motility="rapidly progressive", rate_hz=50.0)
        tracks.append(
            TrackInfo(sperm_id=sperm_id, x=x, y=y, state=TrackState.LOST if lost else TrackState.LOCKED,
                      score=0.0 if lost else 0.9, reason="left the frame" if lost else "",
                      filled=0 if lost else min(seq + 1, T), kinematics=swims if seq % 25 == 20 else None)
        )  # fmt: skip
    done = [AppliedCommand(name=CommandName.SCALE, um_per_px=scale[1])] if scale is not None and scale[0] == seq else []
    return TracksHeader(seq=seq, frame_seq=seq, trace=_trace(seq), window_frames=T, tracks=tracks, obeyed=done,
                        disturbance="stage moving" if seq == 12 else "")  # fmt: skip


def _window(sperm_id: int, seq: int, images: list[NDArray[np.uint8]]) -> tuple[WindowInfo, NDArray[np.uint8]]:
    seqs = list(range(seq - T + 1, seq + 1))
    pixels = np.empty((T, SIZE, SIZE), np.uint8)
    padded = [crop_into(pixels[n], images[s], *place(sperm_id, s)) for n, s in enumerate(seqs)]
    x, y = place(sperm_id, seq)
    times = [s * 20 * MS for s in seqs]
    return WindowInfo(sperm_id=sperm_id, x=x, y=y, frame_seqs=seqs, t_source_ns=times, padded=any(padded)), pixels


def _grade(sperm_id: int, seq: int) -> GradeInfo:
    x, y = place(sperm_id, seq)
    grade = GRADES[sperm_id]
    return GradeInfo(sperm_id=sperm_id, frame_seq=seq, x=x, y=y, grade=grade, heads=[grade] * 3,
                     validity=Validity.VALID, trace=_trace(seq), patches=[[5, 6]] * T)  # fmt: skip
