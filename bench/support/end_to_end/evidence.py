"""What another program receives: grades, with the windows they were made of, and pictures of the live view.

It notes moments of arrival and the stamps in the pixels, and judges nothing. Windows and grades come over the station's
own links, with the pass that any program of the user has; pictures over the page's WebSocket, acknowledged at once.
"""

import contextlib
import json
import threading
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

import numpy as np
import zmq
from numpy.typing import NDArray

from bench.support.end_to_end.stamp import TILE_PX, piece_of
from station.clock import now_ns
from station.commands.registry import RunningStation
from station.errors import MessageError, MissingExtraError
from station.transport.messages import GradeInfo, GradesHeader, WindowsHeader
from station.transport.wire import decode

POLL_MS: Final = 50
PICTURE_SCALE: Final = 0.5
MOST_CARDS: Final = 8


@dataclass(frozen=True, slots=True)
class Heard:
    """A grade, and when it arrived."""

    grade: GradeInfo
    t_ns: int

    @property
    def window(self) -> tuple[int, int]:
        """Which window it is of: sperm, newest frame."""
        return self.grade.sperm_id, self.grade.frame_seq


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture of the live view: when it had arrived, and the pieces (16, 16) of the crops that came with it."""

    t_ns: int
    pieces: list[NDArray[np.uint8]]


class Evidence:
    """Reads in threads of its own until it is closed."""

    def __init__(self, station: RunningStation, view: str | None) -> None:
        """``view``: link of the live view, where pictures are to be read."""
        self.heard: list[Heard] = []
        self.seen: list[Seen] = []
        self.windows: dict[tuple[int, int], NDArray[np.uint8]] = {}
        """Pieces (T, 16, 16) of every window that was sent to the engine, by sperm and newest frame."""
        self._closing = threading.Event()
        self._context = zmq.Context[zmq.Socket[bytes]]()
        self._threads = [threading.Thread(target=self._listen, args=(station,), name="evidence")]
        if view is not None:
            self._threads.append(threading.Thread(target=self._look, args=(view,), name="viewer"))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop reading; may be called more than once."""
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self, station: RunningStation) -> None:
        readers = [self._context.socket(zmq.SUB) for _ in range(2)]
        poller = zmq.Poller()
        try:
            for reader, endpoint in zip(
                readers, (station.endpoint("grades"), station.endpoint("windows")), strict=True
            ):
                reader.linger = 0
                reader.subscribe(b"")
                endpoint.connect(reader)
                poller.register(reader, zmq.POLLIN)
            while not self._closing.is_set():
                for reader, _ in poller.poll(POLL_MS):
                    self._take_in(reader.recv_multipart(copy=False))
        finally:
            for reader in readers:
                reader.close()

    def _take_in(self, parts: list[Any]) -> None:
        t_ns = now_ns()
        try:
            header, pixels = decode(parts)
        except MessageError:
            return
        if isinstance(header, WindowsHeader) and pixels is not None:
            for window, crops in zip(header.windows, piece_of(pixels), strict=True):
                self.windows[window.sperm_id, header.frame_seq] = crops
        elif isinstance(header, GradesHeader):
            self.heard += [Heard(grade, t_ns) for grade in header.grades]

    def _look(self, link: str) -> None:
        try:
            from websockets.exceptions import ConnectionClosed
            from websockets.sync.client import connect
            from websockets.typing import Origin
        except ImportError as error:
            raise MissingExtraError(f"bench end-to-end: {error.name} is missing; pip install '.[view]'") from error
        place = urlsplit(link)
        address, origin = f"ws://{place.netloc}{place.path}live", Origin(f"http://{place.netloc}")
        shown: list[int] = []
        with (
            contextlib.suppress(ConnectionClosed, OSError),
            connect(address, origin=origin, max_size=None, compression=None) as page,
        ):
            page.send(json.dumps({"kind": "look", "scale": PICTURE_SCALE, "cards": shown}))
            while not self._closing.is_set():
                try:
                    data = page.recv(timeout=POLL_MS / 1000)
                except TimeoutError:
                    continue
                if isinstance(data, str):
                    continue
                t_ns = now_ns()
                length = int.from_bytes(data[:4], "little")
                head = json.loads(data[4 : 4 + length])
                page.send(json.dumps({"kind": "shown", "frame_seq": head["frame_seq"]}))
                self.seen.append(Seen(t_ns, _pieces(head, data, 4 + length)))
                here = [card["sperm_id"] for card in head["cards"]][:MOST_CARDS]
                if here != shown:
                    shown = here
                    page.send(json.dumps({"kind": "look", "scale": PICTURE_SCALE, "cards": shown}))


def _pieces(head: dict[str, Any], data: bytes, at: int) -> list[NDArray[np.uint8]]:
    """Return the pieces of the crops in a picture's message whose JPEG begins at ``at``."""
    at += head["jpeg_bytes"]
    pieces = []
    for crop in head["crops"]:
        size = crop["size"]
        pixels = np.frombuffer(data, np.uint8, size * size, at).reshape(size, size)
        at += size * size
        if size >= TILE_PX:
            pieces.append(piece_of(pixels))
    return pieces
