"""What the head of a picture's file says, before it is decoded: its size, as a small file may unfold to gigabytes.

Of a PNG also what else it holds: its decoder writes some of that, such as the name of a colour profile, to the terminal
as it stands. It knows PNG, JPEG and BMP, whose sizes stand where a few lines find them, and decodes nothing.
"""

import struct
from typing import Final

PNG: Final = b"\x89PNG\r\n\x1a\n"
TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
NEEDED: Final = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")
"""Chunks of a PNG that say what its pixels are and how they are turned."""
NO_FRAME: Final = (0xC4, 0xC8, 0xCC)
"""Markers of a JPEG among those of its frames that are none."""


def is_tiff(data: bytes) -> bool:
    """Return whether a file begins as a TIFF does, whatever its name."""
    return data.startswith(TIFF)


def announced_px(data: bytes) -> int:
    """Return how many pixels a file announces; 0 where it is of another kind, or cut before it says so."""
    try:
        if data.startswith(PNG):
            width, height = struct.unpack_from(">II", data, 16)
        elif data.startswith(b"BM"):
            width, height = struct.unpack_from("<ii", data, 18)
        elif data.startswith(b"\xff\xd8"):
            height, width = _jpeg(data)
        else:
            return 0
    except struct.error:
        return 0
    return abs(int(width)) * abs(int(height))


def _jpeg(data: bytes) -> tuple[int, int]:
    at = 2
    while True:
        start, marker, length = struct.unpack_from(">BBH", data, at)
        if start != 0xFF:
            return 0, 0
        if 0xC0 <= marker <= 0xCF and marker not in NO_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        at += 1 if marker == 0xFF else 2 + length


def bare_png(data: bytes) -> bytes:
    """Return a PNG with the chunks that its pixels need; any other file as it is. One that is cut stays cut."""
    if not data.startswith(PNG):
        return data
    kept, at = [PNG], len(PNG)
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if name in NEEDED:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)
