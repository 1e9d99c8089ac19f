"""Small video and TIFF files as people's programs write them."""

import json
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

FPS = 49
HEIGHT, WIDTH = 48, 64


def moving_frames(count: int, *, step: int = 3, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """Return (count, height, width) uint8: a bright disc that moves over smooth noise."""
    noise = np.random.default_rng(5).integers(40, 140, (height, width), np.uint8)
    ground = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2), np.uint8)
    frames = np.repeat(ground[None], count, axis=0)
    for k, frame in enumerate(frames):
        cv2.circle(frame, (8 + step * k % max(1, width - 16), height // 2), height // 6, 230, -1)
    return frames


def write_video(
    path: Path,
    frames: Sequence[NDArray[Any]] | NDArray[Any],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuvj420p",
    stored: str = "gray",
    fps: int = FPS,
    times: Sequence[int] | None = None,
    container: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode frames; ``times`` are their numbers on the axis of ``fps``, in order where not given."""
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=fps, options=options or ({"qp": "0"} if codec == "libx264" else {}))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        for number, pixels in zip(times or range(len(frames)), frames, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=stored).reformat(format=pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, fps)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def remux(source: Path, target: Path, time_base: Fraction | None = None) -> Path:
    """Copy the packets of a video into another container."""
    with av.open(str(source)) as read, av.open(str(target), "w") as write:
        stream = write.add_stream_from_template(read.streams.video[0])
        if time_base is not None:
            stream.time_base = time_base
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                write.mux(packet)
    return target


def patch_display_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Set a, b, c, d of the track's matrix in an MP4 file (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, place, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def micromanager_tag(**notes: Any) -> tuple[int, int, int, str, bool]:
    """Return the extra tag that holds Micro-Manager's notes at a page."""
    text = json.dumps(notes)
    return 51123, 2, len(text) + 1, text, False


def write_packed_tiff(path: Path, frames: NDArray[Any], bits: int, compression: int = 1) -> None:
    """Write frames of ``bits`` bits each, one after the other without gaps, rows at whole bytes."""
    out, link = bytearray(b"II*\0\0\0\0\0"), 4
    for frame in frames:
        height, width = frame.shape
        unpacked = ((frame[..., None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)
        data = np.packbits(unpacked.reshape(height, -1), axis=1).tobytes()
        start = len(out)
        out += data + b"\0" * (len(data) % 2)
        struct.pack_into("<I", out, link, len(out))
        entries = [
            (256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, compression), (262, 3, 1), (273, 4, start),
            (277, 3, 1), (278, 4, height), (279, 4, len(data)),
        ]  # fmt: skip
        out += struct.pack("<H", len(entries))
        out += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
        link = len(out)
        out += b"\0\0\0\0"
    path.write_bytes(out)


def write_stk(path: Path, frames: NDArray[np.uint16], times_ms: Sequence[int], um_per_px: float) -> None:
    """Write a MetaMorph stack: one directory, planes one behind the other, UIC tags."""
    count, height, width = frames.shape
    out = bytearray(b"II*\0\0\0\0\0")
    pixels = len(out)
    out += frames.astype("<u2").tobytes()
    planes = len(out)
    for t_ms in times_ms:
        out += struct.pack("<6I", 0, 1, 2_460_432, 37_800_000 + t_ms, 2_460_432, 37_800_000)
    wavelengths = len(out)
    out += struct.pack("<2I", 550, 1) * count
    scale = len(out)
    out += struct.pack("<2I", round(um_per_px * 10_000), 10_000)
    unit = len(out)
    out += struct.pack("<I", 3) + b"um\0"
    notes = len(out)
    out += struct.pack("<6I", 4, scale, 5, scale, 6, unit)
    struct.pack_into("<I", out, 4, len(out))
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, pixels),
        (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, height * width * 2), (33628, 4, 3, notes),
        (33629, 5, count, planes), (33630, 5, count, wavelengths),
    ]  # fmt: skip
    out += struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + b"\0" * 4
    path.write_bytes(out)
