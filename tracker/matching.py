"""Where in its search area does a head's template fit best: normalised cross-correlation, energy, distance.

The score of an offset d from the predicted position p is

    S(d) = NCC(A, T)(p + d) + 1.2 min(1, E(p + d) / Er) - 0.3 |d|^2 / (2 s^2)

with the appearance A, the template T, the energy E and its reference Er, and s the uncertainty of the prediction. The
maps are made by a ``Matcher``; there are two with one behaviour, this file's on OpenCV and ``tracker.torch_matcher``.
What is done with the maps is the same arithmetic for both. This module knows no sperm, only arrays.
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.field import FieldFrame

Floats = NDArray[np.float32]
Points = NDArray[np.float64]

ENERGY_WEIGHT = 1.2
DISTANCE_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class Geometry:
    """Lengths of the matching in whole px, from the head size: template edge (odd) and search radius."""

    template: int
    radius: int

    @staticmethod
    def of(head_px: float, slack: float) -> "Geometry":
        """``slack``: how many times farther than at the reference frame rate a head can get between two frames."""
        return Geometry(template=round(1.1 * head_px) | 1, radius=max(2, round(0.57 * head_px * slack)))


class Matcher(Protocol):
    """Makes the maps of all heads of a frame at once, and cuts their templates."""

    def maps(
        self, field: FieldFrame, centres: NDArray[np.int64], templates: Floats, radius: int
    ) -> tuple[Floats, Floats]:
        """Return NCC and energy, each (K, 2 radius + 1, 2 radius + 1), round ``centres`` (K, 2) whole px (x, y).

        ``templates`` is (K, t, t) with t odd. Beyond the frame's edge the picture goes on as its edge pixels.
        """
        ...

    def crops(self, field: FieldFrame, points: Points, size: int) -> Floats:
        """Return the appearance round ``points`` (K, 2), as (K, size, size), interpolated linearly."""
        ...


class OpenCvMatcher:
    """The matcher for the CPU."""

    def maps(
        self, field: FieldFrame, centres: NDArray[np.int64], templates: Floats, radius: int
    ) -> tuple[Floats, Floats]:
        """See Matcher."""
        edge = 2 * radius + 1
        reach = radius + templates.shape[1] // 2
        ncc = np.empty((len(centres), edge, edge), np.float32)
        energy = np.empty_like(ncc)
        for k, (x, y) in enumerate(centres.tolist()):
            area = cut(field.appearance, x, y, reach)
            ncc[k] = cv2.matchTemplate(area, templates[k], cv2.TM_CCOEFF_NORMED)
            energy[k] = cut(field.energy, x, y, radius)
        # A flat area or template has no correlation: OpenCV then answers 0, 1 or rounding noise beyond.
        np.nan_to_num(ncc, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        np.clip(ncc, -1.0, 1.0, out=ncc)
        return ncc, energy

    def crops(self, field: FieldFrame, points: Points, size: int) -> Floats:
        """See Matcher."""
        out = np.empty((len(points), size, size), np.float32)
        for k, (x, y) in enumerate(points.tolist()):
            out[k] = cv2.getRectSubPix(field.appearance, (size, size), (x, y))
        return out


def cut(image: Floats, x: int, y: int, reach: int) -> Floats:
    """Return the square of edge 2 reach + 1 round the pixel (x, y); beyond the edge the edge's pixels repeat."""
    height, width = image.shape
    left, top, right, bottom = x - reach, y - reach, x + reach + 1, y + reach + 1
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return image[top:bottom, left:right]
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    return image[np.ix_(rows, columns)]


def scores(
    ncc: Floats,
    energy: Floats,
    energy_reference: NDArray[np.float64],
    offsets: Points,
    sigma_px: NDArray[np.float64],
) -> Floats:
    """Return S (K, R, R) for maps round whole px centres; ``offsets`` (K, 2): predicted position less centre."""
    radius = ncc.shape[1] // 2
    steps = np.arange(-radius, radius + 1, dtype=np.float32)
    dx2 = (steps[None, :] - offsets[:, 0, None].astype(np.float32)) ** 2
    dy2 = (steps[None, :] - offsets[:, 1, None].astype(np.float32)) ** 2
    weight = (DISTANCE_WEIGHT / (2 * sigma_px**2)).astype(np.float32)[:, None, None]
    support = energy * (1 / energy_reference).astype(np.float32)[:, None, None]
    np.minimum(support, 1.0, out=support)
    support *= ENERGY_WEIGHT
    support += ncc
    support -= weight * (dy2[:, :, None] + dx2[:, None, :])
    return support


@dataclass(frozen=True, slots=True)
class Peak:
    """One maximum of a score map: where, in px from the map's centre, how high, and the NCC and energy there."""

    dx: float
    dy: float
    score: float
    ncc: float
    energy: float


def peaks(score: Floats, ncc: Floats, energy: Floats, count: int) -> list[Peak]:
    """Return up to ``count`` local maxima of a map (R, R), highest first, refined below a pixel by parabolas."""
    radius = score.shape[0] // 2
    if count == 1:
        places = np.array([int(score.argmax())])
    else:
        top = cv2.dilate(score, np.ones((3, 3), np.uint8))
        flat = np.flatnonzero(score == top)
        places = flat[np.argsort(-score.ravel()[flat], kind="stable")[:count]]
    found = []
    for place in places.tolist():
        row, column = divmod(place, score.shape[1])
        dx = column - radius + _vertex(score[row], column)
        dy = row - radius + _vertex(score[:, column], row)
        found.append(
            Peak(dx, dy, float(score[row, column]), float(ncc[row, column]), float(energy[row, column]))
        )
    return found


def _vertex(line: Floats, place: int) -> float:
    """Return where the parabola through a maximum and its neighbours peaks, -0.5 to 0.5 from ``place``."""
    if place in (0, len(line) - 1):
        return 0.0
    before, at, after = float(line[place - 1]), float(line[place]), float(line[place + 1])
    bend = before - 2 * at + after
    return 0.0 if bend >= 0 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
