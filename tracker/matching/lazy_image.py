"""Images as the tracker looks at them: squares round a place, and images made only where they are looked at."""

from collections.abc import Callable
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Level = TypeVar("Level", np.float32, np.uint8)
Make = Callable[[int, int, int, int], Floats]
"""Returns the rows from ``top`` to below ``bottom`` and the columns from ``left`` to below ``right`` of an image."""
TILE_PX = 32
"""Edge of a tile: small beside a head's surroundings. Neighbouring tiles are made in one go."""


def cut(image: NDArray[Level], x: int, y: int, reach: int) -> NDArray[Level]:
    """Return the square of edge 2 reach + 1 round the pixel (x, y); beyond the edge the edge's pixels repeat."""
    height, width = image.shape
    left, top, right, bottom = x - reach, y - reach, x + reach + 1, y + reach + 1
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return image[top:bottom, left:right]
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    return image[np.ix_(rows, columns)]


class LazyImage:
    """An image (H, W) float32 that is made tile by tile, when somebody looks.

    A few heads are a few hundredths of a large field. However much of it is made at a time, a pixel has the same value:
    the order of looking does not change a bit.
    """

    def __init__(self, memory: Floats, make: Make, *, whole: bool = False) -> None:
        """``memory`` (H, W) is where it is made: fresh memory for every frame would cost as much as a tracker's work.

        ``make`` is called until the last look, so what it reads has to stay as it is for so long. ``whole``: the image
        is a single tile.
        """
        self.shape: tuple[int, int] = (memory.shape[0], memory.shape[1])
        self._make = make
        self._image = memory
        self._tile_px = max(*memory.shape, 1) if whole else TILE_PX
        rows, columns = (-(-edge // self._tile_px) for edge in self.shape)
        self._missing = np.ones((rows, columns), np.bool_)

    @classmethod
    def of(cls, image: Floats) -> Self:
        """Return an image that exists already."""
        lazy = cls(image, lambda *_edges: image)
        lazy._missing[:] = False
        return lazy

    def area(self, top: int, bottom: int, left: int, right: int) -> Floats:
        """Return rows and columns as Make has them; all have to lie inside the image."""
        edge = self._tile_px
        row, column = top // edge, left // edge
        missing = self._missing[row : (bottom - 1) // edge + 1, column : (right - 1) // edge + 1]
        if missing.any():
            rows, columns = np.flatnonzero(missing.any(axis=1)), np.flatnonzero(missing.any(axis=0))
            self._fill(
                (row + int(rows[0])) * edge,
                (row + int(rows[-1]) + 1) * edge,
                (column + int(columns[0])) * edge,
                (column + int(columns[-1]) + 1) * edge,
            )
            missing[:] = False
        return self._image[top:bottom, left:right]

    def _fill(self, top: int, bottom: int, left: int, right: int) -> None:
        bottom, right = min(bottom, self.shape[0]), min(right, self.shape[1])
        self._image[top:bottom, left:right] = self._make(top, bottom, left, right)

    def cut(self, x: int, y: int, reach: int) -> Floats:
        """Return what ``cut`` returns of the whole image."""
        height, width = self.shape
        left, top, right, bottom = x - reach, y - reach, x + reach + 1, y + reach + 1
        if left >= 0 and top >= 0 and right <= width and bottom <= height:
            return self.area(top, bottom, left, right)
        top, last_row = (min(max(edge, 0), height - 1) for edge in (top, bottom - 1))
        left, last_column = (min(max(edge, 0), width - 1) for edge in (left, right - 1))
        self.area(top, last_row + 1, left, last_column + 1)
        return cut(self._image, x, y, reach)

    def whole(self) -> Floats:
        """Return all of it (H, W)."""
        return self.area(0, self.shape[0], 0, self.shape[1])
