"""Writes chunks of lossless video: FFV1 or raw grey in Matroska, as a stream.

A chunk is only ever appended to: no index, no duration, nothing that would be filled in at its end, so that what is
there is good at every moment, and its hash is known as it grows. The price: players cannot jump about in it, and show
no duration. Every frame is coded for itself. This module knows pixels and time stamps; not the log.
"""

import contextlib
import hashlib
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from station.files import PRIVATE

MS: Final = Fraction(1, 1000)
CLUSTER_MS: Final = 500
"""Frames too small to fill a cluster of their own reach the file after so long at the latest."""
BUFFER_BYTES: Final = 1 << 17
"""FFmpeg hands on so much at once: during a longer write, the kernel would keep the core from who must not wait."""
CODECS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    # Version 3 with a checksum in each slice, every frame for itself; Golomb-Rice codes at half the time of the
    # range coder's, and a file within 2 % of its size on noisy microscope pictures.
    "ffv1": ("ffv1", {"level": "3", "coder": "rice", "context": "0", "slices": "4", "slicecrc": "1", "g": "1"}),
    "raw": ("rawvideo", {}),
}
"""By the name in the configuration: FFmpeg's name and its options."""


class Sink(Protocol):
    """Where a chunk's bytes go, in order."""

    def write(self, data: bytes) -> int:
        """Take all of ``data``. Raises OSError."""
        ...

    def cut(self, size: int) -> None:
        """Drop what was written behind the first ``size`` bytes."""
        ...


class FileSink:
    """A new file, written without a buffer of its own."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), PRIVATE)
        self._closed = False

    def write(self, data: bytes | memoryview) -> int:
        """Write everything. Raises OSError."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        return len(data)

    def cut(self, size: int) -> None:
        """Shorten the file."""
        os.ftruncate(self._file, size)

    def sync(self) -> None:
        """Wait for the disk; a file that is closed was waited for then."""
        if not self._closed:
            os.fsync(self._file)

    def close(self) -> None:
        """Close the file, on the disk; may be called more than once."""
        if not self._closed:
            self._closed = True
            try:
                os.fsync(self._file)
            finally:
                os.close(self._file)


class MemorySink:
    """Bytes in memory, for a pre-trigger buffer that may never be kept."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        """Append."""
        self.data += data
        return len(data)

    def cut(self, size: int) -> None:
        """Shorten."""
        del self.data[size:]


class _Funnel:
    """What FFmpeg writes to: hands on and hashes, and keeps an error for the caller instead of throwing it through C.

    It has no ``seek``, so that the muxer writes a stream and never goes back.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.bytes = 0
        self.hash = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Take what FFmpeg has."""
        if self.error is None:
            try:
                self.sink.write(data)
            except OSError as error:
                self.error = error
            else:
                self.bytes += len(data)
                self.hash.update(data)
        return len(data)


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of a chunk is in its sink."""

    frames: int
    bytes: int
    sha256: str


class ChunkWriter:
    """Codes frames of one size into one chunk. FFmpeg holds the newest frame back until the next one comes.

    Raises OSError where the sink does not take the bytes; the chunk then ends with the last frame that fitted, and
    only ``close`` may follow.
    """

    def __init__(self, sink: Sink, codec: str, width: int, height: int, *, threads: int = 1) -> None:
        name, options = CODECS[codec]
        self.codec = codec
        self._funnel = _Funnel(sink)
        self._added = 0
        self._last_pts_ms = -1
        self._good = Progress(0, 0, self._funnel.hash.hexdigest())
        self._failed = False
        self._closed = False
        self._container = av.open(
            self._funnel,
            "w",
            format="matroska",
            buffer_size=BUFFER_BYTES,
            options={"cluster_time_limit": str(CLUSTER_MS), "flush_packets": "1"},
        )
        stream = self._container.add_stream(name, options=options)
        assert isinstance(stream, VideoStream)
        self._stream = stream
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "gray"
        self._stream.time_base = self._stream.codec_context.time_base = MS
        self._stream.codec_context.framerate = Fraction(0)  # else PyAV states 24 a second, whatever the times say
        self._stream.codec_context.thread_count = threads
        self._stream.codec_context.thread_type = "SLICE"

    @property
    def progress(self) -> Progress:
        """What is in the sink, to a whole frame."""
        return self._good

    def add(self, pixels: NDArray[np.uint8], pts_ms: int) -> None:
        """Code one frame, (H, W) uint8 C-contiguous. ``pts_ms`` must be greater than the one before."""
        picture = VideoFrame.from_numpy_buffer(pixels, format="gray")
        picture.pts, picture.time_base = pts_ms, MS
        before = self._funnel.bytes
        for packet in self._stream.encode(picture):
            self._container.mux(packet)
        self._check()
        if self._funnel.bytes > before:  # a new cluster was begun: all frames before this one are out
            self._good = Progress(self._added, self._funnel.bytes, self._funnel.hash.hexdigest())
        self._added += 1

    def close(self) -> Progress:
        """Write what FFmpeg still holds; return what the chunk consists of in the end. The sink is the caller's."""
        if self._closed:
            return self._good
        self._closed = True
        try:
            if not self._failed:
                for packet in self._stream.encode(None) if self._added else []:
                    self._container.mux(packet)
                self._container.close()
                self._check()
                self._good = Progress(self._added, self._funnel.bytes, self._funnel.hash.hexdigest())
        finally:
            self._funnel.error = self._funnel.error or OSError("closed")  # what FFmpeg flushes later goes nowhere
            with contextlib.suppress(av.FFmpegError):
                self._container.close()
        return self._good

    def _check(self) -> None:
        """Raise the sink's error, with the chunk cut back to its last whole frame."""
        if self._funnel.error is not None:
            self._failed = True
            with contextlib.suppress(OSError):
                self._funnel.sink.cut(self._good.bytes)
            raise self._funnel.error
