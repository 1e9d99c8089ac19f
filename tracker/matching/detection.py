"""Everything in the field that may be a head, moving or not, and how large heads are.

A head stands out from its surroundings by more than the camera's noise, over about its own size, whether it is
brighter or darker. Contrast is that difference, smoothed; a candidate is a local maximum of it. What moves is told
from what does not by the energy (``tracker.field.preprocessor``). Measured only when somebody selects; nothing here
follows anything. Over a whole frame that takes as long as several frames: so it is done in pieces, between which others
may go on with the frames that come (``tracker.matching.survey``).
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.matching.lazy_image import Floats, cut
from tracker.matching.local_energy import spread
from tracker.matching.matcher import vertex
from tracker.matching.prepared_frame import PreparedFrame
from tracker.params import DEFAULT_PARAMS, DetectionParams

MANY: Final = 3000
"""From so many on, maxima are tested together rather than one by one: plateaus have them everywhere."""
STRIP_PX: Final = 128
"""Rows that are looked at in one piece: those of a tile of the energy."""
PLACES: Final = 250
"""Maxima that are tested in one piece."""

Found = TypeVar("Found")
Pieces = Generator[None, None, Found]
"""Work that may rest between two pieces; a piece takes two or three milliseconds of a large frame."""


def at_once(pieces: Pieces[Found]) -> Found:
    """Do all pieces; return what comes out."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            found: Found = end.value
            return found


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be a head."""

    x: float
    y: float
    contrast: float
    """How much it stands out, in grey levels."""
    energy: float
    """How much of that is not background, in grey levels: large for what moves."""


def surround(pixels: NDArray[np.uint8], head_px: float, params: DetectionParams) -> Floats:
    """Return the grey level of the surroundings of every pixel (H, W): a median, smoothed."""
    height, width = pixels.shape
    size = (max(1, width // 4), max(1, height // 4))
    small = cv2.medianBlur(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), 5).astype(np.float32)
    smooth = cv2.GaussianBlur(small, (0, 0), max(0.5, params.surround_heads * head_px / 4))
    return np.asarray(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def contrast_map(
    pixels: NDArray[np.uint8], head_px: float, params: DetectionParams = DEFAULT_PARAMS.detection
) -> Floats:
    """Return the contrast (H, W) at the scale of a head, in grey levels."""
    difference = np.abs(pixels - surround(pixels, head_px, params))
    return np.asarray(cv2.GaussianBlur(difference, (0, 0), head_px / params.head_per_scale), np.float32)


def least_contrast(contrast: Floats, params: DetectionParams = DEFAULT_PARAMS.detection) -> float:
    """Return the contrast that a candidate has at least."""
    return max(params.least_contrast_levels, params.least_contrast * float(np.median(contrast[::4, ::4])))


def find_candidates(prepared: PreparedFrame, *, parts: bool = True) -> list[Candidate]:
    """Return all candidates of a frame, the highest contrast first.

    These are the maxima of contrast plus energy and, with ``parts``, of what is brighter and what is darker than the
    surroundings alone: of a head that is both, either part may be the one that a person means.
    """
    return at_once(seek_candidates(prepared, surround(prepared.pixels, prepared.head_px, detection(prepared)), parts))


def detection(prepared: PreparedFrame) -> DetectionParams:
    """Return the parameters of this module."""
    return prepared.params.detection


def seek_candidates(prepared: PreparedFrame, around: Floats, parts: bool) -> Pieces[list[Candidate]]:
    """Do what ``find_candidates`` does in pieces; ``around`` (H, W): the surroundings."""
    size, params = prepared.head_px, prepared.params.detection
    sigma = size / params.head_per_scale
    height, width = around.shape
    contrast, total = np.empty((2, height, width), np.float32)
    for top in range(0, height, STRIP_PX):
        bottom = min(top + STRIP_PX, height)
        contrast[top:bottom] = contrast_of(prepared.pixels, around, sigma, (top, bottom, 0, width))
        np.add(contrast[top:bottom], prepared.energy.area(top, bottom, 0, width), out=total[top:bottom])
        yield
    maps = [total]
    if parts:
        difference = prepared.pixels - around
        for part in (difference, -difference):
            smooth = cv2.GaussianBlur(np.maximum(part, 0), (0, 0), params.part_scale * sigma)
            maps.append(np.asarray(smooth, np.float32))
            yield
    places: list[tuple[int, int]] = []
    # A field may have thousands: what is taken is painted, not compared one by one.
    reach = int(params.same_heads * size)
    steps = np.arange(-reach, reach + 1)
    disc = steps[:, None] ** 2 + steps[None, :] ** 2 <= (params.same_heads * size) ** 2
    taken = np.zeros((height + 2 * reach, width + 2 * reach), bool)
    for one in maps:
        found = yield from seek_maxima(one, 2 * round(params.apart_heads * size) + 1, params)
        for row, column in found:
            if not taken[row + reach, column + reach]:
                places.append((row, column))
                taken[row : row + 2 * reach + 1, column : column + 2 * reach + 1] |= disc
        yield
    energy = prepared.energy.whole()
    candidates = [Candidate(float(c), float(r), float(contrast[r, c]), float(energy[r, c])) for r, c in places]
    return sorted(candidates, key=lambda c: -c.contrast)


def contrast_of(pixels: NDArray[np.uint8], around: Floats, sigma: float, edges: tuple[int, int, int, int]) -> Floats:
    """Return the contrast of the part (top, bottom, left, right) of a frame, as ``contrast_map`` has it."""
    top, bottom, left, right = edges
    reach = math.ceil(4 * sigma) + 1
    upper, before = max(0, top - reach), max(0, left - reach)
    part = np.s_[upper : bottom + reach, before : right + reach]
    smooth = cv2.GaussianBlur(np.abs(pixels[part] - around[part]), (0, 0), sigma)
    return np.asarray(smooth[top - upper : bottom - upper, left - before : right - before], np.float32)


def maxima(image: Floats, edge: int, params: DetectionParams = DEFAULT_PARAMS.detection) -> list[tuple[int, int]]:
    """Return (row, column) of the local maxima of an image that stand out from it, highest first."""
    return at_once(seek_maxima(image, edge, params))


def seek_maxima(image: Floats, edge: int, params: DetectionParams) -> Pieces[list[tuple[int, int]]]:
    """Do what ``maxima`` does in pieces."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (edge, edge))
    # The highest of a disc is the highest of its 3 x 3 as well, which is tested at a twentieth of the cost.
    top = image >= cv2.dilate(image, np.ones((3, 3), np.uint8))
    yield
    top &= image > least_contrast(image, params)
    many = np.count_nonzero(top) > MANY
    if many:
        top &= image >= cv2.dilate(image, disc)
    yield
    rows, columns = np.nonzero(top)
    order = np.argsort(-image[rows, columns], kind="stable")
    places = list(zip(rows[order].tolist(), columns[order].tolist(), strict=True))
    if many:
        return places
    inside = disc.astype(bool)
    kept: list[tuple[int, int]] = []
    for first in range(0, len(places), PLACES):
        kept += [
            place
            for place in places[first : first + PLACES]
            if image[place] >= cut(image, place[1], place[0], edge // 2)[inside].max()
        ]
        yield
    return kept


def snap(prepared: PreparedFrame, x: float, y: float) -> tuple[float, float]:
    """Return the head that a point (x, y) in px means: the highest contrast plus energy, which counts
    more because what moves is meant, weighted by nearness.

    Where there is nothing so near, the nearest candidate within a head; where there is none, the point itself.
    """
    size, params = prepared.head_px, prepared.params.detection
    reach = math.ceil(params.nearness_reach * params.nearness_heads * size)
    contrast = contrast_map(prepared.pixels, size, params)
    left, top = round(x), round(y)
    value = cut(contrast, left, top, reach) + params.moving_weight * prepared.energy.cut(left, top, reach)
    steps = np.arange(-reach, reach + 1, dtype=np.float32)
    near = np.exp(-0.5 * (steps / (params.nearness_heads * size)) ** 2)
    row, column = divmod(int((value * near[:, None] * near[None, :]).argmax()), len(steps))
    if value[row, column] > least_contrast(contrast, params):
        return float(left + column - reach), float(top + row - reach)
    around = [(math.hypot(c.x - x, c.y - y), c) for c in find_candidates(prepared)]
    distance, found = min(around, key=lambda n: n[0], default=(math.inf, None))
    return (found.x, found.y) if found and distance <= params.snap_heads * size else (x, y)


def best(
    candidates: list[Candidate],
    count: int,
    head_px: float,
    height: int,
    width: int,
    followed: Sequence[tuple[float, float]] = (),
    params: DetectionParams = DEFAULT_PARAMS.detection,
    accept: Callable[[Candidate], bool] = lambda _: True,
) -> list[Candidate]:
    """Return the ``count`` candidates that promise most: the rule of automatic selection.

    Only those over ``lonely_heads`` from the frame's edge count. They rank by energy (a moving head first), which
    counts less within ``soon_out_heads`` of the edge, down to half at it (a head that stays in sight first), each less
    part of the energy of the strongest other candidate within ``lonely_heads`` (a lonely head first). None is taken
    within that of one already taken, or of one that is ``followed`` already, (x, y), nor one that ``accept`` refuses.
    """
    margin = params.lonely_heads * head_px
    table = np.array([(c.x, c.y, c.energy) for c in candidates]).reshape(-1, 3)
    inside: list[tuple[float, Candidate]] = []
    for k, one in enumerate(candidates):
        if margin <= one.x < width - margin and margin <= one.y < height - margin:
            near = (table[:, 0] - one.x) ** 2 + (table[:, 1] - one.y) ** 2 < margin**2
            near[k] = False
            edge = min(one.x, one.y, width - 1 - one.x, height - 1 - one.y)
            energy = one.energy * (0.5 + 0.5 * min(1.0, edge / (params.soon_out_heads * head_px)))
            inside.append((energy - params.lonely_share * float(table[near, 2].max(initial=0.0)), one))

    places = list(followed)
    taken: list[Candidate] = []
    for _, one in sorted(inside, key=lambda ranked: ranked[0], reverse=True):
        if len(taken) == count:
            break
        if all(math.hypot(one.x - x, one.y - y) >= margin for x, y in places) and accept(one):
            taken.append(one)
            places.append((one.x, one.y))
    return taken


def is_like_a_head(prepared: PreparedFrame, one: Candidate) -> bool:
    """Return whether a candidate is no larger than a head, and not in a clump, for automatic selection.

    What is larger answers more strongly to a Laplacian of Gaussian of a larger scale than a head's.
    """
    params, size = prepared.params.detection, prepared.head_px
    if spread(prepared, one.x, one.y) > prepared.params.state.most_spread:
        return False
    reach = math.ceil(2.0 * size)
    area = np.abs(cut(prepared.pixels, round(one.x), round(one.y), reach).astype(np.float32) - prepared.level)
    scales = [factor * size / params.head_per_scale for factor in (1.0, params.large)]
    half = round(params.nearness_heads * size)
    middle = slice(reach - half, reach + half + 1)
    own, larger = (
        -(s**2) * cv2.Laplacian(cv2.GaussianBlur(area, (0, 0), s), cv2.CV_32F)[middle, middle].min() for s in scales
    )
    return bool(own >= larger)


def measure_head(
    pixels: NDArray[np.uint8], points: list[tuple[float, float]], params: DetectionParams = DEFAULT_PARAMS.detection
) -> float:
    """Return the head size in px: from the scales at which ``points`` stand out most.

    Heads seen end on, and small things that move, look smaller: the upper part of the scales counts.

    A blob of standard deviation s answers strongest to a Laplacian of Gaussian of the scale s (Lindeberg 1998).
    """
    return at_once(seek_head_size(pixels, points, params))


def seek_head_size(
    pixels: NDArray[np.uint8], points: list[tuple[float, float]], params: DetectionParams
) -> Pieces[float]:
    """Do what ``measure_head`` does in pieces."""
    scales = [params.first_scale_px * params.scale_step**k for k in range(params.scales)]
    level = np.float32(np.median(pixels[::4, ::4]))
    middle = slice(params.area_px - params.middle_px, params.area_px + params.middle_px + 1)
    sizes = []
    for x, y in points:
        area = np.abs(cut(pixels, round(x), round(y), params.area_px).astype(np.float32) - level)
        answers = [
            -(s**2) * cv2.Laplacian(cv2.GaussianBlur(area, (0, 0), s), cv2.CV_32F)[middle, middle].min() for s in scales
        ]
        best_scale = int(np.argmax(answers))
        step = vertex(np.array(answers, np.float32), best_scale)
        sizes.append(scales[best_scale] * params.scale_step**step)
        yield
    return params.head_per_scale * float(np.percentile(sizes, params.size_percent))


def leading(
    candidates: list[Candidate], floor: float, head_px: float, params: DetectionParams = DEFAULT_PARAMS.detection
) -> list[tuple[float, float]]:
    """Return the places of the candidates that tell the head size: the few that move most."""
    moving = sorted((c for c in candidates if c.energy > params.leading_floors * floor), key=lambda c: -c.energy)
    taken: list[tuple[float, float]] = []
    for one in moving:
        apart_px = params.leading_apart_heads * head_px
        if len(taken) < params.leading and all(math.hypot(one.x - x, one.y - y) > apart_px for x, y in taken):
            taken.append((one.x, one.y))
    return taken
