"""A look over the whole field for heads to select by rule, and at their size, spread over the frames that come.

In one go it would hold the tracker up for as long as many frames take. So one frame is kept, with its background, and
looked over piece by piece: so many pieces a frame, by the source's own time, that the same frames give the same
selection at any speed and in a replay. What was found is then looked for anew where it is now, for it has swum on. This
module finds; whom to follow is for others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from tracker.matching.detection import (
    Candidate,
    Pieces,
    best,
    contrast_of,
    is_like_a_head,
    leading,
    seek_candidates,
    seek_head_size,
    surround,
)
from tracker.matching.lazy_image import Floats
from tracker.matching.matcher import OpenCvMatcher
from tracker.matching.prepared_frame import PreparedFrame

USED_S: Final = 0.009
"""So much of the time between two frames is left to what is done with each of them,"""
PIECE_S: Final = 0.0025
"""and of the rest so much to each piece, which takes half of that where frames are large."""
KEEPING: Final = 2
"""Pieces that keeping a frame takes as long as."""
PACE_HEADS_S: Final = 25.0
"""Heads are looked for as far off as they swim, in head sizes a second,"""
REACH_HEADS: Final = (1.0, 3.0)
"""and at least and at most so far."""
JUDGED: Final = 15
"""Candidates of which it is judged in one piece whether they are like a head."""
AS_BEFORE: Final = 0.8
"""It stands out by this share at least of what a candidate had to: noise alone makes that a little more or less."""
MOST_UNLIKE: Final = 1.0
"""How unlike it may be: as far off as it may be at all, or half as far and half as bright."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a survey has come to."""

    promising: list[Candidate]
    """What may be selected, as it was in the frame that was looked over, the best first."""
    head_px: float | None
    """Size of a head where that was unknown and could be measured."""


def share_of(now: PreparedFrame) -> int:
    """Return how many pieces are done in the time of a frame."""
    return max(1, round((now.interval_s - USED_S) / PIECE_S))


class Survey:
    """Of one frame."""

    def __init__(self, prepared: PreparedFrame, *, scaled: bool, wanted: int) -> None:
        """Keep the frame. Unless it is ``scaled``, the head size is measured, by as many heads as are ``wanted``."""
        pixels, still = prepared.pixels.copy(), prepared.still.copy()
        sigma_px = prepared.head_px * prepared.params.background.sigma_heads
        energy, planes = OpenCvMatcher(prepared.params.matching).prepare(pixels, still, prepared.deadband, sigma_px)
        self._frame = replace(prepared, pixels=pixels, still=still, energy=energy, planes=planes)
        self._around: Floats = np.empty((0, 0), np.float32)
        self._least = 0.0
        """The least that a candidate of that frame stood out by."""
        self._moved = np.zeros(2)
        self._age_s = 0.0
        self._pieces = self._look(scaled, wanted)
        self.finding: Finding | None = None
        """Once nothing is left to do."""

    def look_on(self, pieces: int) -> int:
        """Do so many pieces at most; return how many it need not have been."""
        for left in range(pieces, 0, -1):
            try:
                next(self._pieces)
            except StopIteration as end:
                self.finding = end.value
                return left
        return 0

    @property
    def is_past(self) -> bool:
        """True once another frame has come than the one that was kept."""
        return self._age_s > 0

    def pass_by(self, now: PreparedFrame) -> None:
        """Take note that another frame has come."""
        self._age_s += now.interval_s
        self._moved += now.shift

    def _look(self, scaled: bool, wanted: int) -> Pieces[Finding]:
        frame, params = self._frame, self._frame.params.detection
        height, width = frame.pixels.shape
        self._around = surround(frame.pixels, frame.head_px, params)
        yield
        found = yield from seek_candidates(frame, self._around, parts=False)
        self._least = min((one.contrast + one.energy for one in found), default=0.0)
        if scaled:
            heads: set[Candidate] = set()
            for first in range(0, len(found), JUDGED):
                heads |= {one for one in found[first : first + JUDGED] if is_like_a_head(frame, one)}
                yield
            promising = best(found, len(found), frame.head_px, height, width, (), params, heads.__contains__)
            return Finding(promising, None)
        points = leading(found, frame.floor, frame.head_px) or [
            (one.x, one.y) for one in best(found, wanted, frame.head_px, height, width, params=params)
        ]
        yield
        return Finding([], (yield from seek_head_size(frame.pixels, points, params)) if points else None)

    def seen_now(self, one: Candidate, now: PreparedFrame, followed: Sequence[tuple[float, float]]) -> Candidate | None:
        """Return where a candidate has got to since: the one most like it near by; None: it is none to select.

        It must look like a head in the frame that was kept and in the present one.

        Args:
            one: Of the finding.
            now: The present frame.
            followed: Places (x, y) of heads that are not meant.
        """
        params, size = now.params.detection, now.head_px
        height, width = now.pixels.shape
        least, most = REACH_HEADS
        reach = math.ceil(min(most, max(least, PACE_HEADS_S * self._age_s)) * size)
        x, y = round(one.x + self._moved[0]), round(one.y + self._moved[1])
        top, bottom = max(0, y - reach), min(height, y + reach + 1)
        left, right = max(0, x - reach), min(width, x + reach + 1)
        if top >= bottom or left >= right:
            return None
        contrast = contrast_of(now.pixels, self._around, size / params.head_per_scale, (top, bottom, left, right))
        energy = now.energy.area(top, bottom, left, right)
        total = contrast + energy
        edge = 2 * round(params.apart_heads * size) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (edge, edge))
        highest = (total >= cv2.dilate(total, disc)) & (total >= AS_BEFORE * self._least)
        # On the edge of what was looked at, a slope looks like a summit.
        rim = edge // 2
        places = np.argwhere(highest[rim:-rim, rim:-rim]) + rim
        here = [
            Candidate(float(c + left), float(r + top), float(contrast[r, c]), float(energy[r, c]))
            for r, c in places.tolist()
        ]
        for same in sorted(here, key=lambda head: _unlike(head, one, math.hypot(head.x - x, head.y - y) / reach)):
            if _unlike(same, one, math.hypot(same.x - x, same.y - y) / reach) > MOST_UNLIKE:
                return None
            if best([same], 1, size, height, width, followed, params, lambda head: is_like_a_head(now, head)):
                return same
        return None


def _unlike(head: Candidate, before: Candidate, share_of_reach: float) -> float:
    """Return how unlike one seen before a head is: in place, and in how much it moves and stands out."""
    return share_of_reach + (abs(head.energy - before.energy) + abs(head.contrast - before.contrast)) / (
        before.energy + before.contrast
    )
