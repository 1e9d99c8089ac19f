"""Everything in the field that may be a head, moving or not, and how large heads are.

A head stands out from its surroundings by more than the camera's noise, over about its own size, whether it is
brighter or darker. Contrast is that difference, smoothed; a candidate is a local maximum of it. What moves is told
from what does not by the energy (``tracker.field.preprocessor``). Measured only when somebody selects; nothing here
follows anything.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.matching.lazy_image import Floats, cut
from tracker.matching.matcher import vertex
from tracker.matching.prepared_frame import FieldFrame

SCALE_STEP = 1.15
SCALES = tuple(1.2 * SCALE_STEP**k for k in range(20))
"""Standard deviations in px at which the head size is sought."""
SIZE_PERCENT = 70.0
HEAD_PER_SCALE = 7.9
"""Edge of the box round a head, in standard deviations of its best scale (from hand-made boxes)."""
AREA_PX, MIDDLE_PX = 60, 8
"""Half edges of the area that is measured, and of its middle, where the answer counts."""
LEADING = 15
MOVING_WEIGHT = 3.0
SURROUND = 1.2
"""Radius of the surroundings that a head is compared with, in head sizes (standard deviation)."""
APART, SAME = 0.3, 0.19
"""Tops of one map nearer than APART, and of several nearer than SAME (in head sizes), are one candidate."""
PART = 0.8
"""Scale at which the bright and the dark parts are sought, beside that of a head."""
SOON_OUT = 8.0
"""A head nearer to the frame's edge than this, in head sizes, may soon have left it."""
NEARNESS = 0.25
SNAP = 1.0
"""A selected point means the highest value weighted by a Gaussian of nearness (standard deviation, in head sizes), or,
where nothing is so near, the nearest candidate within SNAP."""
MANY = 3000
"""From so many on, tops are told all at once rather than one by one: plateaus have them everywhere."""
LEAST_CONTRAST = 8.0
"""A candidate's contrast is at least this many times the field's median contrast."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be a head."""

    x: float
    y: float
    contrast: float
    """How much it stands out, in grey levels."""
    energy: float
    """How much of that is not background, in grey levels: large for what moves."""


def surround(pixels: NDArray[np.uint8], head_px: float) -> Floats:
    """Return the grey level of the surroundings of every pixel (H, W): a median, smoothed over SURROUND."""
    height, width = pixels.shape
    size = (max(1, width // 4), max(1, height // 4))
    small = cv2.medianBlur(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), 5).astype(np.float32)
    smooth = cv2.GaussianBlur(small, (0, 0), max(0.5, SURROUND * head_px / 4))
    return np.asarray(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def contrast_map(pixels: NDArray[np.uint8], head_px: float) -> Floats:
    """Return the contrast (H, W) at the scale of a head, in grey levels."""
    difference = np.abs(pixels - surround(pixels, head_px))
    return np.asarray(cv2.GaussianBlur(difference, (0, 0), head_px / HEAD_PER_SCALE), np.float32)


def least_contrast(contrast: Floats) -> float:
    """Return the contrast that a candidate has at least."""
    return max(1.0, LEAST_CONTRAST * float(np.median(contrast[::4, ::4])))


def find_candidates(field: FieldFrame, *, parts: bool = True) -> list[Candidate]:
    """Return all candidates of a frame, the highest contrast first.

    These are the tops of contrast plus energy and, with ``parts``, of what is brighter and what is darker than the
    surroundings alone: of a head that is both, either part may be the one that a person means.
    """
    size = field.head_px
    difference = field.pixels - surround(field.pixels, size)
    contrast = np.asarray(cv2.GaussianBlur(np.abs(difference), (0, 0), size / HEAD_PER_SCALE), np.float32)
    energy = field.energy.whole()
    maps = [contrast + energy]
    for part in (difference, -difference) if parts else ():
        maps.append(cv2.GaussianBlur(np.maximum(part, 0), (0, 0), PART * size / HEAD_PER_SCALE).astype(np.float32))
    places: list[tuple[int, int]] = []
    # A field may have thousands: what is taken is painted, not compared one by one.
    reach = int(SAME * size)
    steps = np.arange(-reach, reach + 1)
    disc = steps[:, None] ** 2 + steps[None, :] ** 2 <= (SAME * size) ** 2
    taken = np.zeros((contrast.shape[0] + 2 * reach, contrast.shape[1] + 2 * reach), bool)
    for one in maps:
        for row, column in tops(one, 2 * round(APART * size) + 1):
            if not taken[row + reach, column + reach]:
                places.append((row, column))
                taken[row : row + 2 * reach + 1, column : column + 2 * reach + 1] |= disc
    found = [Candidate(float(c), float(r), float(contrast[r, c]), float(energy[r, c])) for r, c in places]
    return sorted(found, key=lambda c: -c.contrast)


def tops(image: Floats, edge: int) -> list[tuple[int, int]]:
    """Return (row, column) of the local maxima of an image that stand out from it, highest first."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (edge, edge))
    # The highest of a disc is the highest of its 3 x 3 as well, which is told at a twentieth of the cost; few are left.
    top = (image >= cv2.dilate(image, np.ones((3, 3), np.uint8))) & (image > least_contrast(image))
    many = np.count_nonzero(top) > MANY
    if many:
        top &= image >= cv2.dilate(image, disc)
    rows, columns = np.nonzero(top)
    order = np.argsort(-image[rows, columns], kind="stable")
    places = list(zip(rows[order].tolist(), columns[order].tolist(), strict=True))
    if many:
        return places
    inside = disc.astype(bool)
    return [place for place in places if image[place] >= cut(image, place[1], place[0], edge // 2)[inside].max()]


def snap(field: FieldFrame, x: float, y: float) -> tuple[float, float]:
    """Return the head that a point (x, y) in px means: the highest contrast plus energy, which counts
    more because what moves is meant, weighted by nearness.

    Where there is nothing so near, the nearest candidate within SNAP; where there is none, the point itself.
    """
    size = field.head_px
    reach = math.ceil(2.5 * NEARNESS * size)
    contrast = contrast_map(field.pixels, size)
    left, top = round(x), round(y)
    value = cut(contrast, left, top, reach) + MOVING_WEIGHT * field.energy.cut(left, top, reach)
    steps = np.arange(-reach, reach + 1, dtype=np.float32)
    near = np.exp(-0.5 * (steps / (NEARNESS * size)) ** 2)
    row, column = divmod(int((value * near[:, None] * near[None, :]).argmax()), len(steps))
    if value[row, column] > least_contrast(contrast):
        return float(left + column - reach), float(top + row - reach)
    around = [(math.hypot(c.x - x, c.y - y), c) for c in find_candidates(field)]
    distance, found = min(around, key=lambda n: n[0], default=(math.inf, None))
    return (found.x, found.y) if found and distance <= SNAP * size else (x, y)


def best(
    candidates: list[Candidate],
    count: int,
    head_px: float,
    height: int,
    width: int,
    followed: Sequence[tuple[float, float]] = (),
) -> list[Candidate]:
    """Return the ``count`` candidates that promise most: the rule of automatic selection.

    Only those over two head sizes from the frame's edge count. They rank by energy (a moving head first), which counts
    less within SOON_OUT head sizes of the edge, down to half at it (a head that stays in sight first), each less half
    the energy of the strongest other candidate within two head sizes (a lonely head first). None is taken within
    two head sizes of one already taken, or of one that is ``followed`` already, (x, y).
    """
    margin = 2 * head_px
    table = np.array([(c.x, c.y, c.energy) for c in candidates]).reshape(-1, 3)
    inside: list[tuple[float, Candidate]] = []
    for k, one in enumerate(candidates):
        if margin <= one.x < width - margin and margin <= one.y < height - margin:
            near = (table[:, 0] - one.x) ** 2 + (table[:, 1] - one.y) ** 2 < margin**2
            near[k] = False
            edge = min(one.x, one.y, width - 1 - one.x, height - 1 - one.y)
            energy = one.energy * (0.5 + 0.5 * min(1.0, edge / (SOON_OUT * head_px)))
            inside.append((energy - 0.5 * float(table[near, 2].max(initial=0.0)), one))

    places = list(followed)
    taken: list[Candidate] = []
    for _, one in sorted(inside, key=lambda ranked: ranked[0], reverse=True):
        if len(taken) == count:
            break
        if all(math.hypot(one.x - x, one.y - y) >= margin for x, y in places):
            taken.append(one)
            places.append((one.x, one.y))
    return taken


def measure_head(pixels: NDArray[np.uint8], points: list[tuple[float, float]]) -> float:
    """Return the head size in px: from the scales at which ``points`` stand out most.

    Heads seen end on, and small things that move, look smaller: the upper part of the scales counts.

    A blob of standard deviation s answers strongest to a Laplacian of Gaussian of the scale s (Lindeberg 1998).
    """
    image = pixels.astype(np.float32)
    deviation = np.abs(image - np.median(image[::4, ::4]))
    sizes = []
    for x, y in points:
        area = np.ascontiguousarray(cut(deviation, round(x), round(y), AREA_PX))
        middle = slice(AREA_PX - MIDDLE_PX, AREA_PX + MIDDLE_PX + 1)
        answers = [
            -(s**2) * cv2.Laplacian(cv2.GaussianBlur(area, (0, 0), s), cv2.CV_32F)[middle, middle].min() for s in SCALES
        ]
        best_scale = int(np.argmax(answers))
        step = vertex(np.array(answers, np.float32), best_scale)
        sizes.append(SCALES[best_scale] * SCALE_STEP**step)
    return HEAD_PER_SCALE * float(np.percentile(sizes, SIZE_PERCENT))


def leading(candidates: list[Candidate], floor: float, head_px: float) -> list[tuple[float, float]]:
    """Return the places of the candidates that tell the head size: the few that move most."""
    moving = sorted((c for c in candidates if c.energy > 4 * floor), key=lambda c: -c.energy)
    taken: list[tuple[float, float]] = []
    for one in moving:
        if len(taken) < LEADING and all(math.hypot(one.x - x, one.y - y) > head_px for x, y in taken):
            taken.append((one.x, one.y))
    return taken
