"""The directories of a TIFF file: how many there are, whether they are sound, and what tifffile complains about.

It follows offsets and reads no pixels; what the pages mean is in ``capture.files.tiff.layout``.
"""

import contextlib
import logging
import struct
from collections.abc import Iterator
from typing import Any, Final

import tifffile

MOST_PAGES: Final = 2**20


@contextlib.contextmanager
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


def readable_pages(file: tifffile.TiffFile) -> Iterator[Any]:
    """Yield the pages up to the first that cannot be read."""
    seen: set[int] = set()
    while len(seen) < MOST_PAGES:
        try:
            page: Any = file.pages[len(seen)].aspage()
        except Exception:  # of whatever kind: here the readable part ends
            return
        if page.offset in seen:
            return
        seen.add(page.offset)
        yield page


def count_sound(file: tifffile.TiffFile) -> int:
    """Return the number of directories; 0 where one of them is damaged or the chain breaks off."""
    try:
        if is_circular(file):
            return 0
        offset, count = int(file.pages.first.offset), 0
        while offset and count < MOST_PAGES:
            offset, count = next_directory(file, offset), count + 1
        with complaints() as heard, tifffile.TiffFile(file.filehandle.path) as again:  # nothing kept from before
            pages = [again.pages[number] for number in range(count)]
            return count if not heard and count == len(again.pages) == len(pages) else 0
    except Exception:  # what tifffile throws at damaged files is of any kind
        return 0


def is_circular(file: tifffile.TiffFile) -> bool:
    """Return whether the chain of directories comes back to one that it has been at."""
    seen: set[int] = set()
    offset = int(file.pages.first.offset)
    while offset and len(seen) < MOST_PAGES:
        if offset in seen:
            return True
        seen.add(offset)
        try:
            offset = next_directory(file, offset)
        except (struct.error, ValueError, OSError):
            return False  # it breaks off, which tifffile sees too
    return False


def next_directory(file: tifffile.TiffFile, offset: int) -> int:
    """Return where the directory behind the one at ``offset`` should be (TIFF 6.0, section 2; BigTIFF)."""
    handle, order = file.filehandle, file.byteorder
    big = file.is_bigtiff
    handle.seek(offset)
    (entries,) = struct.unpack(order + ("Q" if big else "H"), handle.read(8 if big else 2))
    handle.seek(offset + (8 + 20 * entries if big else 2 + 12 * entries))
    (following,) = struct.unpack(order + ("Q" if big else "I"), handle.read(8 if big else 4))
    return int(following)
