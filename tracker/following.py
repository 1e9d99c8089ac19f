"""The selected sperm and their neighbours, followed from frame to frame.

``update`` is the algorithm. This module knows the field of one frame and the heads it follows; it knows neither frame
numbers nor windows.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.crossings import CLOSE, PEAKS, Crossings, deal, groups
from tracker.field import REFERENCE_HZ, FieldFrame
from tracker.heads import Head
from tracker.matching import Geometry, Matcher, Peak, cut, peaks, scores

SIGMA = 0.24
"""Uncertainty of a prediction, in head sizes at the reference frame rate."""
LOCAL = 0.38
"""The energy reference looks this far (in head sizes) for the highest energy."""
NEAR, FAR, DROP = 0.8, 2.9, 3.5
"""Other heads between NEAR and FAR of a selected one (in head sizes) are followed too, until they are beyond DROP."""
NEIGHBOUR_ENERGY = 0.35
"""A neighbour has at least this share of the selected head's energy."""
MAX_NEIGHBOURS = 6


class Following:
    """Follows heads through a field."""

    def __init__(self, matcher: Matcher) -> None:
        """Nothing is followed yet."""
        self._matcher = matcher
        self._crossings = Crossings()
        self._geometry: Geometry | None = None
        self._keys = 0
        self.heads: list[Head] = []

    def start(self, field: FieldFrame, x: float, y: float, sperm_id: int) -> Head:
        """Begin to follow the head at (x, y) of this very frame."""
        geometry = self._geometry or Geometry.of(field.head_px, slack(field.interval_s))
        self._geometry = geometry
        self._keys += 1
        crop = self._matcher.crops(field, np.array([[x, y]]), geometry.template)[0]
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
        assert self._geometry is not None
        self._carry(field.shift)
        predicted = np.array([head.predicted(field.interval_s) for head in self.heads])
        centres = np.rint(predicted).astype(np.int64)
        templates = np.stack([head.template for head in self.heads])
        ncc, energy = self._matcher.maps(field, centres, templates, self._geometry.radius)
        references = np.array([max(head.energy_reference, field.floor) for head in self.heads])
        sigma = np.full(len(self.heads), SIGMA * field.head_px * slack(field.interval_s))
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
        crops = self._matcher.crops(field, np.array([(h.x, h.y) for h in self.heads]), self._geometry.template)
        self._crossings.settle(self.heads, crops, field.head_px)
        for head, crop in zip(self.heads, crops, strict=True):
            head.learn(crop, field.interval_s)
        self._refresh_neighbours(field)

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

    def _refresh_neighbours(self, field: FieldFrame) -> None:
        """Drop neighbours that are far, faded or doubled; take up heads that have come near a selected one."""
        size = field.head_px
        selected = [h for h in self.heads if h.sperm_id]
        spots = np.array([(h.x, h.y) for h in selected]).reshape(-1, 2)
        kept = list(selected)
        height, width = field.pixels.shape
        for head in self.heads:
            if head.sperm_id:
                continue
            near = np.hypot(*(spots - (head.x, head.y)).T).min() if len(spots) else np.inf
            inside = 0 <= head.x < width and 0 <= head.y < height
            double = any(np.hypot(head.x - k.x, head.y - k.y) < 0.25 * size for k in kept if not k.sperm_id)
            if near < DROP * size and inside and not double and head.energy > 0.5 * field.floor:
                kept.append(head)
        self.heads = kept
        for one in selected:
            for x, y, energy in energy_peaks(field, one.x, one.y, FAR * size):
                if energy < max(field.floor, NEIGHBOUR_ENERGY * one.energy_reference):
                    continue
                if all(np.hypot(x - h.x, y - h.y) > NEAR * size for h in self.heads):
                    self.start(field, x, y, 0)


def slack(interval_s: float) -> float:
    """Return how many times farther than at the reference frame rate a head may stray from its prediction."""
    return float(np.clip(np.sqrt(interval_s * REFERENCE_HZ), 1.0, 2.0))


def local_energy(field: FieldFrame, x: float, y: float) -> float:
    """Return the highest energy within LOCAL head sizes of (x, y)."""
    return float(cut(field.energy, round(x), round(y), round(LOCAL * field.head_px)).max())


def energy_peaks(field: FieldFrame, x: float, y: float, reach: float) -> list[tuple[float, float, float]]:
    """Return (x, y, energy) of the local maxima of the energy within ``reach`` px of a point, highest first."""
    height, width = field.energy.shape
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    area = field.energy[top : min(height, int(y + reach) + 1), left : min(width, int(x + reach) + 1)]
    if area.size == 0:
        return []
    edge = round(0.3 * field.head_px) * 2 + 1
    top_value = cv2.dilate(area, np.ones((edge, edge), np.uint8))
    rows, columns = np.nonzero((area >= top_value) & (area > field.floor))
    found = [(float(c + left), float(r + top), float(area[r, c])) for r, c in zip(rows, columns, strict=True)]
    return sorted((f for f in found if np.hypot(f[0] - x, f[1] - y) <= reach), key=lambda f: -f[2])[:MAX_NEIGHBOURS]
