"""The selected sperm and their neighbours, followed from frame to frame.

``update`` is the algorithm. This module knows the field of one frame and the heads it follows; it knows neither frame
numbers nor windows.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.crossings import CLOSE, PEAKS, Crossings, deal, groups
from tracker.frame import FieldFrame
from tracker.heads import Head
from tracker.matching import Matcher, cut, peaks, scores

TEMPLATE, REACH = 1.1, 0.57
"""Edge of a template and search radius, in head sizes, the radius at the reference frame rate."""
SIGMA = 0.24
"""Uncertainty of a prediction, in head sizes at the reference frame rate."""
LOCAL = 0.38
"""The energy reference looks this far (in head sizes) for the highest energy."""
NEAR, FAR, DROP = 0.8, 2.9, 3.5
"""Other heads between NEAR and FAR of a selected one (in head sizes) are followed too, until they are beyond DROP."""
NEIGHBOUR_ENERGY = 0.35
"""A neighbour has at least this share of the selected head's energy."""
MAX_NEIGHBOURS = 6
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
        head = Head(self._keys, sperm_id, x, y, crop, max(local, field.floor))
        head.history.append((0.0, x, y))
        head.energy = head.energy_long = local
        self.heads.append(head)
        return head

    def update(self, field: FieldFrame) -> None:
        """Follow every head into this frame."""
        if not self.heads:
            return
        self._carry(field.shift)
        predicted = np.array([head.predicted(field.interval_s) for head in self.heads])
        centres = np.rint(predicted).astype(np.int64)
        templates = np.stack([head.template for head in self.heads])
        ncc, energy = self._matcher.maps(field, centres, templates, round(REACH * field.slack * field.head_px))
        references = np.array([max(head.energy_reference, field.floor) for head in self.heads])
        sigma = np.full(len(self.heads), SIGMA * field.head_px * field.slack)
        score = scores(ncc, energy, references, predicted - centres, sigma)

        close = groups(predicted, CLOSE * field.head_px)
        crowded = {k for group in close for k in group}
        options = [
            [(centres[k, 0] + p.dx, centres[k, 1] + p.dy, p)
             for p in peaks(score[k], ncc[k], energy[k], PEAKS if k in crowded else 1)]
            for k in range(len(self.heads))
        ]
        taken = [0] * len(self.heads)
        for group in close:
            for k, pick in zip(group, deal([options[k] for k in group], field.head_px), strict=True):
                taken[k] = pick
        for k, head in enumerate(self.heads):
            x, y, peak = options[k][taken[k]]
            head.move(x, y, peak, local_energy(field, x, y), field.interval_s)
        crops = self._matcher.crops(field, np.array([(h.x, h.y) for h in self.heads]), template_px(field))
        self._crossings.settle(self.heads, crops, field.head_px)
        for head, crop in zip(self.heads, crops, strict=True):
            head.learn(crop, field.interval_s)
        self._drop_neighbours(field)
        self._since_look_s += field.interval_s
        if self._since_look_s >= LOOK_S:
            self._since_look_s = 0.0
            self._add_neighbours(field)

    def selected(self) -> list[Head]:
        """Return the selected sperm in the order of their numbers."""
        return sorted((h for h in self.heads if h.sperm_id), key=lambda h: h.sperm_id)

    def release(self, sperm_id: int) -> None:
        """Follow this sperm no longer."""
        self.heads = [h for h in self.heads if h.sperm_id != sperm_id]

    def _carry(self, shift: tuple[float, float]) -> None:
        for head in self.heads:
            head.carry(shift)
        self._crossings.carry(shift)

    def _drop_neighbours(self, field: FieldFrame) -> None:
        """Drop neighbours that are far from every selected head, faded, outside, or on top of another neighbour."""
        size = field.head_px
        height, width = field.pixels.shape
        selected = [h for h in self.heads if h.sperm_id]
        kept: list[Head] = []
        for head in self.heads:
            if not head.sperm_id:
                inside = 0 <= head.x < width and 0 <= head.y < height
                near = any(apart(head, one) < DROP * size for one in selected)
                double = any(apart(head, one) < 0.25 * size for one in kept if not one.sperm_id)
                if not (inside and near) or double or head.energy < 0.5 * field.floor:
                    continue
            kept.append(head)
        self.heads = kept

    def _add_neighbours(self, field: FieldFrame) -> None:
        """Take up heads that have come near a selected one."""
        size = field.head_px
        for one in [h for h in self.heads if h.sperm_id]:
            least = max(field.floor, NEIGHBOUR_ENERGY * one.energy_reference)
            for x, y in energy_peaks(field, one.x, one.y, FAR * size, least):
                if all(math.hypot(x - h.x, y - h.y) > NEAR * size for h in self.heads):
                    self.start(field, x, y, 0)


def apart(one: Head, other: Head) -> float:
    """Return the distance of two heads in px."""
    return math.hypot(one.x - other.x, one.y - other.y)


def template_px(field: FieldFrame) -> int:
    """Return the edge of a template, odd."""
    return round(TEMPLATE * field.head_px) | 1


def local_energy(field: FieldFrame, x: float, y: float) -> float:
    """Return the highest energy within LOCAL head sizes of (x, y)."""
    return float(cut(field.energy, round(x), round(y), round(LOCAL * field.head_px)).max())


def energy_peaks(field: FieldFrame, x: float, y: float, reach: float, least: float) -> list[tuple[float, float]]:
    """Return (x, y) of the local maxima of the energy above ``least`` within ``reach`` px, the highest few first."""
    height, width = field.energy.shape
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    area = field.energy[top : min(height, int(y + reach) + 1), left : min(width, int(x + reach) + 1)]
    if area.size == 0:
        return []
    edge = round(0.3 * field.head_px) * 2 + 1
    places = np.flatnonzero((area >= cv2.dilate(area, np.ones((edge, edge), np.uint8))) & (area > least))
    places = places[np.argsort(-area.ravel()[places], kind="stable")]
    found = [(float(c + left), float(r + top)) for r, c in (divmod(p, area.shape[1]) for p in places.tolist())]
    return [f for f in found if math.hypot(f[0] - x, f[1] - y) <= reach][:MAX_NEIGHBOURS]
