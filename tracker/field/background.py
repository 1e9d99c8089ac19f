"""What stands still in the field: the per-pixel median of samples over the last seconds.

The samples of each pixel are kept sorted, so that taking one in and dropping the oldest is a pass of minima and maxima
over contiguous bytes, and the median is the middle plane. A frame refreshes every ``stride``-th band of rows, which
spreads the work evenly over the frames.

Just after a start nearly all samples are the lowest and the highest grey level in turn, which leave the median of the
true ones alone. They need no memory and no passes: of each band only the planes between them are alive.

The memory is addressed modulo the frame's height and width: when the stage moves, the picture's origin moves in it and
only the rows and columns that came into sight are written anew, as after a start. This module knows no heads and
measures no motion; it is told how far the field has moved.
"""

import itertools
import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

BANDS = 32
"""Bands of rows; each is sampled on its own."""


@dataclass(slots=True)
class _Band:
    """Rows of the memory that are sampled together."""

    top: int
    bottom: int
    low: int
    """Its sorted planes below this are all 0 and were never written,"""
    high: int
    """and from this one on all are 255."""
    sampled: NDArray[np.bool_]
    """(samples,) which slots of the ring hold a sample; the others were never written."""


class Background:
    """Rolling median of ``samples`` (odd) samples per pixel, one every ``stride`` frames; 2 x samples x H x W bytes."""

    def __init__(self, height: int, width: int, samples: int, stride: int) -> None:
        """Allocate; ``samples`` and ``stride`` are in frames of this source."""
        self._height, self._width = height, width
        self._samples, self._stride = samples, stride
        self._ring = np.empty((samples, height, width), np.uint8)
        self._sorted = np.empty((samples, height, width), np.uint8)
        self._median = np.zeros((height, width), np.uint8)
        edges = np.linspace(0, height, min(BANDS, height) + 1).round().astype(int)
        self._bands = [
            _Band(int(a), int(b), 0, samples, np.ones(samples, np.bool_)) for a, b in itertools.pairwise(edges)
        ]
        deepest = max(band.bottom - band.top for band in self._bands)
        self._scratch = np.empty((2, samples - 1, deepest, width), np.uint8)
        """Memory of its own: fresh memory for every band can cost as much as the sampling."""
        self._first_slot = 0
        """The one that was next at the last start."""
        self._slot = 0
        self._frame = 0
        self._origin = np.zeros(2)
        self._seen: NDArray[np.uint8] | None = None
        """The median as a frame sees it once the stage has moved,"""
        self._stale: list[_Band] = []
        """but for these."""

    def restart(self, pixels: NDArray[np.uint8]) -> None:
        """Forget everything: this frame (H, W) is the background."""
        self._origin[:] = 0.0
        self._seen = None
        self._first_slot = self._slot
        half = self._samples // 2
        for band in self._bands:
            band.low, band.high = half, half + 1
            band.sampled[:] = False
            band.sampled[self._slot - 1] = True
        self._sorted[half] = self._ring[self._slot - 1] = self._median[:] = pixels

    def sample_every(self, stride: int) -> None:
        """Take a sample every so many frames from now on: others come than did."""
        self._stride, self._frame = stride, 0

    def remap(self, table: NDArray[np.uint8]) -> None:
        """Send every remembered grey level through ``table`` (256,), not falling: the exposure has changed."""
        self._write_out()
        for planes in (self._ring, self._sorted):
            for plane in planes:
                cv2.LUT(plane, table, dst=plane)
        cv2.LUT(self._median, table, dst=self._median)
        self._seen = None

    def move(self, dx: float, dy: float, pixels: NDArray[np.uint8]) -> None:
        """Follow the field, which has moved by (dx, dy) px; what came into sight is taken from this frame (H, W)."""
        before = np.rint(self._origin).astype(int)
        self._origin += (dx, dy)
        self._seen = None
        after = np.rint(self._origin).astype(int)
        step_x, step_y = (after - before).tolist()
        if abs(step_x) >= self._width or abs(step_y) >= self._height:
            self.restart(pixels)
            return
        if step_x or step_y:
            self._write_out()
        if step_x:
            columns = np.arange(step_x) if step_x > 0 else np.arange(self._width + step_x, self._width)
            rows = (np.arange(self._height) - after[1]) % self._height
            self._begin(slice(None), (columns - after[0]) % self._width, _ordered(pixels[:, columns], rows, 0))
        if step_y:
            rows = np.arange(step_y) if step_y > 0 else np.arange(self._height + step_y, self._height)
            columns = (np.arange(self._width) - after[0]) % self._width
            self._begin((rows - after[1]) % self._height, slice(None), _ordered(pixels[rows], columns, 1))

    def add(self, pixels: NDArray[np.uint8], *, dense: bool = False) -> None:
        """Take a frame (H, W) in: into every ``stride``-th band, or into all of them where ``dense``."""
        x, y = np.rint(self._origin).astype(int).tolist()
        phase = self._frame % self._stride
        if dense:
            self._seen = None
        for number, band in enumerate(self._bands):
            if dense or number % self._stride == phase:
                self._sample(band, pixels, x, y)
                self._stale.append(band)
        if dense or phase == self._stride - 1:
            self._slot = (self._slot + 1) % self._samples
        self._frame += 1

    def image(self) -> NDArray[np.uint8]:
        """Return the background (H, W) as the present frame sees it. Valid until the next call that changes it."""
        x, y = self._origin.tolist()
        if x == 0.0 and y == 0.0:
            self._stale.clear()
            return self._median
        if self._seen is None:
            self._seen = np.empty_like(self._median)
            self._show(self._seen, 0, self._height)
        else:
            for band in self._stale:
                # A pixel lies between two rows of the memory; one row more on either side is for rounding.
                top, bottom = math.floor(band.top - 1 + y), math.ceil(band.bottom + y) + 1
                turns = top // self._height * self._height
                self._show(self._seen, top - turns, min(bottom - turns, self._height))
                self._show(self._seen, 0, min(bottom - turns - self._height, self._height))
        self._stale.clear()
        return self._seen

    def _show(self, seen: NDArray[np.uint8], top: int, bottom: int) -> None:
        """Write the rows of ``seen`` (H, W) from ``top`` to below ``bottom`` as the present frame sees the median.

        OpenCV reckons in float32 from which row of the memory a row comes, so that a part would be rounded otherwise
        than the whole; hence in runs of rows for which it rounds alike.
        """
        if bottom <= top:
            return
        x, y = self._origin.tolist()
        rows = np.arange(top, bottom, dtype=np.float32)
        sources = rows + np.float32(-y)
        ends = np.flatnonzero(np.diff(sources.astype(np.float64) - rows)) + 1
        for first, last in itertools.pairwise((0, *ends.tolist(), len(rows))):
            back = np.array([[1.0, 0.0, -x], [0.0, 1.0, float(sources[first])]])
            cv2.warpAffine(
                self._median, back, (self._width, last - first), dst=seen[top + first : top + last],
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_WRAP,
            )  # fmt: skip

    def _begin(
        self, rows: slice | NDArray[np.int64], columns: slice | NDArray[np.int64], new: NDArray[np.uint8]
    ) -> None:
        """Make ``new`` the only true sample of some pixels, in the slot before the next one to be overwritten."""
        half = self._samples // 2
        self._sorted[:half, rows, columns] = 0
        self._sorted[half][rows, columns] = new
        self._sorted[half + 1 :, rows, columns] = 255
        for age in range(self._samples - 1):
            self._ring[(self._slot + age) % self._samples][rows, columns] = 255 * (age % 2)
        self._ring[(self._slot - 1) % self._samples][rows, columns] = new
        self._median[rows, columns] = new

    def _write_out(self) -> None:
        """Write what was never written: pixels of one band will differ in what they have of true samples."""
        for band in self._bands:
            rows = slice(band.top, band.bottom)
            self._sorted[: band.low, rows] = 0
            self._sorted[band.high :, rows] = 255
            for slot in np.flatnonzero(~band.sampled).tolist():
                self._ring[slot, rows] = self._filling(slot)
            band.low, band.high = 0, self._samples
            band.sampled[:] = True

    def _filling(self, slot: int) -> int:
        """Return what stands in a slot that has had no sample since the last start."""
        return 255 * ((slot - self._first_slot) % self._samples % 2)

    def _sample(self, band: _Band, pixels: NDArray[np.uint8], x: int, y: int) -> None:
        """Put a frame (H, W), shifted by (x, y), into one band's sorted planes in place of the oldest sample."""
        rows = np.arange(band.top + y, band.bottom + y) % self._height
        new = np.roll(pixels[rows], -x, axis=1) if x or y else pixels[band.top : band.bottom]
        planes, old = self._sorted[:, band.top : band.bottom], self._ring[self._slot, band.top : band.bottom]
        if band.sampled[self._slot]:
            self._replace(planes[band.low : band.high], old, new)
        else:
            band.sampled[self._slot] = True
            self._insert(planes, new, band, downwards=self._filling(self._slot) == 0)
        old[:] = new
        self._median[band.top : band.bottom] = planes[self._samples // 2]

    def _insert(self, planes: NDArray[np.uint8], new: NDArray[np.uint8], band: _Band, *, downwards: bool) -> None:
        """Put ``new`` (rows, W) into a band's planes that are alive; one more comes alive, below them or above."""
        alive = planes[band.low : band.high]
        room = self._scratch[0, : len(alive), : len(new)]
        if downwards:
            np.minimum(alive, new, out=room)
            band.low -= 1
            planes[band.low] = room[0]
            np.maximum(alive[:-1], room[1:], out=alive[:-1])
            np.maximum(alive[-1], new, out=alive[-1])
        else:
            np.maximum(alive, new, out=room)
            planes[band.high] = room[-1]
            band.high += 1
            np.minimum(alive[1:], room[:-1], out=alive[1:])
            np.minimum(alive[0], new, out=alive[0])

    def _replace(self, planes: NDArray[np.uint8], old: NDArray[np.uint8], new: NDArray[np.uint8]) -> None:
        """Put ``new`` (rows, W) into sorted planes in place of ``old``, which is one of them at each pixel."""
        if len(planes) == 1:
            planes[0] = new
            return
        # Without `old`: plane i where it is below `old`, else plane i + 1. As the planes are sorted and hold `old`,
        # one of min(plane i, old) and max(plane i + 1, old) is `old` itself, and xor leaves the other.
        kept, higher = self._scratch[:, : len(planes) - 1, : new.shape[0]]
        np.minimum(planes[:-1], old, out=kept)
        np.maximum(planes[1:], old, out=higher)
        kept ^= higher
        kept ^= old
        # With `new`: plane i is `new` pushed between the planes i - 1 and i that are left.
        np.minimum(kept, new, out=planes[:-1])
        planes[-1] = new
        np.maximum(planes[1:], kept, out=planes[1:])


def _ordered(part: NDArray[np.uint8], places: NDArray[np.int64], axis: int) -> NDArray[np.uint8]:
    """Return ``part`` with its rows or columns in the order of the memory that they go to."""
    return np.take(part, np.argsort(places), axis=axis)
