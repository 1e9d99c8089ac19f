"""Arrays in numpy's files (.npy, .npz), whose headers are held against bounds before memory is taken for them.

A few kilobytes of a compressed archive may unfold to gigabytes, and a header may announce any shape. Here an array is
read only where it is of plain numbers, no larger than expected, and as long as its header says. Nothing is unpickled.
It knows formats, not what the arrays mean.
"""

import ast
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from station.files import open_regular

HEADERS: Final = {(1, 0): 2, (2, 0): 4}
"""Bytes of the header's length, by the format's version."""
MOST_HEADER_BYTES: Final = 10_000
BLOCK_BYTES: Final = 1 << 20
UNREADABLE: Final = (ValueError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error)
"""What reading a damaged archive may raise."""


@dataclass(frozen=True, slots=True)
class ArrayHeader:
    """What a file says of the array that follows."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool
    header_bytes: int

    @property
    def bytes(self) -> int:
        """Size of the array's numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npz(path: Path, most_bytes: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Read arrays from an .npz file: those named, each of at most so many bytes.

    Raises OSError where the file cannot be read, ValueError where it does not hold them.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return {name: _read_member(archive, name, most) for name, most in most_bytes.items()}
    except UNREADABLE as error:
        raise ValueError(str(error) or type(error).__name__) from error


def read_npy_header(path: Path) -> ArrayHeader:
    """Return what an .npy file says of its array, which is all there is behind it. Raises OSError, ValueError."""
    with open_regular(path) as file:
        header = _read_header(file)
        held = os.fstat(file.fileno()).st_size - header.header_bytes
        if held != header.bytes:
            raise ValueError(f"{_described(header)} takes {header.bytes} bytes, the file holds {held}")
        return header


def _read_member(archive: zipfile.ZipFile, name: str, most_bytes: int) -> NDArray[Any]:
    try:
        info = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ValueError(f"there is no array {name!r} in it") from None
    if info.file_size > most_bytes + MOST_HEADER_BYTES:
        raise ValueError(f"array {name!r} of {info.file_size} bytes is larger than the {most_bytes} it may have")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"array {name!r} is compressed in a way that numpy does not write")
    with archive.open(info) as member:
        header = _read_header(member)
        held = info.file_size - header.header_bytes
        if held != header.bytes or header.bytes > most_bytes:
            raise ValueError(f"array {name!r}, {_described(header)}, takes {header.bytes} bytes, the file holds {held}")
        numbers = np.empty(math.prod(header.shape), header.dtype)
        _fill(numbers.view(np.uint8).data, member)
    return numbers.reshape(header.shape, order="F" if header.fortran_order else "C")


def _fill(room: memoryview, member: IO[bytes]) -> None:
    """Read an array's numbers, block by block: what is announced and not there takes no memory."""
    at = 0
    while at < len(room):
        block = member.read(min(BLOCK_BYTES, len(room) - at))
        if not block:
            raise ValueError(f"it ends {len(room) - at} bytes too early")
        room[at : at + len(block)] = block
        at += len(block)
    if member.read(1):  # also has the archive's checksum compared
        raise ValueError("it goes on behind its array")


def _read_header(file: IO[bytes]) -> ArrayHeader:
    start = file.read(8)
    width = HEADERS.get((start[6], start[7])) if len(start) == 8 and start.startswith(b"\x93NUMPY") else None
    if width is None:
        raise ValueError("it is no array of numpy's format 1.0 or 2.0")
    length = int.from_bytes(file.read(width), "little")
    if length > MOST_HEADER_BYTES:
        raise ValueError(f"its header of {length} bytes is too long")
    text = file.read(length)
    try:
        fields = ast.literal_eval(text.decode("latin-1").strip())
        descr, shape, order = fields["descr"], fields["shape"], fields["fortran_order"]
        dtype = np.dtype(descr) if isinstance(descr, str) else None
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        raise ValueError("its header is none of numpy's") from None
    whole = isinstance(shape, tuple) and all(type(size) is int and 0 <= size < 1 << 31 for size in shape)
    if dtype is None or dtype.kind not in "biuf" or not whole or not isinstance(order, bool):
        raise ValueError(f"its header announces {descr!r} {shape!r}, not numbers"[:200])
    return ArrayHeader(shape, dtype, order, len(start) + width + length)


def _described(header: ArrayHeader) -> str:
    return f"{header.dtype} {header.shape}"
