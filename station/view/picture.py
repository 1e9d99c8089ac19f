"""From a frame to what travels to a browser: JPEG at the size asked for, crops, histogram. Knows no sperm."""

import cv2
import numpy as np
from numpy.typing import NDArray

from station.view.page_messages import Histogram

QUALITY = 85
SCALE_STEPS = 16
"""Sizes are whole sixteenths of the frame, so that several pages often want the same."""
LEVELS = 64
THIN = 4


def whole_scale(scale: float) -> float:
    """Return the next larger of the sizes that are made."""
    return min(SCALE_STEPS, max(1, int(np.ceil(scale * SCALE_STEPS - 1e-6)))) / SCALE_STEPS


def jpeg(pixels: NDArray[np.uint8], scale: float) -> bytes:
    """Return the frame (H, W) at ``scale`` as a grey JPEG."""
    if scale < 1.0:
        height, width = (max(1, round(side * scale)) for side in pixels.shape)
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    made, data = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    if not made:
        raise ValueError(f"no JPEG could be made of a picture of {pixels.shape[1]} x {pixels.shape[0]} px")
    return data.tobytes()


def histogram(pixels: NDArray[np.uint8]) -> Histogram:
    """Return how the frame (H, W) is exposed."""
    some = pixels[::THIN, ::THIN]
    counts = np.bincount(some.reshape(-1), minlength=256)
    return Histogram(
        counts=counts.reshape(LEVELS, -1).sum(axis=1).tolist(),
        saturated=float(counts[255]) / some.size,
        black=float(counts[0]) / some.size,
    )
