"""The pre-trigger buffer: the latest seconds of video in memory, coded, so that "keep" can save what has just happened.

A ring of short chunks: whole ones go when they are older than asked for, or when memory is used up. It knows frames and
their times; saving the chunks is its caller's business.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.clock import NS_PER_S
from station.session.chunk_sequence import OpenChunk
from station.session.chunk_writer import MemorySink
from station.transport.messages import FrameHeader

SEGMENTS: Final = 10
SHORTEST_S: Final = 0.5


@dataclass(slots=True)
class Segment:
    """A short chunk in memory."""

    chunk: OpenChunk
    sink: MemorySink
    last: FrameHeader


class PreTrigger:
    """Holds the frames of the latest ``seconds``, in at most ``limit_bytes``."""

    def __init__(self, seconds: float, limit_bytes: int, threads: int) -> None:
        self._seconds = seconds
        self._limit_bytes = limit_bytes
        self._threads = threads
        self._segments: deque[Segment] = deque()
        self._closed = 0
        """How many of them, from the left, are complete."""
        self.short_of_memory = False
        """True once segments had to go before their time."""

    @property
    def seconds(self) -> float:
        """How far it reaches back now, on the exposures' clock."""
        if not self._segments:
            return 0.0
        first, last = self._segments[0].chunk.first, self._segments[-1].last
        return (last.t_exposure_ns - first.t_exposure_ns) / NS_PER_S

    @property
    def bytes(self) -> int:
        """Memory in use for coded frames."""
        return sum(len(segment.sink.data) for segment in self._segments)

    def add(self, header: FrameHeader, pixels: NDArray[np.uint8], codec: str) -> None:
        """Take a frame in, and let go of what is too old."""
        if self._segments and self._full(self._segments[-1], header, codec):
            self._close_newest()
        if len(self._segments) == self._closed:
            sink = MemorySink()
            unnamed = OpenChunk("", sink, codec, header, self._threads)  # named if it is ever saved
            self._segments.append(Segment(unnamed, sink, header))
        newest = self._segments[-1]
        newest.chunk.add(header, pixels)
        newest.last = header
        reach_ns = header.t_exposure_ns - self._seconds * NS_PER_S
        while len(self._segments) > 1 and self._segments[1].chunk.first.t_exposure_ns <= reach_ns:
            self._drop_oldest()
        while self._closed and self.bytes > self._limit_bytes:
            self.short_of_memory = True
            self._drop_oldest()

    def take(self) -> list[Segment]:
        """Return what there is, oldest first, all of it complete; the buffer is empty then."""
        if len(self._segments) > self._closed:
            self._close_newest()
        taken = list(self._segments)
        self._segments.clear()
        self._closed = 0
        return taken

    def _close_newest(self) -> None:
        self._segments[-1].chunk.writer.close()
        self._closed = len(self._segments)

    def _drop_oldest(self) -> None:
        self._segments.popleft()
        self._closed -= 1

    def _full(self, segment: Segment, header: FrameHeader, codec: str) -> bool:
        if len(self._segments) == self._closed:
            return False
        first = segment.chunk.first
        return (
            codec != segment.chunk.codec
            or (header.width, header.height) != (first.width, first.height)
            or header.t_source_ns <= segment.last.t_source_ns
            or header.t_exposure_ns - first.t_exposure_ns >= max(SHORTEST_S, self._seconds / SEGMENTS) * NS_PER_S
            or len(segment.sink.data) >= self._limit_bytes / SEGMENTS
        )
