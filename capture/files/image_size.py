"""How large a picture is by the head of its file, before it is decoded: a small file may unfold to gigabytes.

It knows PNG, JPEG and BMP, whose sizes stand where a few lines find them, and decodes nothing.
"""

import struct
from typing import Final

PNG: Final = b"\x89PNG\r\n\x1a\n"
NO_FRAME: Final = (0xC4, 0xC8, 0xCC)
"""Markers of a JPEG among those of its frames that are none."""


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
