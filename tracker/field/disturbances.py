"""What disturbs the whole field at once: exposure, focus, illumination. Measured on a thinned-out frame.

This module says what happened; what to do about it is the field's business.
"""

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.params import DisturbanceParams

THINNED_PX: Final = 5000


class Focus:
    """Tells a change of focus from the picture's sharpness."""

    def __init__(self, params: DisturbanceParams) -> None:
        """No frame seen yet."""
        self._params = params
        self._average = 0.0
        self._seen_s = 0.0

    def changed(self, pixels: NDArray[np.uint8], interval_s: float) -> bool:
        """Take the next frame (H, W); return whether its sharpness is out of the usual range."""
        params = self._params
        if pixels.shape[1] <= params.step_px:
            return False
        rows = pixels[:: 4 * max(1, round(pixels.shape[0] / 480))]
        small = cv2.blur(np.ascontiguousarray(rows), (3, 1))
        steps = np.asarray(cv2.absdiff(small[:, params.step_px :], small[:, : -params.step_px])[:, ::2], np.uint8)
        sharp = percentile(steps, params.edges_percent)
        self._seen_s += interval_s
        if self._seen_s <= interval_s:
            self._average = sharp
        ratio = sharp / self._average if self._average > 0 else 1.0
        share = min(1.0, interval_s / min(params.sharpness_s, self._seen_s))
        self._average += share * (sharp - self._average)
        return self._seen_s > params.learn_s and not params.sharpness[0] <= ratio <= params.sharpness[1]


class Levels:
    """How often each grey level is in an image: counted once, and any percentile is at hand."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        """``image`` (H, W) may be thinned out."""
        counts = cv2.calcHist([np.ascontiguousarray(image)], [0], None, [256], [0, 256]).ravel().astype(np.int64)
        self._below = np.cumsum(counts)
        self._last = image.size - 1
        self.saturated = int(counts[-1]) / image.size
        """Share of the pixels at 255."""

    def percentile(self, percent: float) -> float:
        """Return what ``numpy.percentile`` returns, to the last bit, in a tenth of the time."""
        place = self._last * (percent / 100)
        lower = int(place)
        low, high = self._below.searchsorted((lower, min(lower + 1, self._last)), side="right").tolist()
        share = place - lower
        # From the nearer end, as NumPy does: the two ways round differently.
        return float(low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share))


def percentile(image: NDArray[np.uint8], percent: float) -> float:
    """Return a single percentile of an image (H, W)."""
    return Levels(image).percentile(percent)


def thinned(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return some THINNED_PX pixels of an image, evenly spaced: enough for its percentiles."""
    step = max(1, round(math.sqrt(image.size / THINNED_PX)))
    return image[::step, ::step]


def blank(pixels: NDArray[np.uint8], levels: Levels, params: DisturbanceParams) -> bool:
    """Return whether a frame (H, W) is all but black, white or of one grey level. ``levels``: of it thinned out."""
    low, high = levels.percentile(5), levels.percentile(95)
    return bool(
        high <= params.dark_level or low >= params.bright_level or (low == high and pixels.max() == pixels.min())
    )


def level_step(pixels: NDArray[np.uint8], background: NDArray[np.uint8]) -> float:
    """Return by how many grey levels a frame (H, W) is brighter than the background, in the median."""
    steps = np.sort(thinned(pixels).astype(np.int16) - thinned(background), axis=None)
    below, above = steps[(steps.size - 1) // 2], steps[steps.size // 2]
    return (int(below) + int(above)) / 2


def level_table(pixels: NDArray[np.uint8], background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the table (256,) that sends the background's grey levels to the frame's: the best straight line."""
    new, old = thinned(pixels).astype(float).ravel(), thinned(background).astype(float).ravel()
    spread = float(old.var())
    gain = 1.0
    if spread > 4.0:
        gain = float(np.clip(((new - new.mean()) * (old - old.mean())).mean() / spread, 0.2, 5.0))
    table = float(np.median(new)) + gain * (np.arange(256) - float(np.median(old)))
    return np.asarray(np.clip(np.rint(table), 0, 255), np.uint8)
