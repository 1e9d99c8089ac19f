"""What stands still in the field: the per-pixel median of samples over the last seconds.

The samples of each pixel are kept sorted, so that taking one in and dropping the oldest is a pass of minima and maxima
over contiguous bytes, and the median is the middle plane. A frame refreshes every ``stride``-th band of rows, which
spreads the work evenly over the frames.

The memory is addressed modulo the frame's height and width: when the stage moves, the picture's origin moves in it and
only the rows and columns that came into sight are written anew. This module knows no heads and no stage; it is told
how far the field has moved.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

BANDS = 32
"""Bands of rows; each is sampled on its own."""
DENSE = 9
"""Until a band has this many samples it takes every frame, so that the background is useful soon after the start."""


class Background:
    """Rolling median of ``samples`` (odd) samples per pixel, one every ``stride`` frames. Memory: 2 x samples x H x W."""

    def __init__(self, height: int, width: int, samples: int, stride: int) -> None:
        """Allocate; ``samples`` and ``stride`` are in frames of this source."""
        self._height, self._width = height, width
        self._samples, self._stride = samples, stride
        self._ring = np.empty((samples, height, width), np.uint8)
        self._sorted = np.empty((samples, height, width), np.uint8)
        self._median = np.zeros((height, width), np.uint8)
        edges = np.linspace(0, height, min(BANDS, height) + 1).round().astype(int)
        self._bands = [(int(a), int(b)) for a, b in zip(edges[:-1], edges[1:], strict=True)]
        self._counts = [0] * len(self._bands)
        self._next = [0] * len(self._bands)
        self._frame = 0
        self._offset = np.zeros(2)

    @property
    def samples(self) -> int:
        """Samples that the least known band has by now."""
        return min(self._counts)

    def restart(self) -> None:
        """Forget everything: the next frame is the background."""
        self._counts = [0] * len(self._bands)
        self._next = [0] * len(self._bands)
        self._frame = 0
        self._offset[:] = 0.0

    def remap(self, table: NDArray[np.uint8]) -> None:
        """Send every remembered grey level through ``table`` (256,), not falling: the exposure has changed."""
        for planes in (self._ring, self._sorted):
            for plane in planes:
                cv2.LUT(plane, table, dst=plane)
        cv2.LUT(self._median, table, dst=self._median)

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Take a frame (H, W) in: into all bands at first, then into every ``stride``-th."""
        origin = np.round(self._offset).astype(int)
        rolled = pixels if not origin.any() else np.roll(pixels, (int(origin[1]), int(origin[0])), axis=(0, 1))
        for band, (top, bottom) in enumerate(self._bands):
            if self._counts[band] < min(DENSE, self._samples) or (self._frame + band) % self._stride == 0:
                self._sample(band, rolled[top:bottom], top, bottom)
        self._frame += 1

    def image(self) -> NDArray[np.uint8]:
        """Return the background (H, W) as the present frame sees it. Valid until the next ``add``."""
        if not self._offset.any():
            return self._median
        shift = np.array([[1, 0, -self._offset[0]], [0, 1, -self._offset[1]]])
        height, width = self._median.shape
        return cv2.warpAffine(  # type: ignore[return-value]
            self._median, shift, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )

    def _sample(self, band: int, new: NDArray[np.uint8], top: int, bottom: int) -> None:
        """Put ``new`` (rows, W) into one band's sorted planes, in place of the oldest sample where they are full."""
        count, slot = self._counts[band], self._next[band]
        planes = self._sorted[:, top:bottom]
        if count == self._samples:
            old = self._ring[slot, top:bottom]
            # Without `old`: plane i where it is below `old`, else plane i + 1. As the planes are sorted and hold `old`,
            # one of min(plane i, old) and max(plane i + 1, old) is `old` itself, and xor leaves the other.
            kept = np.minimum(planes[:-1], old)
            kept ^= np.maximum(planes[1:], old)
            kept ^= old
        else:
            kept = planes[:count].copy()
            self._counts[band] = count = count + 1
        # With `new`: plane i is `new` pushed between the planes i - 1 and i that are left.
        np.minimum(kept, new, out=planes[: count - 1])
        planes[count - 1] = new
        np.maximum(planes[1:count], kept, out=planes[1:count])
        self._ring[slot, top:bottom] = new
        self._next[band] = (slot + 1) % self._samples
        self._median[top:bottom] = planes[(count - 1) // 2]
