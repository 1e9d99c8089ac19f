"""Where in its search area does a head's template fit best: normalised cross-correlation, energy, distance.

The score of an offset d from the predicted position p is

    S(d) = NCC(A, T)(p + d) + 1.2 min(1, E(p + d) / Er) - 0.3 |d|^2 / (2 s^2)

with the appearance A, the template T, the energy E and its reference Er, and s the uncertainty of the prediction. The
maps are made by a ``Matcher``; there are two with one behaviour, this file's on OpenCV and
``tracker.matching.torch_matcher``. What is done with the maps is the same arithmetic for both. This module knows no
sperm, only arrays.
"""

import math
from dataclasses import dataclass
from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.matching.lazy_image import Floats, LazyImage
from tracker.matching.prepared_frame import Points, PreparedFrame
from tracker.params import DEFAULT_PARAMS, MatchingParams

HALVED_SIGMA_PX = 4.0
"""From this smoothing on the energy is made at half the resolution: no visible difference, a quarter of the cost."""
LANES = 16
"""OpenCV filters at most so many pixels of a row at once, and rounds those that are left at the row's end otherwise. So
parts of a row begin at a multiple of it, as the whole does, and their ends are not used but at the whole one's."""
_AROUND = np.ones((3, 3), np.uint8)


class Matcher(Protocol):
    """Prepares frames, makes the maps of all heads of a frame at once, and cuts their templates."""

    def prepare(
        self, pixels: NDArray[np.uint8], background: NDArray[np.uint8], deadband: float, sigma_px: float
    ) -> tuple[LazyImage, object]:
        """Return a frame's energy (H, W) and what ``maps`` and ``crops`` need of it.

        Energy is max(0, |frame - background| - deadband) smoothed by a Gaussian. The appearance, which is matched, is
        the frame with part of the background taken out, less the background's mean. Both images have to
        stay as they are while the answer is in use, which is until the next call.
        """
        ...

    def maps(
        self, prepared: PreparedFrame, centres: NDArray[np.int64], templates: Floats, radius: int
    ) -> tuple[Floats, Floats]:
        """Return NCC and energy, each (K, 2 radius + 1, 2 radius + 1), round ``centres`` (K, 2) whole px (x, y).

        ``templates`` is (K, t, t) with t odd. Beyond the frame's edge the picture goes on as its edge pixels.
        """
        ...

    def crops(self, prepared: PreparedFrame, points: Points, size: int) -> Floats:
        """Return the appearance round ``points`` (K, 2), as (K, size, size), interpolated linearly."""
        ...


class OpenCvMatcher:
    """The matcher for the CPU. What it prepared is good until it prepares the next frame."""

    def __init__(self, params: MatchingParams = DEFAULT_PARAMS.matching) -> None:
        self._share = params.background_share
        self._memory = np.empty((2, 0, 0), np.float32)
        self._taps: tuple[float, Floats] = (0.0, gaussian(1.0))
        """Those of the last frame, and their standard deviation."""

    def prepare(
        self, pixels: NDArray[np.uint8], background: NDArray[np.uint8], deadband: float, sigma_px: float
    ) -> tuple[LazyImage, object]:
        """See Matcher."""
        height, width = pixels.shape
        beyond = np.maximum(np.arange(256, dtype=np.float32) - np.float32(deadband), 0)
        halve = sigma_px >= HALVED_SIGMA_PX and min(height, width) > 1
        if self._taps[0] != sigma_px:
            self._taps = sigma_px, gaussian(sigma_px / 2 if halve else sigma_px)
        taps = self._taps[1]
        share = self._share
        level = -(1 - self._share) * cv2.mean(background)[0]

        def energy(top: int, bottom: int, left: int, right: int) -> Floats:
            reach = len(taps) // 2
            upper, before = max(0, top - reach), max(0, left - reach) // LANES * LANES
            around = np.s_[upper : min(height, bottom + reach), before : min(width, right + max(reach, LANES))]
            raw = cv2.LUT(cv2.absdiff(pixels[around], background[around]), beyond)
            if halve:
                raw = cv2.resize(raw, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            smooth = cv2.sepFilter2D(raw, cv2.CV_32F, taps, taps, borderType=cv2.BORDER_REPLICATE)
            if halve:
                smooth = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR)
            return cast(Floats, smooth[top - upper : bottom - upper, left - before : right - before])

        def appearance(top: int, bottom: int, left: int, right: int) -> Floats:
            tile = np.s_[top:bottom, left:right]
            mixed = cv2.addWeighted(pixels[tile], 1.0, background[tile], -share, level, dtype=cv2.CV_32F)
            return cast(Floats, mixed)

        # Halved, pixels do not map to tiles in whole numbers, and the whole costs a quarter anyway.
        if self._memory.shape[1:] != pixels.shape:
            self._memory = np.empty((2, height, width), np.float32)
        return LazyImage(self._memory[0], energy, whole=halve), LazyImage(self._memory[1], appearance)

    def maps(
        self, prepared: PreparedFrame, centres: NDArray[np.int64], templates: Floats, radius: int
    ) -> tuple[Floats, Floats]:
        """See Matcher."""
        appearance = cast(LazyImage, prepared.planes)
        edge = 2 * radius + 1
        reach = radius + templates.shape[1] // 2
        ncc = np.empty((len(centres), edge, edge), np.float32)
        energy = np.empty_like(ncc)
        for k, (x, y) in enumerate(centres.tolist()):
            ncc[k] = cv2.matchTemplate(appearance.cut(x, y, reach), templates[k], cv2.TM_CCOEFF_NORMED)
            energy[k] = prepared.energy.cut(x, y, radius)
        return ncc, energy

    def crops(self, prepared: PreparedFrame, points: Points, size: int) -> Floats:
        """See Matcher."""
        appearance = cast(LazyImage, prepared.planes)
        out = np.empty((len(points), size, size), np.float32)
        for k, (x, y) in enumerate(points.tolist()):
            # Through a cut, as OpenCV interpolates otherwise over the frame's edge than inside.
            left, top, reach = math.floor(x), math.floor(y), size // 2 + 1
            area = appearance.cut(left, top, reach)
            out[k] = cv2.getRectSubPix(area, (size, size), (x - left + reach, y - top + reach))
        return out


def gaussian(sigma_px: float) -> Floats:
    """Return the taps (2 r + 1,) of a Gaussian of unit sum, cut off at three standard deviations."""
    radius = max(1, round(3 * sigma_px))
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma_px) ** 2)
    return np.asarray(taps / taps.sum(), np.float32)


def scores(
    ncc: Floats,
    energy: Floats,
    energy_reference: NDArray[np.float64],
    offsets: Points,
    sigma_px: NDArray[np.float64],
    params: MatchingParams = DEFAULT_PARAMS.matching,
) -> Floats:
    """Return S (K, R, R) for maps round whole px centres; ``offsets`` (K, 2): predicted position less centre."""
    radius = ncc.shape[1] // 2
    steps = np.arange(-radius, radius + 1, dtype=np.float32)
    dx2 = (steps[None, :] - offsets[:, 0, None].astype(np.float32)) ** 2
    dy2 = (steps[None, :] - offsets[:, 1, None].astype(np.float32)) ** 2
    weight = (params.distance_weight / (2 * sigma_px**2)).astype(np.float32)[:, None, None]
    support = energy * (1 / energy_reference).astype(np.float32)[:, None, None]
    np.minimum(support, 1.0, out=support)
    support *= params.energy_weight
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
        places = [int(score.argmax())]
    else:
        flat = np.flatnonzero(score >= cv2.dilate(score, _AROUND))
        places = flat[np.argsort(-score.ravel()[flat], kind="stable")[:count]].tolist()
    found = []
    for place in places:
        row, column = divmod(place, score.shape[1])
        dx = column - radius + vertex(score[row], column)
        dy = row - radius + vertex(score[:, column], row)
        found.append(Peak(dx, dy, score.item(place), ncc.item(place), energy.item(place)))
    return found


def vertex(line: Floats, place: int) -> float:
    """Return where the parabola through a maximum and its neighbours peaks, -0.5 to 0.5 from ``place``."""
    if place == 0 or place == len(line) - 1:
        return 0.0
    before, at, after = line[place - 1 : place + 2].tolist()
    bend = before - 2 * at + after
    return min(0.5, max(-0.5, 0.5 * (before - after) / bend)) if bend < 0 else 0.0
