"""One measurement: a sender in this process, readers in processes of their own, one way, one rate.

It knows times and processes; the ways know how a frame travels.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from bench.support.frame_code import draw_code
from bench.support.transport.reader import RECEIVING, Received
from bench.support.transport.ways import Sender, open_sender
from station.build_info import ROOT
from station.clock import NS_PER_MS, NS_PER_S, now_ns
from station.errors import ProcessError

MEMORY: Final = Path("/dev/shm")
WARM_UP_RATE: Final = 30.0
WARM_UP: Final = 15
"""Frames after every reader receives, before it counts."""
START_S: Final = 30.0
SLOW_S: Final = 0.2
"""A slow reader takes so long over a frame."""
MOST_AT_ONCE: Final = 600
"""Frames that are sent flat out: a way that queues without bound would fill the memory."""
END_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured."""

    way: str
    rate: float | None
    """Frames a second; None: flat out."""
    readers: int
    seconds: float
    slow: bool = False
    """The last of the readers is slow; it counts only for memory."""

    @property
    def name(self) -> str:
        """In a table."""
        rate = "flat out" if self.rate is None else f"{self.rate:g}/s"
        readers = f"{self.readers} reader{'s' if self.readers > 1 else ''}"
        return f"{self.way}, {rate}, {readers}{', one slow' if self.slow else ''}"


@dataclass(frozen=True, slots=True)
class Measured:
    """Of the readers that are not slow."""

    delays_ms: list[float]
    dropped: float
    """Share of what should have arrived."""
    per_s: float
    """Frames a second that a reader received."""
    torn: int
    busy: float
    """Cores that sender and readers took, the copy and drawing of each frame included."""
    slow_mb: float
    """Most memory that the slow reader took."""


def measure(cell: Cell, frame: NDArray[np.uint8]) -> Measured:
    """Send copies of ``frame`` (H, W) with their number drawn into it; return what arrived. Raises ProcessError."""
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        readers = [
            stack.enter_context(_reader(cell, folder, frame.shape, number=number)) for number in range(cell.readers)
        ]
        shape = (frame.shape[0], frame.shape[1])
        sender = stack.enter_context(open_sender(cell.way, folder, shape, [one.stdin for one in readers]))
        first = _warm_up(sender, frame, readers)
        busy_s, start_s = time.process_time(), time.monotonic()
        sent = _send(sender, frame, first, cell)
        took_s, busy_s = time.monotonic() - start_s, time.process_time() - busy_s
        for one in readers:
            one.stdin.close()
        found = [one.result() for one in readers]
    return _summed(cell, found, range(first, first + sent), took_s, busy_s)


def _send(sender: Sender, frame: NDArray[np.uint8], first: int, cell: Cell) -> int:
    """Send for some seconds; return how many."""
    start_ns, number = now_ns(), 0
    end_ns = start_ns + round(cell.seconds * NS_PER_S)
    while now_ns() < end_ns and (cell.rate is not None or number < MOST_AT_ONCE):
        pixels = _numbered(frame, first + number)
        if cell.rate is not None:
            due_ns = start_ns + round(number * NS_PER_S / cell.rate)
            time.sleep(max(0, due_ns - now_ns()) / NS_PER_S)
        sender.send(first + number, now_ns(), pixels)
        number += 1
    return number


def _warm_up(sender: Sender, frame: NDArray[np.uint8], readers: list["_Running"]) -> int:
    """Send until every reader receives, and a little more; return the number of the next frame."""
    number, left, deadline_s = 0, WARM_UP, time.monotonic() + START_S
    while left:
        sender.send(number, now_ns(), _numbered(frame, number))
        number += 1
        time.sleep(1 / WARM_UP_RATE)
        left -= all(one.receives() for one in readers)
        if time.monotonic() > deadline_s:
            raise ProcessError(f"a reader received nothing within {START_S:g} s: this machine is too busy; try again")
    return number


def _numbered(frame: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    pixels = frame.copy()
    draw_code(pixels, number)
    return pixels


def _summed(cell: Cell, found: list[Received], sent: range, took_s: float, busy_s: float) -> Measured:
    quick = found[:-1] if cell.slow else found
    delays_ms: list[float] = []
    rates: list[float] = []
    for one in quick:
        kept = [k for k, number in enumerate(one.numbers) if number in sent]
        delays_ms += [one.delays_ns[k] / NS_PER_MS for k in kept]
        if len(kept) > 1:
            rates.append((len(kept) - 1) * NS_PER_S / (one.t_received_ns[kept[-1]] - one.t_received_ns[kept[0]]))
    expected = len(quick) * len(sent)
    return Measured(
        delays_ms,
        dropped=1 - len(delays_ms) / expected if expected else 0.0,
        per_s=sum(rates) / len(rates) if rates else 0.0,
        torn=sum(one.torn for one in found),
        busy=busy_s / took_s + sum(one.busy_s for one in found) / took_s,
        slow_mb=found[-1].peak_mb if cell.slow else 0.0,
    )


@dataclass(frozen=True, slots=True)
class _Running:
    """A reader that runs; what it says goes to a file."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def stdin(self) -> IO[bytes]:
        """Wakes a reader of the ring, and ends any reader when it is closed."""
        assert self.process.stdin is not None
        return self.process.stdin

    def receives(self) -> bool:
        """Return whether it has received a frame. Raises ProcessError where it has ended."""
        if self.process.poll() is not None:
            raise ProcessError(f"a reader ended before its time: {self.output.read_text()[-2000:]}")
        return RECEIVING in self.output.read_text()

    def result(self) -> Received:
        """Return what it received, once it has ended. Raises ProcessError."""
        try:
            self.process.wait(END_S)
            return Received(**json.loads(self.output.read_text().splitlines()[-1]))
        except (subprocess.TimeoutExpired, ValueError, IndexError):
            raise ProcessError(f"a reader did not end well: {self.output.read_text()[-2000:]}") from None


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder in memory, where there is one, with a path short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


@contextmanager
def _reader(cell: Cell, folder: Path, shape: tuple[int, ...], *, number: int) -> Iterator[_Running]:
    slow_s = SLOW_S if cell.slow and number == cell.readers - 1 else 0
    words = [cell.way, str(folder), str(shape[0]), str(shape[1]), str(slow_s)]
    output = folder / f"reader-{number}.txt"
    with output.open("wb") as file, subprocess.Popen(
        [sys.executable, "-m", "bench.support.transport.reader", *words],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT, bufsize=0,
    ) as process:  # fmt: skip
        try:
            yield _Running(process, output)
        finally:
            process.kill()
