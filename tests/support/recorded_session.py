"""A small recorded session, written with the format's own parts, for the tests of its readers."""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from station.session.chunk_writer import ChunkWriter, FileSink
from station.session.event_log import EventLog
from station.session.layout import LOG, Manifest, SessionState, chunk_name, new_session, read_manifest, write_manifest
from station.session.records import (
    ActionRecord,
    ChunkRecord,
    EndRecord,
    FrameRecord,
    OpenedRecord,
    Record,
    StartRecord,
)
from station.session.session_reader import Session
from station.transport.control_messages import ActionHeader, ModelInfo, SourceInfo
from station.transport.messages import FrameHeader

NOTICE = "For research use only. Not for use in diagnostic procedures."
WIDTH, HEIGHT = 96, 64


def noise_images(count: int, seed: int = 1) -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (HEIGHT, WIDTH), np.uint8) for _ in range(count)]


def header(seq: int) -> FrameHeader:
    """Times that no frame rate would give, so that only recorded times can match."""
    t_ns = seq * 20_000_000 + seq * seq * 1_111
    return FrameHeader(
        seq=seq, t_exposure_ns=10**9 + t_ns, t_source_ns=t_ns, t_sent_ns=10**9 + t_ns + 5, height=HEIGHT, width=WIDTH,
        lost_before=seq % 3, exposure_id=seq // 4,
    )  # fmt: skip


def write_chunk(
    log: EventLog, folder: Path, number: int, frames: Sequence[tuple[FrameHeader, NDArray[np.uint8]]], codec: str
) -> None:
    file = chunk_name(number)
    sink = FileSink(folder / file)
    writer = ChunkWriter(sink, codec, WIDTH, HEIGHT)
    for index, (head, pixels) in enumerate(frames):
        pts_ms = (head.t_source_ns - frames[0][0].t_source_ns) // 1_000_000
        writer.add(pixels, pts_ms)
        log.append(FrameRecord(header=head, file=file, index=index, pts_ms=pts_ms, crc32=zlib.crc32(pixels.data)))
    done = writer.close()
    sink.close()
    log.append(
        ChunkRecord(
            file=file, codec=codec, frames=done.frames, bytes=done.bytes, sha256=done.sha256, closed=True
        )
    )  # fmt: skip


def record(
    parent: Path, *, frames: int = 12, per_chunk: int = 5, codec: str = "ffv1", config: dict[str, Any] | None = None
) -> Path:
    """A complete session of noise; return its folder."""
    folder = new_session(parent)
    shown = [(header(seq), pixels) for seq, pixels in enumerate(noise_images(frames))]
    manifest = Manifest(
        notice=NOTICE, session=folder.name, started_utc="2026-01-01T00:00:00Z", program="test",
        state=SessionState.COMPLETE,
    )  # fmt: skip
    with EventLog(folder / LOG) as log:
        log.append(
            StartRecord(
                notice=NOTICE, session=folder.name, started_utc="2026-01-01T00:00:00Z", mode="all", program="test",
                git_commit=None, config=config or {}, machine={}, packages={},
            )
        )  # fmt: skip
        log.append(
            OpenedRecord(
                source=SourceInfo(name="noise", height=HEIGHT, width=WIDTH, fps=50.0),
                model=ModelInfo(name="none", sha256="", runtime="none", demonstration=True),
                stride=1,
            )
        )
        for number, first in enumerate(range(0, frames, per_chunk)):
            write_chunk(log, folder, number, shown[first : first + per_chunk], codec)
        log.append(ActionRecord(action=ActionHeader(seq=0, t_ns=1, name="key q")))
        log.append(EndRecord(ended_utc="2026-01-01T00:01:00Z", counters={"frames": frames}))
        write_manifest(folder, manifest.model_copy(update={"head": log.head}))
    return folder


def rechained(folder: Path, keep: Callable[[Record], bool]) -> None:
    """Write the log anew with only some of its records, whole again but for the manifest's head."""
    records = [event.record for event in Session(folder).events()]
    (folder / LOG).unlink()
    with EventLog(folder / LOG) as log:
        for record in records:
            if keep(record):
                log.append(record)
        write_manifest(folder, read_manifest(folder).model_copy(update={"head": log.head}))


def flip(path: Path, offset: int, bits: int = 0x55) -> None:
    """Change one byte; a negative offset counts from the end."""
    content = bytearray(path.read_bytes())
    content[offset] ^= bits
    path.write_bytes(content)
