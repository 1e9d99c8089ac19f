"""The still head that a point means though something else moves there.

In the frame of selection the two may lie one over the other, but the background shows what lies still by itself, in
its place and with its own looks. A head that was pointed at and stays outweighs one that moves away: where the point is
clearly nearer to the still one, that is what was meant. This module looks at one frame; what becomes of the head is not
its business.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from tracker.matching.lazy_image import Floats, cut
from tracker.matching.local_energy import energy_peaks
from tracker.matching.matcher import Matcher
from tracker.matching.prepared_frame import PreparedFrame


@dataclass(frozen=True, slots=True)
class StillHead:
    """A head that lies still where something moves."""

    x: float
    y: float
    looks: Floats
    """(t, t) appearance with nothing over it."""


def still_head(
    prepared: PreparedFrame, matcher: Matcher, point: tuple[float, float], template_px: int
) -> StillHead | None:
    """Return the still head that is nearer to ``point`` (x, y) than what moves beside it; None where there is none."""
    params, size = prepared.params.pointed, prepared.head_px
    if prepared.watched_s < prepared.params.detection.watch_s:
        return None  # the background still has every head where it was at first
    least = prepared.params.home.disturb_floors * prepared.floor
    moving = energy_peaks(prepared, *point, prepared.params.crossing.close_heads * size, least)
    if not moving:
        return None
    x, y = round(point[0]), round(point[1])
    reach = round(params.area_heads * size)
    pixels = cut(prepared.pixels, x, y, reach).astype(np.float32)
    appearance = matcher.crops(prepared, np.array([[x, y]], np.float64), 2 * reach + 1)[0]
    # The appearance is the frame less a share of the background: what it has less is the background, but for a level.
    share = prepared.params.matching.background_share
    background = (pixels - appearance) / share
    sigma = size / prepared.params.detection.head_per_scale
    still, seen = (cv2.GaussianBlur(np.abs(one - np.median(one)), (0, 0), sigma) for one in (background, pixels))
    steps = np.arange(-reach, reach + 1, dtype=np.float32)
    near = np.exp(-0.5 * (steps / (prepared.params.detection.nearness_heads * size)) ** 2)
    row, column = divmod(int((still * near[:, None] * near[None, :]).argmax()), len(steps))
    if still[row, column] < params.still_contrast * seen[row, column]:
        return None
    dx, dy = column - reach, row - reach
    own = prepared.energy.cut(x + dx, y + dy, round(prepared.params.head.ghost_heads * size)).mean()
    if own > params.most_energy * still[row, column]:
        return None  # what is seen in its place is not what lies there
    if min(math.dist(point, one) for one in moving) - math.hypot(dx, dy) < params.margin_heads * size:
        return None
    looks = cut((1 - share) * background, column, row, template_px // 2)
    return StillHead(float(x + dx), float(y + dy), looks)
