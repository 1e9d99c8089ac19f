"""Where a lost head may be found again: the same cell, or none.

Whatever is not clearly the same cell stays unclaimed: to follow it, it is selected anew and gets a new number. So does
one that comes in where another has left the frame: heads look alike, and where it was meanwhile is unknown. This module
looks; taking the head up again is the caller's business.
"""

import math

import numpy as np

from tracker.heads.head import Head, LossReason
from tracker.heads.neighbours import followed
from tracker.matching.local_energy import energy_peaks
from tracker.matching.matcher import Matcher, peaks
from tracker.matching.prepared_frame import PreparedFrame


def seek(head: Head, heads: list[Head], prepared: PreparedFrame, matcher: Matcher) -> tuple[float, float] | None:
    """Return where the lost ``head`` is again; None where it is not to be seen, or not sure."""
    params, template = prepared.params.reacquisition, head.last_good_template
    if head.loss is None or head.loss.reason is LossReason.LEFT_FRAME or template is None:
        return None
    if head.unsupported_s > params.seek_s or prepared.blank:
        return None
    size = prepared.head_px
    reach_px = min(
        params.reach_heads[1] * size, params.reach_heads[0] * size + math.hypot(head.vx, head.vy) * head.unsupported_s
    )
    least = max(prepared.floor, params.least_energy * head.last_good_energy)
    places = [
        (x, y)
        for x, y in energy_peaks(prepared, head.x, head.y, reach_px, least)
        if all(math.hypot(x - h.x, y - h.y) > params.apart_heads * size for h in followed(heads))
    ]
    if not places:
        return None
    centres = np.rint(np.array(places)).astype(np.int64)
    ncc, _ = matcher.maps(prepared, centres, np.stack([template] * len(places)), round(params.around_heads * size))
    fits = ncc.reshape(len(places), -1).max(axis=1)
    alike = np.flatnonzero(fits > params.least_ncc)
    if len(alike) != 1 or np.any(np.delete(fits, alike) > params.least_ncc - params.margin_ncc):
        return None
    found = int(alike[0])
    peak = peaks(ncc[found], ncc[found], ncc[found], 1)[0]
    return float(centres[found, 0] + peak.dx), float(centres[found, 1] + peak.dy)
