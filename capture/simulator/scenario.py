"""What happens at a simulated microscope besides its random population, and the ground truth of each frame.

A scenario puts chosen sperm on chosen paths, moves the stage and the focus, changes the exposure and loses frames, all
as functions of time, so that a hard case can be written down and reproduced exactly. It knows no pixels.
"""

import math
from dataclasses import dataclass

import numpy as np

from capture.simulator.background import Debris
from capture.simulator.motion import Swimmer, Timeline, at_time
from capture.simulator.sperm import Sperm

STAGE_REST_S = 3.0
STAGE_MOVE_S = 1.0
STAGE_MOVES = 900
"""One hour of moves; then the stage rests."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """All scripted events. Positions are in px of the field at stage offset 0."""

    cast: tuple[Swimmer, ...] = ()
    """Sperm on given paths, in addition to the random ones, with ids 0, 1, ... in this order. They do not wrap around:
    one that leaves comes back only if its path does."""
    debris: tuple[Debris, ...] = ()
    """In addition to the random debris, such as a clump in the way."""
    stage_x: Timeline = ()
    """(t_s, px): displacement of the field of view to the right. Two points at one time: a jump."""
    stage_y: Timeline = ()
    """The same, downwards."""
    focus_um: Timeline = ()
    """(t_s, um) added to every sperm's distance from the focal plane; debris stays sharp."""
    exposure: Timeline = ()
    """(t_s, gain) of the whole frame, held until the next point; each point begins a new exposure setting."""
    lost_frames: frozenset[int] = frozenset()
    """Numbers of frames that never arrive; the next frame says how many were lost before it."""

    def stage_at(self, t_s: float) -> tuple[int, int]:
        """Return the stage's offset in whole px, its smallest step."""
        x = at_time(self.stage_x, t_s) if self.stage_x else 0.0
        y = at_time(self.stage_y, t_s) if self.stage_y else 0.0
        return round(x), round(y)

    def exposure_at(self, t_s: float) -> tuple[int, float]:
        """Return the number of the exposure setting and its gain."""
        begun = [gain for t, gain in self.exposure if t <= t_s]
        return (len(begun), begun[-1]) if begun else (0, 1.0)


@dataclass(frozen=True, slots=True)
class SpermTruth:
    """One sperm in one frame."""

    sperm_id: int
    """Constant while it is in or near the field; one that re-enters gets a new one."""
    sperm: Sperm
    x: float
    """Centre of the head, px of the frame."""
    y: float
    heading_rad: float
    """Of the head's axis."""
    roll_rad: float
    defocus_um: float
    visible: bool
    """The centre of its head is in the frame, in focus or not."""


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """The ground truth of one frame."""

    number: int
    """From 0, counting lost frames too."""
    t_s: float
    stage_x: int
    """Displacement of the field of view since time 0, px."""
    stage_y: int
    sperm: tuple[SpermTruth, ...]
    """All sperm near the field, visible or not."""


def wandering_stage(speed_px_s: float, seed: int) -> tuple[Timeline, Timeline]:
    """Return timelines in x and y of a stage that alternately rests for 3 s and moves for 1 s in random directions."""
    rng = np.random.default_rng(seed)
    xs, ys = [(0.0, 0.0)], [(0.0, 0.0)]
    t = 0.0
    for angle in rng.uniform(0, 2 * math.pi, STAGE_MOVES):
        start, end = t + STAGE_REST_S, t + STAGE_REST_S + STAGE_MOVE_S
        for line, step in ((xs, math.cos(float(angle))), (ys, math.sin(float(angle)))):
            at = line[-1][1]
            line += [(start, at), (end, at + step * speed_px_s * STAGE_MOVE_S)]
        t = end
    return tuple(xs), tuple(ys)
