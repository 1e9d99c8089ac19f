"""Where a lost head may be found again: the same cell, or nobody.

Whatever is not clearly the same cell stays unclaimed: to follow it, it is selected anew and gets a new number. So does
one that comes in where another has left the frame: heads look alike, and where it was meanwhile nobody saw. This module
looks; taking the head up again is the caller's business.
"""

import math

import numpy as np

from tracker.heads.head import LEFT, Head
from tracker.heads.neighbours import followed
from tracker.matching.local_energy import energy_peaks
from tracker.matching.matcher import Matcher
from tracker.matching.prepared_frame import FieldFrame

SEEK_S = 3.0
REACH = (0.8, 4.0)
"""A lost head is sought for SEEK_S, within a reach (in head sizes) that grows with its speed up to the second value."""
LEAST_NCC, MARGIN = 0.75, 0.1
"""It is found where one head alone correlates better with its last looks, every other worse by the margin."""
AROUND = 0.3
"""A peak of the energy may be so far (in head sizes) from where the template fits."""
LEAST_ENERGY = 0.5
"""It has at least this share of the energy that it had."""


def seek(head: Head, heads: list[Head], field: FieldFrame, matcher: Matcher) -> tuple[float, float] | None:
    """Return where the lost ``head`` is again; None where it is not to be seen, or not sure."""
    if head.lost == LEFT or head.unsupported_s > SEEK_S or field.blank or head.keepsake is None:
        return None
    template, energy = head.keepsake
    size = field.head_px
    reach_px = min(REACH[1] * size, REACH[0] * size + math.hypot(head.vx, head.vy) * head.unsupported_s)
    places = [
        (x, y)
        for x, y in energy_peaks(field, head.x, head.y, reach_px, max(field.floor, LEAST_ENERGY * energy))
        if all(math.hypot(x - h.x, y - h.y) > 0.5 * size for h in followed(heads))
    ]
    if not places:
        return None
    centres = np.rint(np.array(places)).astype(np.int64)
    ncc, _ = matcher.maps(field, centres, np.stack([template] * len(places)), round(AROUND * size))
    fits = ncc.reshape(len(places), -1).max(axis=1)
    alike = np.flatnonzero(fits > LEAST_NCC)
    if len(alike) != 1 or np.any(np.delete(fits, alike) > LEAST_NCC - MARGIN):
        return None
    return places[int(alike[0])]
