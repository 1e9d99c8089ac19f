"""How an image is rotated and mirrored for display: display matrices of videos, orientation tags of TIFF and EXIF.

Players and viewers apply them, so coordinates read off a screen agree with ours only if we do too. This module knows
arrays and numbers, no file.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MATRIX_BYTES: Final = 36


@dataclass(frozen=True, slots=True)
class Orientation:
    """Transpose first, then reverse rows and columns."""

    transpose: bool = False
    reverse_rows: bool = False
    reverse_columns: bool = False

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return (H, W) as shown; contiguous."""
        if self == UPRIGHT:
            return pixels
        shown = pixels.T if self.transpose else pixels
        step_y, step_x = (-1 if self.reverse_rows else 1), (-1 if self.reverse_columns else 1)
        return np.ascontiguousarray(shown[::step_y, ::step_x])


UPRIGHT: Final = Orientation()
BY_TAG: Final = {
    1: UPRIGHT,
    2: Orientation(reverse_columns=True),
    3: Orientation(reverse_rows=True, reverse_columns=True),
    4: Orientation(reverse_rows=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, reverse_columns=True),
    7: Orientation(transpose=True, reverse_rows=True, reverse_columns=True),
    8: Orientation(transpose=True, reverse_rows=True),
}
"""By the value of the tag Orientation (TIFF 6.0 and EXIF, tag 274)."""


def of_display_matrix(matrix: bytes) -> Orientation | None:
    """Return the orientation of FFmpeg's display matrix (nine int32); None for another angle than multiples of 90.

    A stored point (x, y) is shown at (a x + c y, b x + d y), apart from the offset.
    """
    if len(matrix) < MATRIX_BYTES:
        return UPRIGHT
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:MATRIX_BYTES])
    if a and d and not b and not c:
        return Orientation(reverse_rows=d < 0, reverse_columns=a < 0)
    if b and c and not a and not d:
        return Orientation(transpose=True, reverse_rows=b < 0, reverse_columns=c < 0)
    return None
