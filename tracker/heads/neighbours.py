"""Other heads near a selected one: which are followed too, so that they are not mistaken for it.

This module decides whom to follow; it follows nobody.
"""

import math

from tracker.heads.head import Head
from tracker.matching.local_energy import energy_peaks
from tracker.matching.prepared_frame import PreparedFrame


def apart(one: Head, other: Head) -> float:
    """Return the distance of two heads in px."""
    return math.hypot(one.x - other.x, one.y - other.y)


def followed(heads: list[Head]) -> list[Head]:
    """Return the selected heads that are not lost."""
    return [h for h in heads if h.selected and h.followed]


def part_doubles(heads: list[Head], prepared: PreparedFrame) -> list[Head]:
    """Where two tracks have come to lie on one head, send one of them to a head nearby that no track claims.

    Whose head that is, the crossing's own test decides once they are apart. Where there is none, a neighbour's track is
    dropped after a while; two selected ones stay, and are unsure. Return the heads to go on with.
    """
    size, params = prepared.head_px, prepared.params.neighbour
    for one in followed(heads):
        double = [h for h in heads if h is not one and h.followed and apart(h, one) < params.on_one_heads * size]
        one.doubled_s = one.doubled_s + prepared.interval_s if double else 0.0
        if one.doubled_s < params.seek_free_s:
            continue
        free = [
            (x, y)
            for x, y in energy_peaks(prepared, one.x, one.y, params.unclaimed_heads * size, _least(one, prepared))
            if all(math.hypot(x - h.x, y - h.y) > params.free_heads * size for h in heads if h.followed)
        ]
        if free:
            double[0].x, double[0].y = free[0]
            double[0].displaced = True
        elif one.doubled_s >= params.drop_double_s and not all(h.selected for h in double):
            heads = [h for h in heads if h.selected or h not in double]
            one.doubled_s = 0.0
    return heads


def without_stale(heads: list[Head], prepared: PreparedFrame) -> list[Head]:
    """Return the heads less the neighbours that are far from every selected one, faded, outside, or on another."""
    size, params = prepared.head_px, prepared.params.neighbour
    height, width = prepared.pixels.shape
    selected = followed(heads)
    kept: list[Head] = []
    for head in heads:
        if not head.selected:
            inside = 0 <= head.x < width and 0 <= head.y < height
            near = any(apart(head, one) < params.drop_heads * size for one in selected)
            double = any(apart(head, one) < params.on_one_heads * size for one in kept if not one.selected)
            if not (inside and near) or double or head.energy < params.faded_floors * prepared.floor:
                continue
        kept.append(head)
    return kept


def newcomers(heads: list[Head], prepared: PreparedFrame, near_heads: float | None = None) -> list[tuple[float, float]]:
    """Return where heads have come near a selected one that are not followed yet; ``near_heads``: how near at most."""
    size, params = prepared.head_px, prepared.params.neighbour
    near_px = (params.near_heads if near_heads is None else near_heads) * size
    found: list[tuple[float, float]] = []
    for one in followed(heads):
        for x, y in energy_peaks(prepared, one.x, one.y, params.far_heads * size, _least(one, prepared)):
            taken = [(h.x, h.y) for h in heads if h.followed] + found
            if all(math.hypot(x - u, y - v) > near_px for u, v in taken):
                found.append((x, y))
    return found


def _least(one: Head, prepared: PreparedFrame) -> float:
    return max(prepared.floor, prepared.params.neighbour.least_energy * one.energy_reference)
