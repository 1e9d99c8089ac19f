"""Where a selected head last rested, and whether it is still there.

A head that rests becomes part of the background and has no energy, so that any swimmer that passes is better supported
than the head itself. Its *home* stands against that: the place where it rests and its looks there, learnt slowly. While
home clearly shows those looks the head is there, whatever passes.

This module knows places and looks; what follows from them is said in ``tracker.heads.resting``.
"""

import math
from dataclasses import dataclass

import numpy as np

from tracker.matching.lazy_image import Floats
from tracker.matching.matcher import Matcher, Peak, peaks
from tracker.matching.prepared_frame import PreparedFrame
from tracker.params import HomeParams


@dataclass(slots=True, eq=False)
class Home:
    """Where a head rests, and how it looks there."""

    x: float
    y: float
    template: Floats
    """(t, t)"""
    energy: float
    """Energy of the head while it rests here."""
    first: bool = True
    """It was selected here, and has not left since."""
    rested_s: float = 0.0
    """How long it has stayed."""
    empty_s: float = 0.0
    """How long home has been empty, for all that can be seen."""
    unlike_s: float = 0.0
    """How long home, in full sight, has looked less like the head than the place where the track is."""
    away_s: float = 0.0
    """How long the track has been elsewhere, without the looks of home."""
    supposed: bool = False
    """Only the background has a head here: it may be the one that was selected, hidden by what moves, or a trace of
    that."""
    disturbed: bool = False
    """Another head has come close since the looks of home were last seen here by themselves."""
    confirmed: bool = False
    """The looks of home are clearly seen here in this frame, and no other head is close."""

    def counts(self, params: HomeParams) -> bool:
        """Return whether the head has rested here long enough to be looked for here."""
        return self.first or self.rested_s >= params.rest_s

    def carry(self, shift: tuple[float, float]) -> None:
        """Move along with the stage."""
        self.x += shift[0]
        self.y += shift[1]

    def learn(self, crop: Floats, energy: float, kept: float) -> None:
        """Mix the present looks (t, t) and energy into those of home."""
        self.energy = kept * self.energy + (1 - kept) * energy
        self.template = (kept * self.template + (1 - kept) * crop).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where the looks of home fit best at home."""

    x: float
    y: float
    peak: Peak
    present: bool
    """The head is there."""


def sightings(homes: list[Home], prepared: PreparedFrame, matcher: Matcher) -> list[Sighting]:
    """Look at homes (K) in this frame."""
    if not homes:
        return []
    params = prepared.params.home
    centres = np.rint(np.array([(home.x, home.y) for home in homes])).astype(np.int64)
    radius = max(1, round(params.hold_heads * prepared.head_px))
    ncc, energy = matcher.maps(prepared, centres, np.stack([home.template for home in homes]), radius)
    best = [peaks(n, n, e, 1)[0] for n, e in zip(ncc, energy, strict=True)]
    places = np.array([(c[0] + p.dx, c[1] + p.dy) for c, p in zip(centres.tolist(), best, strict=True)])
    crops = matcher.crops(prepared, places, homes[0].template.shape[0])
    found = []
    for home, peak, (x, y), crop in zip(homes, best, places.tolist(), crops, strict=True):
        contrast = float(crop.std()) / max(float(home.template.std()), 1e-6)
        inside = max(abs(peak.dx), abs(peak.dy)) < radius
        alike = peak.ncc >= params.least_ncc and params.contrast[0] <= contrast <= params.contrast[1]
        found.append(Sighting(x, y, peak, inside and alike))
    return found


def fit(looks: Floats, x: float, y: float, prepared: PreparedFrame, matcher: Matcher) -> float:
    """Return how well looks (t, t) fit near (x, y)."""
    radius = max(1, round(prepared.params.home.hold_heads * prepared.head_px))
    ncc, _ = matcher.maps(prepared, np.array([[round(x), round(y)]]), looks[None], radius)
    return float(ncc.max())


def core(crop: Floats, prepared: PreparedFrame) -> Floats:
    """Return the middle of a head's looks (t, t), in which there is the head alone."""
    edge = round(prepared.params.home.template_heads * prepared.head_px) | 1
    cut = max(0, (crop.shape[0] - edge) // 2)
    return crop[cut : crop.shape[0] - cut, cut : crop.shape[1] - cut]


def distance(home: Home, x: float, y: float) -> float:
    """Return how far (x, y) is from home, px."""
    return math.hypot(x - home.x, y - home.y)
