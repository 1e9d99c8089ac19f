"""Other heads near a selected one: which are followed too, so that they are not mistaken for it.

This module decides whom to follow; it follows nobody.
"""

import math

from tracker.heads.head import Head
from tracker.matching.local_energy import energy_peaks
from tracker.matching.prepared_frame import FieldFrame

NEAR, FAR, DROP = 0.8, 2.9, 3.5
"""Heads between NEAR and FAR of a selected one (in head sizes) are followed too, until they are beyond DROP."""
LEAST_ENERGY = 0.35
"""A neighbour has at least this share of the selected head's energy."""
ON_ONE_HEAD, UNCLAIMED = 0.25, 1.6
"""Two tracks so near (in head sizes) are on one head; a head that nobody claims is looked for so far around."""
ON_ONE_HEAD_S = (0.06, 0.3)
"""Two tracks are on one head for so long before a free head is looked for, and before one of them is dropped."""


def apart(one: Head, other: Head) -> float:
    """Return the distance of two heads in px."""
    return math.hypot(one.x - other.x, one.y - other.y)


def followed(heads: list[Head]) -> list[Head]:
    """Return the selected heads that are not lost."""
    return [h for h in heads if h.sperm_id and not h.lost]


def part_doubles(heads: list[Head], field: FieldFrame) -> list[Head]:
    """Where two tracks have come to lie on one head, send one of them to a head nearby that nobody claims.

    Whose head that is, the crossing's own test decides once they are apart. Where there is none, a neighbour's track is
    dropped after a while; two selected ones stay, and are unsure. Return the heads to go on with.
    """
    size = field.head_px
    for one in followed(heads):
        double = [h for h in heads if h is not one and not h.lost and apart(h, one) < ON_ONE_HEAD * size]
        one.doubled_s = one.doubled_s + field.interval_s if double else 0.0
        if one.doubled_s < ON_ONE_HEAD_S[0]:
            continue
        free = [
            (x, y)
            for x, y in energy_peaks(field, one.x, one.y, UNCLAIMED * size, _least(one, field))
            if all(math.hypot(x - h.x, y - h.y) > 0.5 * size for h in heads if not h.lost)
        ]
        if free:
            double[0].x, double[0].y = free[0]
            double[0].displaced = True
        elif one.doubled_s >= ON_ONE_HEAD_S[1] and not all(h.sperm_id for h in double):
            heads = [h for h in heads if h.sperm_id or h not in double]
            one.doubled_s = 0.0
    return heads


def without_stale(heads: list[Head], field: FieldFrame) -> list[Head]:
    """Return the heads less the neighbours that are far from every selected one, faded, outside, or on another."""
    size = field.head_px
    height, width = field.pixels.shape
    selected = followed(heads)
    kept: list[Head] = []
    for head in heads:
        if not head.sperm_id:
            inside = 0 <= head.x < width and 0 <= head.y < height
            near = any(apart(head, one) < DROP * size for one in selected)
            double = any(apart(head, one) < ON_ONE_HEAD * size for one in kept if not one.sperm_id)
            if not (inside and near) or double or head.energy < 0.5 * field.floor:
                continue
        kept.append(head)
    return kept


def newcomers(heads: list[Head], field: FieldFrame) -> list[tuple[float, float]]:
    """Return where heads have come near a selected one that are not followed yet."""
    size = field.head_px
    found: list[tuple[float, float]] = []
    for one in followed(heads):
        for x, y in energy_peaks(field, one.x, one.y, FAR * size, _least(one, field)):
            taken = [(h.x, h.y) for h in heads if not h.lost] + found
            if all(math.hypot(x - u, y - v) > NEAR * size for u, v in taken):
                found.append((x, y))
    return found


def _least(one: Head, field: FieldFrame) -> float:
    return max(field.floor, LEAST_ENERGY * one.energy_reference)
