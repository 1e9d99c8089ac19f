"""The picture of one sperm, of the very frame in which the tracker found it: the square that the network gets.

It reads the frames only while somebody looks, and only where that is cheap: in a live run, which never waits for it,
and up to a data rate that a CPU moves without noticing. It draws nothing.
"""

from collections import OrderedDict
from typing import Self

import numpy as np
import zmq
from numpy.typing import NDArray

from station.crop import crop_into
from station.transport.buffers import Fifo, Received
from station.transport.control_messages import SourceInfo
from station.transport.endpoints import Endpoint
from station.transport.messages import FrameHeader, TracksHeader, TrackState
from station.transport.receivers import ThreadedReceiver

MOST_MB_S = 60.0
"""A camera of 1392 x 976 px at 30 frames/s brings 41."""
WAITING_FRAMES = 16
"""Frames that may wait for the tracker's word on them."""


class LiveCrop:
    """Reads frames while it is open."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: Endpoint, size_px: int) -> None:
        self._context = context
        self._endpoint = endpoint
        self._size_px = size_px
        self._link: ThreadedReceiver[Received] | None = None
        self._frames: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

    def look(self, tracks: TracksHeader | None, sperm_id: int | None) -> NDArray[np.uint8] | None:
        """Return the crop (size, size) of a sperm in the newest tracked frame; None where it is not, or is lost.

        ``sperm_id`` None: nobody looks, the link is closed.
        """
        if sperm_id is None:
            self.close()
            return None
        if self._link is None:
            self._link = ThreadedReceiver(self._context, self._endpoint, Fifo(WAITING_FRAMES))
        while message := self._link.receive(0):
            if isinstance(message.header, FrameHeader) and message.pixels is not None:
                self._frames[message.header.seq] = message.pixels
        while len(self._frames) > WAITING_FRAMES:
            self._frames.popitem(last=False)
        frame = self._frames.get(tracks.frame_seq) if tracks else None
        found = next((track for track in tracks.tracks if track.sperm_id == sperm_id), None) if tracks else None
        if frame is None or found is None or found.state is TrackState.LOST:
            return None
        crop = np.empty((self._size_px, self._size_px), np.uint8)
        crop_into(crop, frame, found.x, found.y)
        return crop

    def close(self) -> None:
        """Stop reading; may be called more than once."""
        link, self._link = self._link, None
        if link is not None:
            link.close()
        self._frames.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def affordable(source: SourceInfo) -> bool:
    """Return whether reading all frames of a source once more costs next to nothing."""
    return source.fps * source.width * source.height / 1e6 <= MOST_MB_S
