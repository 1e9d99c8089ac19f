"""Reads chunks of a session's video back, frame by frame, with whatever of them is whole.

A torn or damaged chunk just has fewer frames: every frame is coded for itself, and each is compared with what the log
says of it. This module knows files and time stamps; the log is read elsewhere.
"""

import contextlib
import zlib
from collections.abc import Collection, Generator, Iterable, Iterator
from pathlib import Path
from typing import Final, Self

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from station.files import open_regular

MOST_PX: Final = 1 << 28
"""A damaged header that announces more is refused before memory is taken for it."""
READ_LIMIT_S: Final = 20.0
"""No single read of a file may take longer."""

Picture = tuple[int, NDArray[np.uint8]]
"""Time stamp in ms, pixels (H, W)."""


class ChunkReader:
    """Finds frames of a chunk by their time stamps, in rising order; skips what cannot be read."""

    def __init__(self, path: Path, wanted: Collection[int] | None = None, *, threads: int = 1) -> None:
        """``wanted``: time stamps in ms; no other frame is decoded. None: all are. ``threads``: for each picture."""
        self._decoded = _decode(path, wanted, threads)
        self._pictures = _rising(self._decoded)
        self._ahead: Picture | None = None

    def find(self, pts_ms: int, height: int, width: int, crc32: int) -> NDArray[np.uint8] | None:
        """Return the frame of this time stamp as (H, W) uint8; None where it is not there as it was recorded."""
        while self._ahead is None or self._ahead[0] < pts_ms:
            self._ahead = next(self._pictures, None)
            if self._ahead is None:
                return None
        found_ms, pixels = self._ahead
        if found_ms != pts_ms or pixels.shape != (height, width) or zlib.crc32(pixels.data) != crc32:
            return None
        return pixels

    def close(self) -> None:
        """Close the file; may be called more than once."""
        self._decoded.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _rising(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """Leave out a picture whose time stamp the next one contradicts: a damaged stamp would hide all behind it."""
    before: Picture | None = None
    for picture in pictures:
        if before is not None and before[0] < picture[0]:
            yield before
        before = picture
    if before is not None:
        yield before


def _decode(path: Path, wanted: Collection[int] | None, threads: int) -> Generator[Picture, None, None]:
    av.logging.set_level(None)  # the caller says what is missing
    options = {"protocol_whitelist": "file"}
    with (
        contextlib.suppress(av.FFmpegError, ValueError, OSError, MemoryError),
        open_regular(path),  # FFmpeg would wait for a pipe
        av.open(str(path), format="matroska", timeout=READ_LIMIT_S, options=options) as container,
    ):
        stream = next((s for s in container.streams.video if s.codec_context is not None), None)
        if stream is None:
            return
        stream.codec_context.thread_count = threads
        stream.codec_context.thread_type = "SLICE"  # by whole frames, a packet would give out an earlier one's picture
        stream.codec_context.options = {"err_detect": "crccheck", "max_pixels": str(MOST_PX)}
        for packet in container.demux(stream):
            if (
                wanted is not None
                and packet.pts is not None
                and round(packet.pts * packet.time_base * 1000) not in wanted
            ):
                continue
            pictures: list[VideoFrame] = []
            with contextlib.suppress(av.FFmpegError, ValueError, MemoryError):
                pictures = [picture for picture in packet.decode() if isinstance(picture, VideoFrame)]
            for picture in pictures:
                if picture.pts is not None and picture.time_base is not None and picture.format.name == "gray":
                    yield (
                        round(picture.pts * picture.time_base * 1000),
                        np.ascontiguousarray(picture.to_ndarray(), np.uint8),
                    )
