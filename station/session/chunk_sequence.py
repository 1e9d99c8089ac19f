"""The row of video files of a session: when a new one begins, and what of them may be stated in the log when.

A frame is stated once its bytes have gone to the file; a chunk's progress once they are on the disk itself.
"""

import contextlib
import zlib
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.clock import NS_PER_MS, NS_PER_S
from station.session.chunk_writer import ChunkWriter, FileSink, Progress, Sink
from station.session.disk import DiskThread
from station.session.layout import chunk_name
from station.session.records import ChunkRecord, FrameRecord, Record
from station.transport.messages import FrameHeader

PROOF_S: Final = 0.8
"""How often an open chunk is brought to the disk and its hash stated: with the time that takes, every second."""


class OpenChunk:
    """One chunk that is being written, and the frames in it that have not been stated yet."""

    def __init__(self, file: str, sink: Sink, codec: str, first: FrameHeader, threads: int) -> None:
        self.file = file
        self.codec = codec
        self.first = first
        self.writer = ChunkWriter(sink, codec, first.width, first.height, threads=threads)
        self._pending: deque[tuple[FrameHeader, int, int, int]] = deque()
        self._count = 0
        self._pts_ms = -1

    def add(self, header: FrameHeader, pixels: NDArray[np.uint8]) -> None:
        """Code one frame. Raises OSError."""
        since_ms = (header.t_source_ns - self.first.t_source_ns) // NS_PER_MS
        self._pts_ms = max(self._pts_ms + 1, since_ms)  # the container counts whole milliseconds, and must rise
        self._pending.append((header, self._count, self._pts_ms, zlib.crc32(pixels.data)))
        self._count += 1
        self.writer.add(pixels, self._pts_ms)

    def stated(self) -> list[FrameRecord]:
        """Return the frames that have reached the sink since the last call."""
        out: list[FrameRecord] = []
        while self._pending and self._pending[0][1] < self.writer.progress.frames:
            header, index, pts_ms, crc32 = self._pending.popleft()
            out.append(FrameRecord(header=header, file=self.file, index=index, pts_ms=pts_ms, crc32=crc32))
        return out

    def record(self, progress: Progress, *, closed: bool) -> ChunkRecord:
        """Return what the log says of this chunk."""
        return ChunkRecord(
            file=self.file, codec=self.codec, frames=progress.frames, bytes=progress.bytes, sha256=progress.sha256,
            closed=closed,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """When a new chunk begins."""

    seconds: float
    bytes: int


class ChunkRow:
    """Writes frames to one chunk after the other. Raises OSError where the disk does not take them."""

    def __init__(
        self, folder: Path, disk: DiskThread, limits: ChunkLimits, threads: int, first: int = 0, written_bytes: int = 0
    ) -> None:
        """``first``: number of the first chunk. ``written_bytes``: of those before it."""
        self._folder = folder
        self._disk = disk
        self._limits = limits
        self.threads = threads
        """With which chunks that begin from now on are coded."""
        self._number = first
        self._chunk: OpenChunk | None = None
        self._sink: FileSink | None = None
        self._due: list[Record] = []
        self._proofs: deque[tuple[Future[None], ChunkRecord]] = deque()
        self._proved_s = 0.0
        self._closed_bytes = written_bytes

    @property
    def written_bytes(self) -> int:
        """How much video has been written."""
        return self._closed_bytes + (self._chunk.writer.progress.bytes if self._chunk else 0)

    def add(self, header: FrameHeader, pixels: NDArray[np.uint8], codec: str) -> None:
        """Write one frame, in a new chunk where one is due. Raises OSError."""
        if self._chunk is not None and self._full(self._chunk, header, codec):
            self.close_chunk()
        if self._chunk is None:
            file = chunk_name(self._number)
            self._sink = FileSink(self._folder / file)
            self._chunk = OpenChunk(file, self._sink, codec, header, self.threads)
            self._number += 1
        self._chunk.add(header, pixels)

    def add_whole(self, data: bytearray, chunk: OpenChunk) -> None:
        """Write a chunk that was coded in memory and is complete. Raises OSError."""
        sink = FileSink(self._folder / chunk.file)
        try:
            sink.write(memoryview(data))
        except OSError:
            with contextlib.suppress(OSError):
                sink.close()
            with contextlib.suppress(OSError):  # no event will name it, and what is there already needs the room
                (self._folder / chunk.file).unlink()
            raise
        self._due += chunk.stated()
        self._finish(sink, chunk, chunk.writer.progress)

    def next_name(self) -> str:
        """Return the name for a chunk that will come with ``add_whole``."""
        self._number += 1
        return chunk_name(self._number - 1)

    def tick(self, now_s: float) -> None:
        """Have the open chunk brought to the disk where that is due."""
        if self._chunk is None or self._sink is None or self._proofs or now_s - self._proved_s < PROOF_S:
            return
        self._proved_s = now_s
        progress = self._chunk.writer.progress
        self._proofs.append((self._disk.submit(self._sink.sync), self._chunk.record(progress, closed=False)))

    def due(self) -> list[Record]:
        """Return what the log should state now. Raises OSError where the disk has refused what it had taken."""
        due, self._due = self._due, []
        if self._chunk is not None:
            due += self._chunk.stated()
        while self._proofs and self._proofs[0][0].done():
            future, record = self._proofs.popleft()
            future.result()
            due.append(record)
        return due

    def close_chunk(self) -> None:
        """End the chunk at hand. Raises OSError; what fitted is stated nevertheless."""
        chunk, self._chunk = self._chunk, None
        sink, self._sink = self._sink, None
        if chunk is None or sink is None:
            return
        try:
            chunk.writer.close()
        finally:
            self._due += chunk.stated()
            self._finish(sink, chunk, chunk.writer.progress)

    def wait(self) -> None:
        """Wait until everything that was written is on the disk, so that ``due`` returns all there is."""
        for future, _ in self._proofs:
            future.exception()

    def _finish(self, sink: FileSink, chunk: OpenChunk, progress: Progress) -> None:
        self._closed_bytes += progress.bytes
        self._proofs.append((self._disk.submit(partial(sink.close)), chunk.record(progress, closed=True)))

    def _full(self, chunk: OpenChunk, header: FrameHeader, codec: str) -> bool:
        first = chunk.first
        return (
            codec != chunk.codec
            or (header.width, header.height) != (first.width, first.height)
            or header.t_source_ns - first.t_source_ns >= self._limits.seconds * NS_PER_S
            or header.t_source_ns < first.t_source_ns
            or chunk.writer.progress.bytes >= self._limits.bytes
        )
