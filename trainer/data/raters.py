"""Simulated raters: forty people who share criteria and still disagree, so that a sperm gets a distribution of votes.

Each rater sees the same defect scores (:data:`CRITERIA`: numbers from 0, no defect, to 1, the worst), adds them up
with weights of his or her own, is a little lenient or strict, and is not quite consistent. The sum falls
between thresholds and that is the grade. What the criteria share with an embryologist's is their names and the normal
ranges of the WHO manual; the weights and thresholds are made up, set so that the most-voted grades of an ordinary
population fall near the paper's Table 1 (45/194/356/9/11 of 615).

Raters judge the clip, one second of a square of 37.5 um about the head, and so no more than it can show:

- of the tail, its course and its tip as far as they lie within the picture: the longer part of a normal tail does not,
  so that a tail of 30 um looks like one of 45, and a kink or a coil counts by the turn that is in view;
- of the beat, how far it swings and whether it moves at all, not its frequency, which 15 frames a second cannot show;
- acrosome and vacuoles count little: at 0.25 um/px they are a few px.

Still no single defect decides: movement and appearance weigh about the same.

This module knows the fields of ``capture.simulator.sperm.Sperm`` and the shape of the tail; it never sees a pixel.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from capture.simulator.flagellum import still_course
from capture.simulator.sperm import Sperm
from station.transport.messages import GRADES

CRITERIA: Final = {
    "progression": 1.4,
    "beat": 2.0,
    "path": 0.8,
    "tail": 1.8,
    "midpiece": 1.5,
    "droplet": 1.0,
    "head size": 1.5,
    "head shape": 1.5,
    "acrosome": 0.4,
    "vacuoles": 0.4,
}
"""The defects that are scored, in the order of :func:`defect_scores`, with the weight the panel gives each."""

VIEW_UM: Final = 21.0
"""How far from the head's centre the clip shows: the radius of a circle of the clip's area, since the tail may leave
through a side or a corner."""

THRESHOLDS: Final = (0.40, 1.45, 7.37, 8.28)
"""Sums of defect scores at which an average rater goes from A to B, B to C, C to D and D to E."""

WEIGHT_SPREAD: Final = 0.18
"""Standard deviation of the logarithm of one rater's weight for one criterion."""
LENIENCE_SPREAD: Final = 0.30
"""Standard deviation between raters of what each adds to all thresholds."""
INCONSISTENCY: Final = 0.35
"""Median standard deviation of one rater's repeated judgements, in the units of the thresholds."""

TABLE_1: Final = (45, 194, 356, 9, 11)
"""Clips by most-voted grade in the paper's data, A to E."""


def defect_scores(sperm: Sperm) -> NDArray[np.float64]:
    """Return the defect scores of one sperm, (criteria,) float64 in 0..1, in the order of :data:`CRITERIA`."""

    def above(value: float, normal: float, worst: float) -> float:
        return min(1.0, max(0.0, (value - normal) / (worst - normal)))

    ratio = sperm.head_length_um / sperm.head_width_um
    # Area against the normal head of 4.1 by 2.8 um; both too small and too large are defects.
    size = abs(float(np.log(sperm.head_length_um * sperm.head_width_um / (4.1 * 2.8))))
    # The head's shape counts by its worst feature plus half of the next, so that a single gross defect weighs fully.
    shape = sorted(
        (
            max(above(ratio, 1.8, 2.6), above(-ratio, -1.3, -0.9)),
            above(sperm.head_taper, 0.2, 0.8),
            above(sperm.head_asymmetry, 0.12, 0.45),
        )
    )
    course, turn_deg = still_course(sperm)
    seen = abs(course) < VIEW_UM
    # A tip in view is a short tail, unless the tail has turned back to it.
    tail = sorted(
        (
            above(-sperm.tail_length_um, -20.0, -10.0),
            above(float(np.max(np.abs(turn_deg[seen]), initial=0.0)), 25.0, 130.0),
        )
    )
    return np.array(
        [
            above(-sperm.speed_um_s, -60.0, 0.0),
            above(-sperm.beat_amplitude_um, -7.0, -1.5) if sperm.beat_hz > 0 else 1.0,
            max(above(abs(sperm.turn_deg_s), 0.0, 120.0), above(sperm.wander_deg, 12.0, 45.0)),
            min(1.0, tail[1] + 0.5 * tail[0]),
            max(above(abs(sperm.midpiece_angle_deg), 15.0, 70.0), above(sperm.midpiece_width_um, 0.8, 1.6)),
            above(sperm.droplet_share, 0.15, 0.7),
            above(size, 0.25, 0.8),
            min(1.0, shape[2] + 0.5 * shape[1]),
            above(-sperm.acrosome_share, -0.40, 0.0),
            above(sperm.vacuole_share, 0.10, 0.35),
        ]
    )


@dataclass(frozen=True, slots=True)
class Panel:
    """Raters with fixed characters. Array lengths: raters R, criteria K, grades C."""

    weights: NDArray[np.float64]
    """(R, K) the weight each rater gives to each defect."""
    thresholds: NDArray[np.float64]
    """(R, C - 1) sums of defect scores at which each goes to the next worse grade."""
    inconsistency: NDArray[np.float64]
    """(R,) standard deviation of repeated judgements."""

    def vote(self, sperm: Sperm, rng: np.random.Generator) -> tuple[int, ...]:
        """Return how many raters choose each grade, A to E."""
        sums = self.weights @ defect_scores(sperm) + rng.normal(0.0, self.inconsistency)
        chosen = (sums[:, None] > self.thresholds).sum(axis=1)
        return tuple(int(count) for count in np.bincount(chosen, minlength=len(GRADES)))


def make_panel(seed: int, raters: int = 40) -> Panel:
    """Draw a panel from the population of raters; two seeds are two panels that never met."""
    rng = np.random.default_rng([seed, 0x7A7E])
    importance = np.array(list(CRITERIA.values()))
    return Panel(
        weights=importance * np.exp(rng.normal(0.0, WEIGHT_SPREAD, (raters, len(importance)))),
        thresholds=np.array(THRESHOLDS) + rng.normal(0.0, LENIENCE_SPREAD, (raters, 1)),
        inconsistency=INCONSISTENCY * np.exp(rng.normal(0.0, 0.3, raters)),
    )
