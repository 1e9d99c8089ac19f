"""What lies round a place in the field: the highest energy, its peaks, and how much is there beside the middle.

Measures, in head sizes. This module knows no followed heads.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.matching.lazy_image import Level, cut
from tracker.matching.prepared_frame import PreparedFrame


def local_energy(prepared: PreparedFrame, x: float, y: float) -> float:
    """Return the highest energy near a head at (x, y)."""
    return float(
        prepared.energy.cut(round(x), round(y), round(prepared.params.head.local_heads * prepared.head_px)).max()
    )


def spread(prepared: PreparedFrame, x: float, y: float) -> float:
    """Return how much there is in the square ring round a head at (x, y), beside the middle.

    That is energy, or, where the middle has none, the distance of the grey levels from the field's. A head alone has
    little round it; a place in a clump has as much as in the middle.
    """
    params = prepared.params.head
    inner, outer = (round(r * prepared.head_px) for r in params.ring_heads)
    core = round(params.core_heads * prepared.head_px)
    area = prepared.energy.cut(round(x), round(y), outer)
    heart = float(_middle(area, core).mean())
    if heart < 2 * prepared.floor:
        area = np.abs(cut(prepared.pixels, round(x), round(y), outer) - np.float32(prepared.level))
        heart = max(float(_middle(area, core).mean()), 1.0)
    middle = _middle(area, inner)
    around = (float(area.sum()) - float(middle.sum())) / (area.size - middle.size)
    return around / heart


def energy_peaks(
    prepared: PreparedFrame, x: float, y: float, reach_px: float, least: float
) -> list[tuple[float, float]]:
    """Return (x, y) of the local maxima of the energy above ``least`` within ``reach_px``, the highest few first."""
    height, width = prepared.energy.shape
    left, top = max(0, int(x - reach_px)), max(0, int(y - reach_px))
    bottom, right = min(height, int(y + reach_px) + 1), min(width, int(x + reach_px) + 1)
    if bottom <= top or right <= left:
        return []
    area = prepared.energy.area(top, bottom, left, right)
    edge = round(prepared.params.head.peak_apart_heads * prepared.head_px) * 2 + 1
    places = np.flatnonzero((area >= cv2.dilate(area, np.ones((edge, edge), np.uint8))) & (area > least))
    places = places[np.argsort(-area.ravel()[places], kind="stable")]
    found = [(float(c + left), float(r + top)) for r, c in (divmod(p, area.shape[1]) for p in places.tolist())]
    return [f for f in found if math.hypot(f[0] - x, f[1] - y) <= reach_px][: prepared.params.head.most_peaks]


def is_ghost(prepared: PreparedFrame, x: float, y: float) -> bool:
    """Return whether the energy at (x, y) is of something that has left: the background has it, the frame does not."""
    params = prepared.params.head
    reach = round(params.ghost_heads * prepared.head_px)
    energy = float(prepared.energy.cut(round(x), round(y), reach).mean())
    contrast = np.abs(cut(prepared.pixels, round(x), round(y), reach) - np.float32(prepared.level))
    return energy > 2 * prepared.floor and float(contrast.mean()) < params.ghost_contrast * energy


def _middle(area: NDArray[Level], reach: int) -> NDArray[Level]:
    """Return the middle of a square, of edge 2 reach + 1."""
    centre = len(area) // 2
    return area[centre - reach : centre + reach + 1, centre - reach : centre + reach + 1]
