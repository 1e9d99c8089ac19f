"""One decoded frame of a video: its grey values, their range, and how it is to be turned.

It knows FFmpeg's pixel formats, no file and no time.
"""

from typing import Any, Final

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from capture.files.grayscale import luma
from capture.files.orientation import UPRIGHT, Orientation, of_display_matrix

FULL_RANGE: Final = 2
"""FFmpeg's AVCOL_RANGE_JPEG."""
LUMA_PLANES: Final = ("yuv", "gray", "nv", "p01", "p21", "p41")
"""How FFmpeg's names of pixel formats begin that have their luma in the first plane."""


def luma_of(decoded: VideoFrame) -> tuple[NDArray[Any], int]:
    """Return (H, W) uint8 or uint16 grey as stored, valid while ``decoded`` is, and the bits of each value."""
    name, bits = decoded.format.name, decoded.format.components[0].bits
    if not _has_luma_plane(name):
        if bits <= 8:
            return luma(np.asarray(decoded.to_ndarray(format="rgb24"), np.uint8)), 8
        bits = min(bits, 16)
        rgb: NDArray[Any] = np.asarray(decoded.to_ndarray(format="rgb48le"), np.uint16)
        grey: NDArray[Any] = luma(rgb)
        return grey >> (16 - bits), bits  # FFmpeg has widened them to 16
    dtype = np.dtype(np.uint8) if bits <= 8 else np.dtype(">u2" if name.endswith("be") else "<u2")
    plane: Any = decoded.planes[0]  # a buffer, though its stubs do not say so
    rows: NDArray[Any] = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
    values: NDArray[Any] = rows[: decoded.height, : decoded.width].astype(dtype.newbyteorder("="), copy=False)
    if name.startswith(("p010", "p012", "p210", "p212", "p410", "p412")):
        values = values >> (16 - bits)  # these carry their bits at the upper end
    return values, bits


def _has_luma_plane(name: str) -> bool:
    """Return whether a pixel format has its luma apart from the rest, as whole numbers."""
    return name.startswith(LUMA_PLANES) and not name.startswith("grayf")


def is_full_range(decoded: VideoFrame) -> bool:
    """Return whether black is 0 and white 255 (of 8 bits), not 16 and 235."""
    name = decoded.format.name
    return not _has_luma_plane(name) or name.startswith(("yuvj", "gray")) or decoded.color_range == FULL_RANGE


def orientation_of(decoded: VideoFrame) -> Orientation | None:
    """Return how a frame is to be turned; None for a turn that is no multiple of 90 degrees."""
    matrix: Any = decoded.side_data.get("DISPLAYMATRIX")
    return UPRIGHT if matrix is None else of_display_matrix(bytes(matrix))
