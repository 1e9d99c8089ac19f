"""A contact sheet of segments that failed, so that a person can see why: one row each, the hand-made centre in the
middle, the track as a cross, other hand-made centres as small rings. It judges nothing.
"""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.support.tracking.clips import Shown
from bench.support.tracking.score import Answers, Failure, Tracks
from station.errors import InputError

HALF_PX, ZOOM = 40, 3
BEFORE = (-12, -8, -4, 0, 4, 8, 14, 24, 40)
"""Frames that are shown, from the first that went wrong."""
RIGHT, OTHER, TRACK, TEXT = (80, 220, 80), (80, 80, 255), (255, 200, 0), (0, 230, 230)
"""Colours, BGR. The marks differ in shape too."""


def contact_sheet(path: Path, frames: Iterable[Shown], tracks: Tracks, answers: Answers, failed: list[Failure]) -> None:
    """Write a picture of all ``failed`` segments. Raises InputError where it cannot be written."""
    wanted: dict[int, list[tuple[int, int]]] = {}
    for row, one in enumerate(failed):
        for column, offset in enumerate(BEFORE):
            if one.frame + offset in one.segment.frames:
                wanted.setdefault(one.frame + offset, []).append((row, column))
    edge = 2 * HALF_PX * ZOOM
    sheet = np.zeros((max(1, len(failed)) * edge, len(BEFORE) * edge, 3), np.uint8)
    for number, (pixels, _) in enumerate(frames):
        for row, column in wanted.get(number, ()):
            tile = _tile(pixels, number, failed[row], tracks, answers)
            sheet[row * edge : (row + 1) * edge, column * edge : (column + 1) * edge] = tile
    if not path.parent.is_dir() or not cv2.imwrite(str(path), sheet):
        raise InputError(f"--sheet {path}: cannot be written; give a .png or .jpg file in a folder that exists")


def _tile(
    pixels: NDArray[np.uint8], number: int, failed: Failure, tracks: Tracks, answers: Answers
) -> NDArray[np.uint8]:
    """Return one frame of one segment (e, e, 3), BGR."""
    x, y = tracks[failed.segment.sperm][number]
    left, top = round(x) - HALF_PX, round(y) - HALF_PX
    wide = cv2.copyMakeBorder(pixels, HALF_PX, HALF_PX, HALF_PX, HALF_PX, cv2.BORDER_REPLICATE)
    upper, before = max(0, top + HALF_PX), max(0, left + HALF_PX)
    area = wide[upper : upper + 2 * HALF_PX, before : before + 2 * HALF_PX]
    large = cv2.resize(area, (2 * HALF_PX * ZOOM, 2 * HALF_PX * ZOOM), interpolation=cv2.INTER_CUBIC)
    tile = cv2.cvtColor(large, cv2.COLOR_GRAY2BGR)

    def at(u: float, v: float) -> tuple[int, int]:
        return round((u - left) * ZOOM), round((v - top) * ZOOM)

    for sperm, places in tracks.items():
        if number in places and sperm != failed.segment.sperm:
            cv2.circle(tile, at(*places[number]), 6, OTHER, 1)
    cv2.circle(tile, at(x, y), 12, RIGHT, 1)
    u, v, state = answers.get(failed.segment.name, {}).get(number, (np.nan, np.nan, "none"))
    if np.isfinite(u):
        cv2.drawMarker(tile, at(u, v), TRACK, cv2.MARKER_CROSS, 18, 1)
    cv2.putText(tile, f"{failed.segment.name} {number} {state}", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, TEXT, 1)
    return np.asarray(tile, np.uint8)
