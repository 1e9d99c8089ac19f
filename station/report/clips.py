"""A window as a small animated picture inside the page: WebP, in a data address, at the pace at which it was seen."""

import base64
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from station.archive.windows import CutWindow
from station.clock import NS_PER_MS

QUALITY: Final = 80
LONGEST_MS, SHORTEST_MS = 500, 20
DIMMED: Final = 0.4


def animation(window: CutWindow) -> str:
    """Return the window as an animated WebP in a data address."""
    return _animated(window.pixels, window.t_source_ns)


def still(window: CutWindow) -> str:
    """Return its newest picture alone, for those who want no motion."""
    return _picture(window.pixels[-1])


def patches_animation(window: CutWindow, patches: list[list[int]], grid: int) -> str:
    """Return the window with the patches that the network selected as they are and everything else dimmed."""
    return _animated(_dimmed(window.pixels, patches, grid), window.t_source_ns)


def patches_still(window: CutWindow, patches: list[list[int]], grid: int) -> str:
    """Return the newest picture of the same."""
    return _picture(_dimmed(window.pixels, patches, grid)[-1])


def _dimmed(pixels: NDArray[np.uint8], patches: list[list[int]], grid: int) -> NDArray[np.uint8]:
    """Return (T, S, S): all but the patches dimmed; ``grid`` patches along an edge, numbered row by row."""
    frames, size = pixels.shape[:2]
    edges = [round(place * size / grid) for place in range(grid + 1)]
    shown = (pixels * DIMMED).astype(np.uint8)
    for frame, selected in zip(range(frames), patches, strict=False):
        for patch in selected:
            row, column = divmod(patch, grid)
            if row < grid:
                there = slice(edges[row], edges[row + 1]), slice(edges[column], edges[column + 1])
                shown[frame][there] = pixels[frame][there]
    return shown


def _animated(pixels: NDArray[np.uint8], t_source_ns: tuple[int, ...]) -> str:
    steps = [(b - a) / NS_PER_MS for a, b in pairwise(t_source_ns)]
    durations = [min(LONGEST_MS, max(SHORTEST_MS, round(step))) for step in steps]
    film = cv2.Animation()
    film.frames = [cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR) for frame in pixels]
    film.durations = [*durations, LONGEST_MS]
    film.loop_count = 0
    done, content = cv2.imencodeanimation(".webp", film, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not done:
        raise RuntimeError("OpenCV could not write an animated WebP")
    return _address(content.tobytes())


def _picture(pixels: NDArray[np.uint8]) -> str:
    done, content = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not done:
        raise RuntimeError("OpenCV could not write a WebP")
    return _address(content.tobytes())


def _address(content: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(content).decode('ascii')}"
