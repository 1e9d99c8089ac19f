"""The selected sperm and their neighbours, followed from frame to frame.

``update`` is the algorithm. This module knows the field of one frame and the heads it follows; it knows neither frame
numbers nor windows.
"""

import math

import numpy as np

from tracker.heads.crossings import CLOSE, PEAKS, Crossings, deal, groups
from tracker.heads.head import LEFT, Head
from tracker.heads.neighbours import ON_ONE_HEAD, apart, newcomers, part_doubles, without_stale
from tracker.heads.reacquisition import seek
from tracker.heads.state import support
from tracker.matching.local_energy import local_energy, spread
from tracker.matching.matcher import Matcher, peaks, scores
from tracker.matching.prepared_frame import FieldFrame

TEMPLATE, REACH = 1.1, 0.57
"""Edge of a template and search radius, in head sizes, the radius at the reference frame rate."""
SIGMA = 0.24
"""Uncertainty of a prediction, in head sizes at the reference frame rate."""
OUTSIDE = 0.5
"""A head whose centre is farther outside the frame (in head sizes) has left it."""
STILL = 0.3
"""A head that stays within this (in head sizes) is still."""
LOST_AFTER_S = 0.5
"""So long without support and a head is lost."""
LOOK_S = 0.05
"""New neighbours are looked for so often."""


class Following:
    """Follows heads through a field."""

    def __init__(self, matcher: Matcher) -> None:
        """Nothing is followed yet."""
        self._matcher = matcher
        self._crossings = Crossings()
        self._keys = 0
        self._since_look_s = 0.0
        self.heads: list[Head] = []

    def start(self, field: FieldFrame, x: float, y: float, sperm_id: int) -> Head:
        """Begin to follow the head at (x, y) of this very frame."""
        self._keys += 1
        crop = self._matcher.crops(field, np.array([[x, y]]), template_px(field))[0]
        local = local_energy(field, x, y)
        same = [h for h in self.heads if not h.lost and math.hypot(h.x - x, h.y - y) < ON_ONE_HEAD * field.head_px]
        head = Head(self._keys, sperm_id, x, y, crop, local, anchor=(x, y))
        head.history.append((0.0, x, y))
        head.energy = head.energy_long = local
        if sperm_id:
            # Two tracks of one head would drive each other off it: a neighbour's gives way, a selected one's stays.
            self.heads = [h for h in self.heads if h.sperm_id or h not in same]
            head.lost = next((f"already followed as {h.sperm_id}" for h in same if h.sperm_id), "")
        if field.blank:
            head.lost = field.disturbance
        self.heads.append(head)
        return head

    def update(self, field: FieldFrame) -> None:
        """Follow every head into this frame."""
        self._carry(field)
        if field.interval_s > LOST_AFTER_S:
            self._lose_sight()
        heads = [h for h in self.heads if not h.lost]
        if heads and not field.blank:
            self._follow(heads, field)
            self.heads = without_stale(part_doubles(self.heads, field), field)
            self._look_for_neighbours(field)
        self._lose(field)
        self._find_again(field)

    def _follow(self, heads: list[Head], field: FieldFrame) -> None:
        """Find each head in its search area, deal the peaks out where heads are close, learn from what was found."""
        expected = [head.predicted(field.interval_s) for head in heads]
        predicted = np.array(expected)
        centres = np.rint(predicted).astype(np.int64)
        templates = np.stack([head.template for head in heads])
        ncc, energy = self._matcher.maps(field, centres, templates, round(REACH * field.slack * field.head_px))
        references = np.array([max(head.energy_reference, field.floor) for head in heads])
        sigma = np.full(len(heads), SIGMA * field.head_px * field.slack)
        score = scores(ncc, energy, references, predicted - centres, sigma)

        close = groups(expected, CLOSE * field.head_px)
        crowded = {k for group in close for k in group}
        options = [
            [
                (float(centres[k, 0] + p.dx), float(centres[k, 1] + p.dy), p)
                for p in peaks(score[k], ncc[k], energy[k], PEAKS if k in crowded else 1)
            ]
            for k in range(len(heads))
        ]
        taken = [0] * len(heads)
        for group in close:
            for k, pick in zip(group, deal([options[k] for k in group], field.head_px), strict=True):
                taken[k] = pick
        for k, head in enumerate(heads):
            x, y, peak = options[k][taken[k]]
            head.move(x, y, peak, local_energy(field, x, y), field.interval_s)

        crops = self._matcher.crops(field, np.array([(h.x, h.y) for h in heads]), template_px(field))
        self._crossings.settle(heads, crops, field.head_px)
        for head, crop in zip(heads, crops, strict=True):
            head.learn(crop, field.interval_s)
            head.rest(STILL * field.head_px, field.interval_s)
            if head.sperm_id:
                head.note_spread(spread(field, head.x, head.y), field.interval_s)

    def _lose_sight(self) -> None:
        """So long without a frame is as long without support: whoever is at the expected place may be anybody."""
        self.heads = [h for h in self.heads if h.sperm_id]
        for head in self.heads:
            if not head.lost:
                head.lost, head.unsupported_s, head.doubled_s = "frames missing", 0.0, 0.0

    def _lose(self, field: FieldFrame) -> None:
        """Say of each selected head whether it is lost: another field, out of sight, or too long without support."""
        height, width = field.pixels.shape
        for head in self.selected():
            if head.lost:
                head.unsupported_s += field.interval_s
                continue
            against = field.disturbance if field.blank else support(head, field)
            head.unsupported_s = head.unsupported_s + field.interval_s if against else 0.0
            if not against:
                head.keepsake = (head.template, head.energy_reference)
            if field.replaced:
                head.lost = field.disturbance
            elif min(head.x, head.y, width - 1 - head.x, height - 1 - head.y) < -OUTSIDE * field.head_px:
                head.lost = LEFT
            elif head.unsupported_s > LOST_AFTER_S:
                head.lost = against
            if head.lost:
                # In another field there is nowhere to seek it.
                head.unsupported_s = math.inf if field.replaced else 0.0
                head.doubled_s = 0.0

    def _look_for_neighbours(self, field: FieldFrame) -> None:
        """Take up heads that have come near a selected one, every now and then."""
        self._since_look_s += field.interval_s
        if self._since_look_s >= LOOK_S:
            self._since_look_s = 0.0
            for x, y in newcomers(self.heads, field):
                self.start(field, x, y, 0)

    def _find_again(self, field: FieldFrame) -> None:
        """Follow lost heads again that are clearly to be seen."""
        for head in [h for h in self.heads if h.lost]:
            place = seek(head, self.heads, field, self._matcher)
            if place is not None:
                self.heads.remove(head)
                again = self.start(field, *place, head.sperm_id)
                near = [h for h in self.heads if not h.sperm_id and apart(h, again) < 0.5 * field.head_px]
                self.heads = [h for h in self.heads if h not in near]

    def selected(self) -> list[Head]:
        """Return the selected sperm in the order of their numbers."""
        return sorted((h for h in self.heads if h.sperm_id), key=lambda h: h.sperm_id)

    def release(self, sperm_id: int) -> None:
        """Follow this sperm no longer."""
        self.heads = [h for h in self.heads if h.sperm_id != sperm_id]

    def _carry(self, field: FieldFrame) -> None:
        """Move along with the stage; forget what a new background makes worthless."""
        if field.shift != (0.0, 0.0):
            for head in self.heads:
                head.carry(field.shift)
            self._crossings.carry(field.shift)
        if field.restarted:
            for head in self.heads:
                head.forget_energy()
        if field.replaced:
            self.heads = [h for h in self.heads if h.sperm_id]


def template_px(field: FieldFrame) -> int:
    """Return the edge of a template, odd."""
    return round(TEMPLATE * field.head_px) | 1
