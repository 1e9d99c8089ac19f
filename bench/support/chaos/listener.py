"""What a station under test publishes, as any other program may read along: tracks and grades with their arrival.

It reads in a thread of its own and keeps little: the grades of the latest minute. It judges nothing.
"""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

import zmq

from station.clock import NS_PER_S, now_ns
from station.commands.registry import RunningStation
from station.errors import MessageError
from station.transport.messages import GradeInfo, GradesHeader, TracksHeader
from station.transport.wire import decode

KEEP_NS: Final = 60 * NS_PER_S
POLL_MS: Final = 50


@dataclass(frozen=True, slots=True)
class HeardGrade:
    """A grade and when it arrived here, station clock."""

    grade: GradeInfo
    t_ns: int


class Listener:
    """Reads the links of tracks and grades until it is closed."""

    def __init__(self, station: RunningStation) -> None:
        """``station``: what the run's file says."""
        self._lock = threading.Lock()
        self._grades: deque[HeardGrade] = deque()
        self._tracks: TracksHeader | None = None
        self._closing = False
        self._context = zmq.Context[zmq.Socket[bytes]]()
        self._thread = threading.Thread(target=self._listen, args=(station,), name="listener")
        self._thread.start()

    @property
    def tracks(self) -> TracksHeader | None:
        """The newest."""
        return self._tracks

    def grades(self, exposed_after_ns: int) -> list[HeardGrade]:
        """Return the grades of windows whose newest frame was exposed after that moment, in order of arrival."""
        with self._lock:
            return [heard for heard in self._grades if heard.grade.trace.t_exposure_ns > exposed_after_ns]

    def heard_after(self, t_ns: int) -> list[HeardGrade]:
        """Return the grades that arrived after that moment, in order."""
        with self._lock:
            return [heard for heard in self._grades if heard.t_ns > t_ns]

    def close(self) -> None:
        """Stop reading; may be called more than once."""
        self._closing = True
        self._thread.join()
        self._context.term()

    def _listen(self, station: RunningStation) -> None:
        readers = [self._context.socket(zmq.SUB) for _ in range(2)]
        poller = zmq.Poller()
        try:
            endpoints = (station.endpoint("tracks"), station.endpoint("grades"))
            for reader, endpoint in zip(readers, endpoints, strict=True):
                reader.linger = 0
                reader.subscribe(b"")
                endpoint.connect(reader)
                poller.register(reader, zmq.POLLIN)
            while not self._closing:
                for reader, _ in poller.poll(POLL_MS):
                    self._take_in(reader.recv_multipart())
        finally:
            for reader in readers:
                reader.close()

    def _take_in(self, parts: list[bytes]) -> None:
        t_ns = now_ns()
        try:
            header, _ = decode(parts)
        except MessageError:
            return
        if isinstance(header, TracksHeader):
            self._tracks = header
        elif isinstance(header, GradesHeader):
            with self._lock:
                self._grades.extend(HeardGrade(grade, t_ns) for grade in header.grades)
                while self._grades and self._grades[0].t_ns < t_ns - KEEP_NS:
                    self._grades.popleft()
