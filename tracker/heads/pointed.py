"""The still head that a point means though something else moves there.

In the frame of selection the two may lie one over the other, but the background shows what lies still by itself, in
its place and with its own looks. A head that was pointed at and stays outweighs one that moves away: where the point is
clearly nearer to the still one, and the frame shows it there, that is what was meant. Where the frame shows it in part,
it may be hidden by what moves, or be a trace which that has left in the background: which, is seen once the two have
parted (``tracker.heads.resting``). This module looks at one frame.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.heads.home import core
from tracker.matching.lazy_image import Floats, cut
from tracker.matching.local_energy import energy_peaks
from tracker.matching.prepared_frame import PreparedFrame


@dataclass(frozen=True, slots=True)
class StillHead:
    """A head that lies still where something moves."""

    x: float
    y: float
    looks: Floats
    """(t, t) appearance with nothing over it."""
    seen: bool
    """The frame shows it, so that it is what was meant; else it is only supposed."""


def still_head(prepared: PreparedFrame, point: tuple[float, float], template_px: int) -> StillHead | None:
    """Return the still head that ``point`` (x, y) means, or may mean, though something moves there; else None."""
    params, size = prepared.params.pointed, prepared.head_px
    if prepared.watched_s < prepared.params.detection.watch_s:
        return None  # the background still has every head where it was at first
    least = prepared.params.home.disturb_floors * prepared.floor
    moving = energy_peaks(prepared, *point, prepared.params.crossing.close_heads * size, least)
    if not moving:
        return None
    x, y = round(point[0]), round(point[1])
    reach = round(params.area_heads * size)
    pixels, background = (cut(one, x, y, reach).astype(np.float32) for one in (prepared.pixels, prepared.still))
    sigma = size / prepared.params.detection.head_per_scale
    still, seen = (cv2.GaussianBlur(np.abs(one - np.median(one)), (0, 0), sigma) for one in (background, pixels))
    steps = np.arange(-reach, reach + 1, dtype=np.float32)
    near = np.exp(-0.5 * (steps / (prepared.params.detection.nearness_heads * size)) ** 2)
    row, column = divmod(int((still * near[:, None] * near[None, :]).argmax()), len(steps))
    dx, dy = column - reach, row - reach
    there, frame_there = float(still[row, column]), float(seen[row, column])
    nearer = (min(math.dist(point, one) for one in moving) - math.hypot(dx, dy)) / size
    alone = cut(background, column, row, template_px // 2)
    moved = float(prepared.energy.cut(x + dx, y + dy, round(prepared.params.head.ghost_heads * size)).mean())
    likeness, contrast = _compared(core(alone, prepared), pixels, row, column, prepared)
    agrees = there >= params.still_contrast * frame_there and (
        moved <= params.most_energy * there or likeness >= params.least_ncc
    )
    if nearer < (params.margin_heads if agrees else -params.margin_heads):
        return None
    if not agrees and (likeness < params.hidden_ncc or contrast > params.hidden_contrast):
        return None  # what is seen in its place has nothing of it
    # The appearance is the frame less a share of the background.
    looks = (1 - prepared.params.matching.background_share) * alone
    return StillHead(float(x + dx), float(y + dy), looks, agrees)


def _compared(alone: Floats, pixels: Floats, row: int, column: int, prepared: PreparedFrame) -> tuple[float, float]:
    """Return how well looks (t, t) correlate with an area of the frame near a place, and its contrast beside theirs."""
    reach = alone.shape[0] // 2
    radius = max(1, round(prepared.params.home.hold_heads * prepared.head_px))
    around = cut(pixels, column, row, reach + radius)
    likeness = float(cv2.matchTemplate(around, alone, cv2.TM_CCOEFF_NORMED).max())
    return likeness, float(cut(pixels, column, row, reach).std()) / max(float(alone.std()), 1e-6)
