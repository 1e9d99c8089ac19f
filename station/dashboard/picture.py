"""A grey picture in a terminal: two pixels a cell as half blocks, or one sign a cell where there is no colour."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.style import Style
from rich.text import Span, Text

from station.dashboard.text import Glyphs

RAMP = " .:-=+*#%@"
LEVELS = 24
"""Greys that are told apart: as many as terminals of 256 colours have."""
DARK_PERCENT, BRIGHT_PERCENT = 1, 99
"""What lies outside is black or white: the contrast of a bright field is low."""


def picture_lines(pixels: NDArray[np.uint8], rows: int, glyphs: Glyphs, *, colour: bool) -> list[Text]:
    """Return a square picture (S, S) in ``rows`` lines of twice as many cells."""
    grey = _stretched(_shrunk(pixels, 2 * rows))
    if not colour or glyphs.ascii_only:
        cells = (grey[0::2].astype(np.uint16) + grey[1::2]) // 2
        return [Text("".join(RAMP[value * len(RAMP) // 256] for value in row)) for row in cells]
    levels = (grey.astype(np.uint16) * (LEVELS - 1) + 127) // 255
    rows_of_two = zip(levels[0::2].tolist(), levels[1::2].tolist(), strict=True)
    return [_half_blocks(upper, lower) for upper, lower in rows_of_two]


def _half_blocks(upper: list[int], lower: list[int]) -> Text:
    """Return one line of two rows of pixels; neighbours of the same greys share a span, for each costs time."""
    spans: list[Span] = []
    start = 0
    for end in range(1, len(upper) + 1):
        if end == len(upper) or (upper[end], lower[end]) != (upper[start], lower[start]):
            spans.append(Span(start, end, _style(upper[start], lower[start])))
            start = end
    return Text("\N{UPPER HALF BLOCK}" * len(upper), spans=spans)


@cache
def _style(top: int, bottom: int) -> Style:
    upper, lower = (round(level * 255 / (LEVELS - 1)) for level in (top, bottom))
    return Style(color=Color.from_rgb(upper, upper, upper), bgcolor=Color.from_rgb(lower, lower, lower))


def _shrunk(pixels: NDArray[np.uint8], size: int) -> NDArray[np.float64]:
    """Return the picture (size, size), each pixel the mean of those that it stands for."""
    starts = np.arange(size) * pixels.shape[0] // size
    counts = np.diff(np.append(starts, pixels.shape[0]))
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(np.float64), starts, axis=0), starts, axis=1)
    shrunk: NDArray[np.float64] = sums / counts[:, None] / counts[None, :]
    return shrunk


def _stretched(pixels: NDArray[np.float64]) -> NDArray[np.uint8]:
    dark, bright = np.percentile(pixels, (DARK_PERCENT, BRIGHT_PERCENT))
    stretched: NDArray[np.uint8] = np.clip(255 * (pixels - dark) / max(bright - dark, 8.0), 0, 255).astype(np.uint8)
    return stretched
