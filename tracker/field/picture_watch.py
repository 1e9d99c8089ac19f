"""What a frame is worth as a picture: repeated, out of focus, saturated, too dark. Measured on a thinned-out frame.

How the thresholds were found, with figures, is in ``docs/decisions/0057-when-a-grade-is-valid-and-a-picture-bad.md``.
This module measures; what to do about a bad picture, and how to say it, is for others.
"""

import zlib
from collections import deque
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from station.transport.messages import Cause
from tracker.field.disturbances import Levels, percentile
from tracker.matching.prepared_frame import Picture
from tracker.params import PictureParams

BRIGHTEST_PERCENT: Final = 99.0
LEAST_NEAR_PX: Final = 0.5
"""Below it heads are too small to tell how steep their edges are."""
KEEP_FRAMES: Final = 64
"""More than the buffers of a camera: one that sends old ones again repeats a picture within so many."""


class PictureWatch:
    """Looks at every frame of a stream."""

    def __init__(self, height: int, width: int, params: PictureParams) -> None:
        """Keeps digests of the last frames: a frozen camera sends the same bytes, noise and all."""
        self._params = params
        self._weights = np.random.default_rng(0).integers(0, 1 << 63, height * width // 8, np.uint64) * 2 + 1
        self._seen: deque[tuple[int, int, bytes]] = deque(maxlen=KEEP_FRAMES)
        self._repeats = 0
        self._sharpness: float | None = None
        self._blurred = False
        self._measured_s = params.sharpness_every_s

    def look(self, pixels: NDArray[np.uint8], levels: Levels, interval_s: float, head_px: float) -> Picture:
        """Return what the next frame (H, W) is worth.

        Args:
            pixels: The frame.
            levels: Of the frame thinned out.
            interval_s: Since the frame before.
            head_px: Size of a head.
        """
        params = self._params
        self._repeats = self._repeats + 1 if self._same(pixels) else 0
        saturated, brightest = levels.saturated, levels.percentile(BRIGHTEST_PERCENT)
        self._measured_s += interval_s
        if self._measured_s >= params.sharpness_every_s:
            self._measured_s = 0.0
            self._judge_focus(sharpness(pixels, head_px, params))
        found = {
            Cause.FOCUS: self._blurred,
            Cause.REPEATED: self._repeats > 0,
            Cause.BRIGHT: saturated > params.most_saturated,
            Cause.DARK: brightest < params.least_brightest,
        }
        faults = tuple(cause for cause, applies in found.items() if applies)
        frozen = self._repeats >= params.frozen_repeats
        return Picture(self._repeats, frozen, self._sharpness, saturated, brightest, faults)

    def forget_frames(self) -> None:
        """Take what follows for new, where a beginning that was watched ahead is shown again on purpose."""
        self._seen.clear()
        self._repeats = 0

    def _same(self, pixels: NDArray[np.uint8]) -> bool:
        """Return whether a frame is one of the last, every pixel of it."""
        digest = self._digest(pixels)
        same = digest in self._seen
        self._seen.append(digest)
        return same

    def _digest(self, pixels: NDArray[np.uint8]) -> tuple[int, int, bytes]:
        """Return what tells frames apart: every pixel weighs in, at a third of the time of a CRC over all."""
        flat = np.ascontiguousarray(pixels).reshape(-1)
        whole = 8 * self._weights.size
        total = int(np.dot(flat[:whole].view(np.uint64), self._weights))
        return total, zlib.crc32(np.ascontiguousarray(pixels[::16]).data), flat[whole:].tobytes()

    def _judge_focus(self, found: float | None) -> None:
        """Judge the focus; a picture without edges leaves the verdict as it was: an empty field is not out of focus."""
        self._sharpness = found
        if found is not None:
            limit = self._params.sharp_again if self._blurred else self._params.least_sharpness
            self._blurred = found < limit


def sharpness(pixels: NDArray[np.uint8], head_px: float, params: PictureParams) -> float | None:
    """Return how steep the steepest edges are beside their height; None where they are too low, or heads too small.

    Out of focus, an edge is spread over a good part of a head and rises evenly: over a tenth of a head by about a
    quarter of what it rises over four tenths. Contrast, and how many cells there are, cancel out.
    """
    near_px, far_px = params.near_heads * head_px, params.far_heads * head_px
    if near_px < LEAST_NEAR_PX or pixels.shape[1] <= 2 * far_px:
        return None
    rows = np.ascontiguousarray(pixels[:: 4 * max(1, round(pixels.shape[0] / 480))])
    soft = np.asarray(cv2.blur(rows, (max(1, round(params.soft_heads * head_px)), 1)), np.uint8)
    over_near, over_far = (_step(soft, px, params.edges_percent) for px in (near_px, far_px))
    return over_near / over_far if over_far >= params.least_edge_levels else None


def _step(rows: NDArray[np.uint8], distance_px: float, percent: float) -> float:
    """Return what the steepest edges rise over a distance, which is seldom a whole number of pixels: between two."""
    whole = int(distance_px)
    share = distance_px - whole
    step = (1 - share) * _whole_step(rows, whole, percent) if whole else 0.0
    return step + share * _whole_step(rows, whole + 1, percent) if share else step


def _whole_step(rows: NDArray[np.uint8], distance_px: int, percent: float) -> float:
    step = np.asarray(cv2.absdiff(rows[:, distance_px:], rows[:, :-distance_px]), np.uint8)
    return percentile(step, percent)
