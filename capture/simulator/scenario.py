"""What happens at a simulated microscope besides its random population, and the truth about each frame.

A script puts chosen sperm on chosen paths, moves the stage and the focus, changes the exposure and loses frames, all
as functions of time, so that a hard case can be written down and shown again exactly. It knows no pixels.
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
"""An hour of them; then the stage stands still."""


@dataclass(frozen=True, slots=True)
class Script:
    """Everything that is told. Positions are in px of the field as it lies at stage offset 0."""

    cast: tuple[Swimmer, ...] = ()
    """Sperm on told paths, in addition to the random ones. Their ids are 0, 1, ... in this order. They do not wrap
    round: one that leaves comes back only where its path does."""
    debris: tuple[Debris, ...] = ()
    """In addition to the random debris: a clump in the way."""
    stage_x: Timeline = ()
    """(t_s, px) by which the stage has moved the field of view to the right. Two points at one time: a jump."""
    stage_y: Timeline = ()
    """The same downwards."""
    focus_um: Timeline = ()
    """(t_s, um) added to every sperm's distance from the focal plane; debris stays sharp."""
    exposure: Timeline = ()
    """(t_s, gain) of the whole picture, held until the next point; each point begins a new exposure setting."""
    lost_frames: frozenset[int] = frozenset()
    """Numbers of frames that never arrive; the next frame says how many went before it."""

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
    """Stays while it is in or near the field; one that comes in has a new one."""
    sperm: Sperm
    x: float
    """Centre of the head, px of the frame."""
    y: float
    heading_rad: float
    """Of the head's axis."""
    roll_rad: float
    defocus_um: float
    visible: bool
    """The centre of its head is in the frame, however much it is out of focus."""


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """One frame as it really was."""

    number: int
    """From 0, counting lost frames too."""
    t_s: float
    stage_x: int
    """px by which the field of view has moved since time 0."""
    stage_y: int
    sperm: tuple[SpermTruth, ...]
    """All sperm near the field, visible or not."""


def wandering_stage(speed_px_s: float, seed: int) -> tuple[Timeline, Timeline]:
    """Return a stage that rests for 3 s, moves for 1 s, rests again, as timelines in x and y.

    The directions are random.
    """
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
