"""The ways that are compared, each as its users would use it: how one sends a frame, and how one receives the next.

Every way carries a frame's number and the moment it was handed over. None of them waits for a reader.

- ``station``: the link from capture to tracker, with all that it does: typed headers checked on arrival, the run's
  seal, passes, a bounded buffer whose policy is drop-oldest.
- ``imagezmq``: PUB and SUB as its documentation shows them, with the queues that are its default, on the same kind of
  socket.
- ``ring``: a ring of frames in shared memory; a byte in a pipe wakes the reader, who copies the frame out and looks
  whether it was overwritten meanwhile. No other machine, no lock, no check: the least that a copy to another process
  can cost.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal, Protocol

import numpy as np
import zmq
from numpy.typing import NDArray

from station.clock import now_ns
from station.errors import MissingExtraError
from station.transport.buffers import Fifo
from station.transport.bus import Publisher
from station.transport.endpoints import Endpoint
from station.transport.keys import STATION, RunKeys
from station.transport.messages import FrameHeader
from station.transport.receivers import ThreadedReceiver

WAYS: Final = ("station", "imagezmq", "ring")
STATION_FIFO: Final = 8
"""As between capture and tracker."""
SLOTS: Final = 16
"""Frames in the ring."""
RING: Final = "ring"
"""Name of its file."""
HEAD_BYTES: Final = SLOTS * 2 * 8
LOOK_S: Final = 0.05
"""How often a reader looks whether it is to end."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame as a reader has it: numbers from 0 on, times in ns of the station clock, pixels (H, W) uint8."""

    number: int
    t_sent_ns: int
    t_received_ns: int
    pixels: NDArray[np.uint8]


class Sender(Protocol):
    """Hands frames over; never waits."""

    def send(self, number: int, t_sent_ns: int, pixels: NDArray[np.uint8]) -> None:
        """Send a frame (H, W) uint8, which is not written to again."""
        ...


class Reader(Protocol):
    """Receives frames."""

    def receive(self) -> Arrival | None:
        """Return the next frame; None where none came for a moment."""
        ...


@contextlib.contextmanager
def open_sender(way: str, folder: Path, shape: tuple[int, int], wakers: Sequence[IO[bytes]]) -> Iterator[Sender]:
    """Open the sending end; ``folder`` is short and private. ``wakers``: of the ring, one for each reader."""
    if way == "ring":
        yield _RingSender(_make_ring(folder, shape), wakers)
        return
    with contextlib.ExitStack() as stack:
        if way == "imagezmq":
            yield _ImagezmqSender(stack.enter_context(_imagezmq().ImageSender(_address(folder), REQ_REP=False)))
        else:
            context = stack.enter_context(zmq.Context[zmq.Socket[bytes]]())
            yield _StationSender(stack.enter_context(Publisher(context, _endpoint(folder))))


@contextlib.contextmanager
def open_reader(way: str, folder: Path, shape: tuple[int, int], waker: int) -> Iterator[Reader]:
    """Open a receiving end. ``waker``: file descriptor on which the ring's sender wakes."""
    if way == "ring":
        yield _RingReader(_open_ring(folder, shape, "r"), waker)
        return
    with contextlib.ExitStack() as stack:
        if way == "imagezmq":
            yield _ImagezmqReader(stack.enter_context(_imagezmq().ImageHub(_address(folder), REQ_REP=False)))
        else:
            context = stack.enter_context(zmq.Context[zmq.Socket[bytes]]())
            yield _StationReader(stack.enter_context(ThreadedReceiver(context, _endpoint(folder), Fifo(STATION_FIFO))))


def why_not(way: str) -> str:
    """Return why a way cannot be measured here; empty where it can."""
    try:
        if way == "imagezmq":
            _imagezmq()
    except MissingExtraError as error:
        return str(error)
    return ""


def _imagezmq() -> Any:
    try:
        import imagezmq
    except ImportError as error:
        raise MissingExtraError("imagezmq is not installed; pip install '.[bench]'") from error
    return imagezmq


def _address(folder: Path) -> str:
    return f"ipc://{folder}/frames"


def _endpoint(folder: Path) -> Endpoint:
    """Return the same endpoint in every process of a measurement: what is secret in it is of no use elsewhere."""
    keys = RunKeys(bytes(32))
    return Endpoint("frames", _address(folder), (keys.pass_for(STATION),), keys.pair("server"), keys.seal)


class _StationSender:
    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def send(self, number: int, t_sent_ns: int, pixels: NDArray[np.uint8]) -> None:
        height, width = pixels.shape
        header = FrameHeader(
            seq=self._publisher.next_seq, t_exposure_ns=t_sent_ns, t_source_ns=number, t_sent_ns=t_sent_ns,
            height=height, width=width,
        )  # fmt: skip
        self._publisher.send(header, pixels)


class _StationReader:
    def __init__(self, receiver: ThreadedReceiver[Any]) -> None:
        self._receiver = receiver

    def receive(self) -> Arrival | None:
        message = self._receiver.receive(LOOK_S)
        if message is None:
            return None
        return Arrival(message.header.t_source_ns, message.header.t_sent_ns, now_ns(), message.pixels)


class _ImagezmqSender:
    def __init__(self, sender: Any) -> None:
        self._sender = sender

    def send(self, number: int, t_sent_ns: int, pixels: NDArray[np.uint8]) -> None:
        self._sender.send_image(f"{number} {t_sent_ns}", pixels)


class _ImagezmqReader:
    def __init__(self, hub: Any) -> None:
        self._hub = hub
        hub.zmq_socket.rcvtimeo = round(LOOK_S * 1000)

    def receive(self) -> Arrival | None:
        try:
            text, pixels = self._hub.recv_image()
        except zmq.Again:
            return None
        number, t_sent_ns = map(int, text.split())
        return Arrival(number, t_sent_ns, now_ns(), pixels)


@dataclass(frozen=True, slots=True)
class _Ring:
    """``about`` (slots, 2) int64: number and time of the frame in each slot, number -1 while it is being written."""

    about: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    """(slots, H, W)."""


def _make_ring(folder: Path, shape: tuple[int, int]) -> _Ring:
    unfinished = folder / "unfinished"
    with unfinished.open("wb") as file:
        file.truncate(HEAD_BYTES + SLOTS * shape[0] * shape[1])
    unfinished.rename(folder / RING)
    return _open_ring(folder, shape, "r+")


def _open_ring(folder: Path, shape: tuple[int, int], mode: Literal["r", "r+"]) -> _Ring:
    """Open the ring, once the sender has made it."""
    while not (folder / RING).exists():
        time.sleep(LOOK_S)
    about = np.memmap(folder / RING, np.int64, mode, shape=(SLOTS, 2))
    return _Ring(about, np.memmap(folder / RING, np.uint8, mode, offset=HEAD_BYTES, shape=(SLOTS, *shape)))


class _RingSender:
    def __init__(self, ring: _Ring, wakers: Sequence[IO[bytes]]) -> None:
        self._ring, self._wakers = ring, wakers

    def send(self, number: int, t_sent_ns: int, pixels: NDArray[np.uint8]) -> None:
        slot = number % SLOTS
        self._ring.about[slot] = -1, t_sent_ns
        self._ring.pixels[slot] = pixels
        self._ring.about[slot, 0] = number
        for waker in self._wakers:
            with contextlib.suppress(BrokenPipeError):
                waker.write(b".")
                waker.flush()


class _RingReader:
    def __init__(self, ring: _Ring, waker: int) -> None:
        self._ring, self._waker = ring, waker
        self._next, self._ready = 0, 0

    def receive(self) -> Arrival | None:
        if not self._ready:
            self._ready = len(os.read(self._waker, 1 << 16))
            if not self._ready:
                raise EOFError
        missed = max(0, self._ready - SLOTS)
        number = self._next + missed
        self._next, self._ready = number + 1, self._ready - missed - 1
        slot = number % SLOTS
        t_sent_ns = int(self._ring.about[slot, 1])
        pixels = self._ring.pixels[slot].copy()
        if self._ring.about[slot, 0] != number:
            return None  # overwritten
        return Arrival(number, t_sent_ns, now_ns(), pixels)
