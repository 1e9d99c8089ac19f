"""Brings each frame together with the tracks of that very frame, so that a ring never lags its cell.

A frame waits until the tracker has said where the sperm were in it. Only the newest complete pair is kept: a page
wants the present. What waits is bounded in number and bytes, and a frame that the tracker says nothing about for
WAIT_S is given out without tracks rather than hiding the field. It knows no sockets and no browser.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from station.clock import NS_PER_MS, NS_PER_S
from station.transport.buffers import Buffer, Received
from station.transport.messages import FrameHeader, KinematicsInfo, Point, TracksHeader

MOST_WAITING = 24
"""Frames; three times as many as the tracker lets wait."""
MOST_BYTES = 256_000_000
KINEMATICS_S = 1.5
"""Kinematics older than this say nothing about now."""
CANDIDATES_S = 1.0
"""So long candidates are shown: they swim on."""
WAIT_S = 0.5
"""Then a frame is shown without tracks: the tracker hangs, or has nothing to say."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame with what is known of that very frame."""

    header: FrameHeader
    pixels: NDArray[np.uint8]
    """(H, W), read-only."""
    tracks: TracksHeader | None
    """Of the same frame; None where the tracker did not answer in time."""
    t_received_ns: int
    """When the frame arrived."""


class Pairing:
    """The meeting place of the frames and the tracks link; each fills it from a thread of its own."""

    def __init__(self, on_newer: Callable[[], object]) -> None:
        """``on_newer`` is called, in the thread of a link, when there is a newer shot."""
        self._on_newer = on_newer
        self._lock = threading.Lock()
        self._frames: OrderedDict[int, Received] = OrderedDict()
        self._tracks: OrderedDict[int, TracksHeader] = OrderedDict()
        """Of frames that have not come yet: the links are read by two threads."""
        self._newest: Shot | None = None
        self._bytes = 0
        self.passed_over = 0
        """Frames that gave way to a newer one before anybody was told where the sperm were in them."""
        self.without_tracks = 0
        self._candidates: tuple[int, list[Point]] = (0, [])
        self._kinematics: dict[int, tuple[int, KinematicsInfo]] = {}

    @property
    def newest(self) -> Shot | None:
        """The newest frame with its tracks."""
        return self._newest

    def kinematics_at(self, t_exposure_ns: int) -> dict[int, KinematicsInfo]:
        """Return, by sperm, the newest kinematics that were not older than KINEMATICS_S at that exposure."""
        oldest_ns = t_exposure_ns - KINEMATICS_S * NS_PER_S
        with self._lock:
            return {sperm_id: found for sperm_id, (t_ns, found) in self._kinematics.items() if t_ns >= oldest_ns}

    def candidates_at(self, t_exposure_ns: int) -> tuple[list[Point], float]:
        """Return the candidates that were last asked for, and how old they are at that exposure, ms."""
        t_ns, found = self._candidates
        age_ns = max(0, t_exposure_ns - t_ns)
        return (found, age_ns / NS_PER_MS) if age_ns <= CANDIDATES_S * NS_PER_S else ([], 0.0)

    @property
    def waiting(self) -> tuple[int, int]:
        """Frames that wait for tracks, and tracks that wait for their frame."""
        return len(self._frames), len(self._tracks)

    def add_frame(self, message: Received) -> int:
        """Take a frame in; return how many had to go for it."""
        header = message.header
        if not isinstance(header, FrameHeader) or message.pixels is None:
            return 0
        with self._lock:
            tracks = self._tracks.pop(header.seq, None)
            self._frames[header.seq] = message
            self._bytes += message.pixels.nbytes
            if tracks is not None:
                gone = self._give_out(header.seq, tracks)
            else:
                gone = self._give_out_overdue(message.t_received_ns)
                while len(self._frames) > MOST_WAITING or (self._bytes > MOST_BYTES and len(self._frames) > 1):
                    self._forget_oldest()
                    gone += 1
            self.passed_over += gone
        return gone

    def add_tracks(self, message: Received) -> int:
        """Take the tracks of a frame in."""
        tracks = message.header
        if not isinstance(tracks, TracksHeader):
            return 0
        with self._lock:
            self._note_kinematics(tracks)
            if tracks.candidates is not None:  # apart as well, for the same reason
                self._candidates = (tracks.trace.t_exposure_ns, tracks.candidates)
            if tracks.frame_seq in self._frames:
                self.passed_over += self._give_out(tracks.frame_seq, tracks)
            else:
                self._tracks[tracks.frame_seq] = tracks
                while len(self._tracks) > MOST_WAITING:
                    self._tracks.popitem(last=False)
        return 0

    def _note_kinematics(self, tracks: TracksHeader) -> None:
        """Keep them apart: they come twice a second, perhaps with a frame that is passed over."""
        here = {track.sperm_id for track in tracks.tracks}
        for gone in self._kinematics.keys() - here:
            del self._kinematics[gone]
        for track in tracks.tracks:
            if track.kinematics is not None:
                self._kinematics[track.sperm_id] = (tracks.trace.t_exposure_ns, track.kinematics)

    def _give_out_overdue(self, t_now_ns: int) -> int:
        oldest = next(iter(self._frames.values()))
        if t_now_ns - oldest.t_received_ns < WAIT_S * NS_PER_S:
            return 0
        self.without_tracks += 1
        return self._give_out(next(reversed(self._frames)), None)

    def _give_out(self, seq: int, tracks: TracksHeader | None) -> int:
        """Make frame ``seq`` the newest shot and forget what is older; return how many were passed over."""
        message = self._frames[seq]
        assert isinstance(message.header, FrameHeader)
        assert message.pixels is not None
        gone = -1
        while self._frames and next(iter(self._frames)) <= seq:
            self._forget_oldest()
            gone += 1
        for old in [number for number in self._tracks if number <= seq]:
            del self._tracks[old]
        if self._newest is None or self._newest.header.seq < seq:
            self._newest = Shot(message.header, message.pixels, tracks, message.t_received_ns)
            self._on_newer()
        return gone

    def _forget_oldest(self) -> None:
        _, message = self._frames.popitem(last=False)
        self._bytes -= message.pixels.nbytes if message.pixels is not None else 0


class FramesIn(Buffer[None]):
    """The buffer of the frames link: everything goes to the pairing."""

    def __init__(self, pairing: Pairing) -> None:
        self._pairing = pairing

    def put(self, message: Received) -> int:
        """Pass a frame on; return how many had to go for it."""
        return self._pairing.add_frame(message)

    def take(self) -> None:
        """Nothing is ever waiting here."""


class TracksIn(Buffer[None]):
    """The buffer of the tracks link: everything goes to the pairing."""

    def __init__(self, pairing: Pairing) -> None:
        self._pairing = pairing

    def put(self, message: Received) -> int:
        """Pass tracks on."""
        return self._pairing.add_tracks(message)

    def take(self) -> None:
        """Nothing is ever waiting here."""
