"""Where in a TIFF file the frames are: by the file's own account, and from what is left where that is damaged.

Frames follow the time axis; a stack without one counts its pages, whatever they are called (slices saved as a film are
common). Of several channels or focal planes beside time, the first is taken. This module reads directories, no pixels.
"""

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tifffile

from station.errors import InputError

IN_FRAME: Final = "YXS"
TIME_AXES: Final = "TIQZ"
"""The first of these that has a length is time (tifffile calls axes without a meaning I or Q)."""
MOST_PX: Final = 2**26
MOST_PAGES: Final = 2**20


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the frames are."""

    shape: tuple[int, ...]
    """(H, W) or (H, W, channels) of each."""
    dtype: "np.dtype[Any]"
    """uint8, uint16 or bool, in the machine's byte order."""
    places: tuple[Any, ...]
    """Of each frame: the byte at which it begins, uncompressed; or the page object; or None where it is missing."""
    announced: int
    """How many frames the file says to have, as far as that is known."""
    damaged: bool = False
    """The directory is damaged: there may have been more."""
    notices: tuple[str, ...] = ()


@contextmanager
def complaints() -> Iterator[list[str]]:
    """Collect what tifffile would write to its log: it goes on with what it could read and only complains there."""
    collected: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            collected.append(record.getMessage())

    logger, handler = logging.getLogger("tifffile"), Collector(logging.WARNING)
    before = logger.propagate
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield collected
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def find_frames(file: tifffile.TiffFile) -> Layout:
    """Return the layout by the file's own account.

    Raises InputError for what is no stack of images, and whatever tifffile throws at damaged files.
    """
    if _circular(file):
        raise ValueError("the directories lead back to an earlier one")  # tifffile would follow them for ever
    series: Any = file.series[0]
    sizes = dict(zip(series.axes, series.shape, strict=True))
    samples = (sizes["S"],) if "S" in sizes else ()
    shape, dtype = _image(file, (sizes.get("Y", 0), sizes.get("X", 0), *samples), series.dtype)
    outer = [(axis, n) for axis, n in zip(series.axes, series.shape, strict=True) if axis not in IN_FRAME]
    lengths = dict(outer)
    time = next((axis for axis in TIME_AXES if lengths.get(axis, 1) > 1), None)
    count = int(np.prod([n for _, n in outer], dtype=np.int64))
    if count > MOST_PAGES:
        raise ValueError(f"{count} pages announced")
    index = tuple(slice(None) if axis == time else 0 for axis, _ in outer)
    numbers = [int(n) for n in np.atleast_1d(np.arange(count).reshape([n for _, n in outer])[index])]
    left_out = [f"the first of {n} along {axis}" for axis, n in outer if axis != time and n > 1]
    notices = (f"of this stack only {' and '.join(left_out)} is used",) if left_out else ()
    if series.dataoffset is not None and dtype != np.dtype(bool) and "SY" not in series.axes:
        # All images lie one behind the other; the directory may list but the first of them.
        size = int(np.prod(shape)) * dtype.itemsize
        places: tuple[Any, ...] = tuple(series.dataoffset + n * size for n in numbers)
    else:
        pages = series.pages
        places = tuple(pages[n] if n < len(pages) else None for n in numbers)
    return Layout(shape, dtype, places, len(places), notices=notices)


def salvage_frames(file: tifffile.TiffFile) -> Layout:
    """Return the layout of a file whose directory is damaged. Raises InputError, and anything where nothing is left.

    The pages that can still be found; or, where only the first is left and the next one's entry lay behind the pixels
    of all (as in ImageJ's and many OME files), images one behind the other up to the end of the file.
    """
    pages: list[Any] = []
    seen: set[int] = set()
    while len(pages) < MOST_PAGES:
        try:
            page = file.pages[len(pages)]
        except Exception:  # of whatever kind: here the readable part ends
            break
        if page.offset in seen:
            break
        seen.add(page.offset)
        pages.append(page)
    if not pages:
        raise ValueError("no page is left")
    first = pages[0].keyframe
    shape, dtype = _image(file, first.shape if first.planarconfig == 1 else first.shape[1:], first.dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    if len(pages) == 1 and first.is_contiguous and first.planarconfig == 1 and dtype != np.dtype(bool):
        start = int(first.dataoffsets[0])
        behind = (_next_directory(file, first.offset) - start) // size
        present = min((file.filehandle.size - start) // size, MOST_PAGES)
        if behind > 1:
            return Layout(
                shape, dtype, tuple(start + n * size for n in range(max(1, min(behind, present)))), behind, True
            )
    return Layout(shape, dtype, tuple(pages), len(pages), True)


def _image(file: tifffile.TiffFile, shape: Any, stored: Any) -> "tuple[tuple[int, ...], np.dtype[Any]]":
    """Return shape and type of the images. Raises InputError for what no camera makes."""
    origin = f"source {file.filehandle.path}"
    dtype = np.dtype(stored).newbyteorder("=")
    if dtype not in (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(bool)):
        raise InputError(f"{origin}: expected images of 8 or 16 bits, got {dtype}; save them as one of these")
    shape = tuple(int(n) for n in shape)
    if len(shape) not in (2, 3) or not all(shape) or max(shape) > 65535 or shape[0] * shape[1] > MOST_PX:
        raise InputError(f"{origin}: expected a stack of images, got arrays of {shape}; save it as one")
    if len(shape) == 3 and shape[2] > 4:
        raise InputError(f"{origin}: expected grey or RGB images, got {shape[2]} channels in one; save one channel")
    return shape, dtype


def _circular(file: tifffile.TiffFile) -> bool:
    """Return whether the chain of directories comes back to one that it has been at."""
    seen: set[int] = set()
    offset = int(file.pages.first.offset)
    while offset and len(seen) < MOST_PAGES:
        if offset in seen:
            return True
        seen.add(offset)
        try:
            offset = _next_directory(file, offset)
        except (struct.error, ValueError, OSError):
            return False  # it breaks off, which tifffile sees too
    return False


def _next_directory(file: tifffile.TiffFile, offset: int) -> int:
    """Return where the directory behind the one at ``offset`` should be (TIFF 6.0, section 2; BigTIFF)."""
    handle, order = file.filehandle, file.byteorder
    big = file.is_bigtiff
    handle.seek(offset)
    (entries,) = struct.unpack(order + ("Q" if big else "H"), handle.read(8 if big else 2))
    handle.seek(offset + (8 + 20 * entries if big else 2 + 12 * entries))
    (following,) = struct.unpack(order + ("Q" if big else "I"), handle.read(8 if big else 4))
    return int(following)
