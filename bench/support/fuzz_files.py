"""Intact files of every kind that a station reads, and ways to damage them, by seed.

A recorded session is a folder, of which one file is damaged. This module knows bytes, not how they are read.
"""

import json
import shutil
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from capture.files.tiff.micromanager import PAGE_NOTES
from station.notice import NOTICE
from station.session.chunk_writer import ChunkWriter, FileSink
from station.session.event_log import EventLog
from station.session.layout import LOG, MANIFEST, VIDEO, Manifest, SessionState, chunk_name, write_manifest
from station.session.records import ChunkRecord, EndRecord, FrameRecord, OpenedRecord, StartRecord, TracksRecord
from station.transport.control_messages import ModelInfo, SourceInfo
from station.transport.messages import (
    AppliedCommand,
    CommandName,
    FrameHeader,
    Trace,
    TrackInfo,
    TracksHeader,
    TrackState,
)

FRAME_COUNT: Final = 12
WIDTH, HEIGHT = 64, 48
FRAMES_PER_CHUNK: Final = 5

Image = NDArray[np.uint8]


def frames() -> list[Image]:
    """Return the frames of every intact file: smooth noise, (H, W) uint8."""
    noise = [np.random.default_rng(k).integers(0, 256, (HEIGHT, WIDTH), np.uint8) for k in range(FRAME_COUNT)]
    return [np.asarray(cv2.GaussianBlur(image, (0, 0), 2), np.uint8) for image in noise]


def _video(codec: str, pix_fmt: str) -> Callable[[Path, list[Image]], None]:
    def write(path: Path, images: list[Image]) -> None:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=Fraction(15))
            assert isinstance(stream, av.video.stream.VideoStream)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
            for image in images:
                frame = av.VideoFrame.from_ndarray(image, format="gray")
                container.mux(stream.encode(frame.reformat(format=pix_fmt)))
            container.mux(stream.encode(None))

    return write


def _tiff(**options: object) -> Callable[[Path, list[Image]], None]:
    def write(path: Path, images: list[Image]) -> None:
        tifffile.imwrite(path, np.stack(images), **options)  # type: ignore[arg-type]

    return write


def _frame_by_frame(path: Path, images: list[Image]) -> None:
    with tifffile.TiffWriter(path) as writer:
        for image in images:
            writer.write(image)


def _micromanager(path: Path, images: list[Image]) -> None:
    with tifffile.TiffWriter(path) as writer:
        for number, image in enumerate(images):
            notes = json.dumps({"ElapsedTime-ms": 66.7 * number, "PixelSizeUm": 0.25, "Axes": {"time": number}})
            writer.write(image, metadata=None, extratags=[(PAGE_NOTES, 2, len(notes) + 1, notes, False)])


def _lzw(path: Path, images: list[Image]) -> None:
    cv2.imwritemulti(str(path), images)


def _session(codec: str) -> Callable[[Path, list[Image]], None]:
    def write(folder: Path, images: list[Image]) -> None:
        (folder / VIDEO).mkdir(parents=True)
        manifest = Manifest(
            notice=NOTICE, session=folder.name, started_utc="2026-01-01T00:00:00Z", program="fuzz",
            state=SessionState.COMPLETE,
        )  # fmt: skip
        with EventLog(folder / LOG) as log:
            log.append(
                StartRecord(
                    notice=NOTICE, session=folder.name, started_utc="2026-01-01T00:00:00Z", mode="all", program="fuzz",
                    git_commit=None, config={}, machine={}, packages={},
                )
            )  # fmt: skip
            source = SourceInfo(name="noise", height=HEIGHT, width=WIDTH, fps=15.0)
            model = ModelInfo(name="none", sha256="", runtime="none", demonstration=True)
            log.append(OpenedRecord(source=source, model=model, stride=1))
            for number, first in enumerate(range(0, len(images), FRAMES_PER_CHUNK)):
                _chunk(log, folder, number, first, images[first : first + FRAMES_PER_CHUNK], codec)
            log.append(EndRecord(ended_utc="2026-01-01T00:01:00Z", counters={}))
            write_manifest(folder, manifest.model_copy(update={"head": log.head}))

    return write


def _chunk(log: EventLog, folder: Path, number: int, first: int, images: list[Image], codec: str) -> None:
    file = chunk_name(number)
    writer = ChunkWriter(FileSink(folder / file), codec, WIDTH, HEIGHT)
    for index, pixels in enumerate(images):
        seq, pts_ms = first + index, 66 * index
        t_ns = seq * 66_666_667
        header = FrameHeader(
            seq=seq, t_exposure_ns=t_ns, t_source_ns=t_ns, t_sent_ns=t_ns, height=HEIGHT, width=WIDTH
        )  # fmt: skip
        writer.add(pixels, pts_ms)
        log.append(
            FrameRecord(header=header, file=file, index=index, pts_ms=pts_ms, crc32=zlib.crc32(pixels.tobytes()))
        )
        log.append(TracksRecord(header=_tracks(seq, t_ns)))
    done = writer.close()
    log.append(
        ChunkRecord(file=file, codec=codec, frames=done.frames, bytes=done.bytes, sha256=done.sha256, closed=True)
    )


def _tracks(seq: int, t_ns: int) -> TracksHeader:
    applied = [AppliedCommand(name=CommandName.SELECT, x=20.0, y=20.0, sperm_id=1)] if seq == 0 else []
    track = TrackInfo(sperm_id=1, x=20.0 + seq, y=20.0, state=TrackState.LOCKED, score=0.5, filled=seq + 1)
    trace = Trace(t_exposure_ns=t_ns, t_sent_ns=t_ns)
    return TracksHeader(seq=seq, frame_seq=seq, trace=trace, window_frames=16, tracks=[track], applied_commands=applied)


KINDS: Final[dict[str, Callable[[Path, list[Image]], None]]] = {
    "mpeg4.mp4": _video("mpeg4", "yuv420p"),
    "mpeg4.avi": _video("mpeg4", "yuv420p"),
    "ffv1.mkv": _video("ffv1", "gray"),
    "mjpeg.avi": _video("mjpeg", "yuvj420p"),
    "rgb.mkv": _video("ffv1", "bgr0"),
    "plain.tif": _tiff(),
    "ome.tif": _tiff(ome=True, metadata={"axes": "TYX"}),
    "imagej.tif": _tiff(imagej=True, metadata={"axes": "TYX"}),
    "deflate.tif": _tiff(compression="zlib"),
    "lzw.tif": _lzw,
    "loop.tif": _frame_by_frame,
    "micromanager.tif": _micromanager,
    "h264.avi": _video("libx264", "yuv420p"),
    "h264.mp4": _video("libx264", "yuv420p"),
    "session-ffv1": _session("ffv1"),
    "session-raw": _session("raw"),
}
DAMAGES: Final = ("flips", "flips in the header", "cut", "hole", "noise", "empty", "wrong ending")
OTHER_ENDINGS: Final = {".tif": ".mp4", ".mp4": ".tif", ".avi": ".png", ".mkv": ".tiff"}


def damage(data: bytes, how: str, rng: np.random.Generator) -> bytes:
    """Return ``data`` damaged in one of the ways; "wrong ending" does not change the bytes."""
    broken = bytearray(data)
    match how:
        case "flips":
            for place in rng.integers(0, len(broken), int(rng.integers(1, 40))):
                broken[place] ^= 1 << int(rng.integers(8))
        case "flips in the header":
            for place in rng.integers(0, min(400, len(broken)), int(rng.integers(1, 12))):
                broken[place] ^= 1 << int(rng.integers(8))
        case "cut":
            del broken[int(rng.integers(0, len(broken))) :]
        case "hole":
            start = int(rng.integers(0, len(broken)))
            broken[start : start + int(rng.integers(1, 2000))] = b""
        case "noise":
            start = int(rng.integers(0, len(broken)))
            stop = min(len(broken), start + int(rng.integers(1, 2000)))
            broken[start:stop] = rng.bytes(stop - start)
        case "empty":
            broken.clear()
    return bytes(broken)


def damaged_copy(original: Path, target: Path, how: str, rng: np.random.Generator) -> Path:
    """Write a damaged copy of a file, or of a session with one damaged file; return its path.

    "wrong ending" gives a file another ending; in a session it renames one of the files.
    """
    if original.is_dir():
        shutil.copytree(original, target)
        parts = [target / LOG, target / MANIFEST, *sorted((target / VIDEO).iterdir())]
        victim = parts[int(rng.integers(0, len(parts)))]
        if how == "wrong ending":
            victim.rename(victim.with_suffix(".bak"))
        else:
            victim.write_bytes(damage(victim.read_bytes(), how, rng))
        return target
    if how == "wrong ending":
        target = target.with_suffix(OTHER_ENDINGS[target.suffix])
    target.write_bytes(damage(original.read_bytes(), how, rng))
    return target
