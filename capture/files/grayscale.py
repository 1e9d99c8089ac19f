"""How pixels of any depth and colour become 8-bit grey, by one rule for all sources.

Depth: of N bits the upper 8 are taken, always the same for every frame of a source; nothing is stretched to what a
frame happens to hold, because that would change the contrast from frame to frame. Colour: luma, 0.299 R + 0.587 G +
0.114 B (ITU-R BT.601), at full depth, before the upper bits are taken. Transparency is ignored. This module knows
arrays alone.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

LIMITED_BLACK: Final = 16
LIMITED_SPAN: Final = 219
"""Video luma of limited range runs from 16 to 235 (ITU-R BT.601), in units of 8 bits."""
TABLE_LIMITED: Final = np.clip(np.rint((np.arange(256) - LIMITED_BLACK) * (255 / LIMITED_SPAN)), 0, 255).astype(
    np.uint8
)


def luma(image: NDArray[np.uint8] | NDArray[np.uint16], *, bgr: bool = False) -> NDArray[np.uint8 | np.uint16]:
    """Return (H, W) of the same type for (H, W), or (H, W, channels): 1, 2 (with transparency), 3 RGB or 4 RGBA."""
    if image.ndim == 2:
        return image
    if image.shape[2] < 3:
        return image[:, :, 0]
    return np.asarray(cv2.cvtColor(image[:, :, :3], cv2.COLOR_BGR2GRAY if bgr else cv2.COLOR_RGB2GRAY), image.dtype)


def upper_8(values: NDArray[np.uint8 | np.uint16], bits: int) -> NDArray[np.uint8]:
    """Return the upper 8 of ``bits`` bits in memory of its own; values beyond them are white. 8 bits stay."""
    if bits <= 8:
        return np.array(values, np.uint8)
    return np.asarray(np.minimum(values >> (bits - 8), 255), np.uint8)


def expand_limited(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 8-bit luma of limited range (16 to 235) as 0 to 255."""
    return np.asarray(cv2.LUT(values, TABLE_LIMITED), np.uint8)
