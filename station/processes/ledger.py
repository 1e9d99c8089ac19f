"""What a process has done so far, where its successor finds it: numbers and a note, in memory that outlives a kill.

A file in the run's private folder, mapped into memory. A number that is set stands there at once, without a call to the
system, whatever ends the process next. So the messages of a process that was started again go on with the next number:
nothing old can be taken for new, and what is missing is counted. It knows neither processes nor what the note says.
"""

import mmap
import os
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Final, Self

from station.files import PRIVATE

NUMBERS: Final = 64
NUMBER_BYTES: Final = 8
NOTE_BYTES: Final = 1 << 18
TOTAL_BYTES: Final = NUMBERS * NUMBER_BYTES + 2 * NOTE_BYTES
MOST_COUNTERS: Final = 24


class Place(IntEnum):
    """Which number stands where."""

    LIVES = 0
    """How often the process was started."""
    NOTES = 1
    """How many notes were made; the newest lies in the half of this number's parity."""
    NOTE_LENGTHS = 2
    """Of the notes in both halves: two numbers."""
    FRAMES = 8
    """Next message number on the link that the process sends on, as the next three."""
    WINDOWS = 9
    TRACKS = 10
    GRADES = 11
    T_SOURCE_NS = 12
    """Of the frame that was sent last, as the next."""
    T_EXPOSURE_NS = 13
    NOTED = 14
    """Number behind that of the frame that the two above were noted for, sent or not."""
    FIRST_NS = 15
    """Source time of the first frame of the run."""
    READ = 16
    """Next message number expected on the link that the process reads."""
    TRACKED = 17
    """Number behind that of the frame that was tracked last."""
    NEXT_ID = 18
    """Number of the sperm that is selected next."""
    COUNTERS = 32
    """The process's own counters, in the order of their type; -1: not counted."""


class Number:
    """One number of a ledger."""

    __slots__ = ("_numbers", "_place")

    def __init__(self, numbers: "memoryview[int]", place: int) -> None:
        self._numbers = numbers
        self._place = place

    @property
    def value(self) -> int:
        """As it stands there."""
        return self._numbers[self._place]

    @value.setter
    def value(self, value: int) -> None:
        self._numbers[self._place] = value


class Ledger:
    """The numbers and the note of one process. It is written by that process alone."""

    def __init__(self, path: Path | None = None) -> None:
        """``path``: made where it is not there yet; None: nothing outlives this object. Raises OSError."""
        self._file = -1
        if path is not None:
            self._file = _whole_file(path)
        self._memory = mmap.mmap(self._file, TOTAL_BYTES)
        self._bytes = memoryview(self._memory)
        self._numbers = self._bytes[: NUMBERS * NUMBER_BYTES].cast("q")

    def number(self, place: int) -> Number:
        """Return the number at a place; it may be kept until the ledger is closed."""
        return Number(self._numbers, place)

    @property
    def resumed(self) -> bool:
        """True where the process had begun its work before it was started this time."""
        return self._numbers[Place.LIVES] > 1

    def begin(self) -> None:
        """Note that the process begins to work, for the first time or again; it counts from zero."""
        self._numbers[Place.LIVES] += 1
        self.write_counters([None] * MOST_COUNTERS)

    @property
    def note(self) -> bytes:
        """What was noted last; empty where nothing was."""
        half = self._numbers[Place.NOTES] % 2
        begin = NUMBERS * NUMBER_BYTES + half * NOTE_BYTES
        return bytes(self._bytes[begin : begin + self._numbers[Place.NOTE_LENGTHS + half]])

    def write_note(self, note: bytes) -> None:
        """Put ``note`` in the place of the one before, whole or not at all; one that is too long is none."""
        note = note if len(note) <= NOTE_BYTES else b""
        half = (self._numbers[Place.NOTES] + 1) % 2
        begin = NUMBERS * NUMBER_BYTES + half * NOTE_BYTES
        self._bytes[begin : begin + len(note)] = note
        self._numbers[Place.NOTE_LENGTHS + half] = len(note)
        self._numbers[Place.NOTES] += 1

    @property
    def counters(self) -> list[int]:
        """The counters as they stood last."""
        return list(self._numbers[Place.COUNTERS : Place.COUNTERS + MOST_COUNTERS])

    def write_counters(self, values: Sequence[int | None]) -> None:
        """Keep the counters of the process, in the order of their type."""
        for place, value in enumerate(values[:MOST_COUNTERS], Place.COUNTERS):
            self._numbers[place] = -1 if value is None else value

    def close(self) -> None:
        """Let go of the memory; may be called more than once. Numbers that were handed out are of no use then."""
        self._numbers.release()
        self._bytes.release()
        self._memory.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _whole_file(path: Path) -> int:
    """Open a ledger's file, with all of its place on the disk: a full one would end the process at a mere write."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), PRIVATE)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, TOTAL_BYTES)
        else:
            os.ftruncate(file, TOTAL_BYTES)
    except OSError:
        os.close(file)
        raise
    return file
