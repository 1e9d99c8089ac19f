"""A grey picture in a terminal: two pixels a cell as half blocks, or one sign a cell where there is no colour."""

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.style import Style
from rich.text import Text

from station.dashboard.text import Glyphs

RAMP = " .:-=+*#%@"
DARK_PERCENT, BRIGHT_PERCENT = 1, 99
"""What lies outside is black or white: the contrast of a bright field is low."""


def picture_lines(pixels: NDArray[np.uint8], rows: int, glyphs: Glyphs, *, colour: bool) -> list[Text]:
    """Return a square picture (S, S) in ``rows`` lines of twice as many cells."""
    grey = _stretched(_shrunk(pixels, 2 * rows))
    if not colour or glyphs.ascii_only:
        cells = (grey[0::2].astype(np.uint16) + grey[1::2]) // 2
        return [Text("".join(RAMP[value * len(RAMP) // 256] for value in row)) for row in cells]
    lines = []
    for upper, lower in zip(grey[0::2].tolist(), grey[1::2].tolist(), strict=True):
        line = Text()
        for top, bottom in zip(upper, lower, strict=True):
            style = Style(color=Color.from_rgb(top, top, top), bgcolor=Color.from_rgb(bottom, bottom, bottom))
            line.append("\N{UPPER HALF BLOCK}", style)
        lines.append(line)
    return lines


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
