"""A frame's number as black and white squares in its upper left corner, to be read back from wherever it is shown."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

BITS: Final = 16
SIDE_PX: Final = 16
"""Of one square; the lowest bit is on the left."""


def draw_code(pixels: NDArray[np.uint8], number: int) -> None:
    """Draw ``number`` into a frame (H, W)."""
    for bit in range(BITS):
        pixels[:SIDE_PX, bit * SIDE_PX : (bit + 1) * SIDE_PX] = 255 if number >> bit & 1 else 0


def read_code(pixels: NDArray[np.uint8]) -> int:
    """Return the number, modulo 2^16, that was drawn into a frame (H, W)."""
    bits = pixels[SIDE_PX // 2, SIDE_PX // 2 : BITS * SIDE_PX : SIDE_PX] > 127
    return int(bits @ (1 << np.arange(BITS)))
