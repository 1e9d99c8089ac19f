"""The square of a frame round one sperm: what the network sees, and what people are shown of it. Knows pixels only."""

import numpy as np
from numpy.typing import NDArray


def crop_into(out: NDArray[np.uint8], frame: NDArray[np.uint8], x: float, y: float) -> bool:
    """Copy the square round (x, y) of ``frame`` (H, W) into ``out`` (S, S); return True where it had to be padded.

    The crop's pixel (S // 2, S // 2) is the pixel nearest to (x, y). What lies outside the frame becomes the mean of
    the frame's edge pixels next to it (of the rows and columns that the crop cuts), rounded.
    """
    size = out.shape[0]
    height, width = frame.shape
    left, top = round(x) - size // 2, round(y) - size // 2
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + size, width), min(top + size, height)
    if x1 - x0 == size and y1 - y0 == size:
        out[:] = frame[y0:y1, x0:x1]
        return False
    if x1 <= x0 or y1 <= y0:
        out[:] = round(float(frame.mean()))
        return True
    inside = frame[y0:y1, x0:x1]
    edges = []
    if left < 0:
        edges.append(inside[:, 0])
    if left + size > width:
        edges.append(inside[:, -1])
    if top < 0:
        edges.append(inside[0])
    if top + size > height:
        edges.append(inside[-1])
    out[:] = round(float(np.concatenate(edges).mean()))
    out[y0 - top : y1 - top, x0 - left : x1 - left] = inside
    return True
