"""Position and orientation of a sperm at any time, in closed form.

A pose depends only on the time, so that any frame can be rendered without its predecessors and the truth is exact. The
path is an arc with slow sideways drift; head sway, yaw, roll and the beat's phase are superimposed. This module knows
geometry in px of the full frame and seconds; it does not know pixel values, borders or the stage.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from operator import itemgetter
from typing import Protocol, TypeAlias

import numpy as np

from capture.simulator.sperm import Sperm

YAW_RAD_PER_UM = 0.11
"""Rotation of the head as it sways, per micrometre of sway."""
MAX_YAW_RAD = 0.4
SWING_RAD_S = 2.0
"""Angular frequency of a swimmer's movement through the focal plane."""

Timeline: TypeAlias = tuple[tuple[float, float], ...]
"""Values over time: (t_s, value), times not decreasing."""


class Path(Protocol):
    """The mean path of a sperm, without its sway."""

    def at(self, t_s: float) -> tuple[float, float, float]:
        """Return x and y in px and the heading in rad (0 to the right, increasing clockwise on the screen)."""
        ...


@dataclass(frozen=True, slots=True)
class Arc:
    """A circle (a line without turning) swum at constant speed, with sinusoidal sideways drift."""

    x: float
    y: float
    heading_rad: float
    speed_px_s: float
    turn_rad_s: float = 0.0
    drift: tuple[tuple[float, float, float], ...] = ()
    """Per component: heading amplitude in rad, angular frequency in rad/s, phase in rad."""
    t0_s: float = 0.0
    """Time at which it passes (x, y), apart from drift."""

    def at(self, t_s: float) -> tuple[float, float, float]:
        """See Path."""
        t = t_s - self.t0_s
        half = self.turn_rad_s * t / 2
        chord = self.speed_px_s * t * (math.sin(half) / half if abs(half) > 1e-9 else 1.0)
        heading = self.heading_rad + 2 * half
        side = slope = 0.0
        for amplitude, omega, phase in self.drift:
            side += self.speed_px_s * amplitude / omega * math.sin(omega * t + phase)
            slope += amplitude * math.cos(omega * t + phase)
        x = self.x + chord * math.cos(self.heading_rad + half) - side * math.sin(heading)
        y = self.y + chord * math.sin(self.heading_rad + half) + side * math.cos(heading)
        return x, y, heading + math.atan(slope)


@dataclass(frozen=True, slots=True)
class Waypoints:
    """Straight segments between given points at given times, extrapolated straight at both ends."""

    points: tuple[tuple[float, float, float], ...]
    """(t_s, x, y), at least two, times strictly increasing."""

    def at(self, t_s: float) -> tuple[float, float, float]:
        """See Path."""
        last = len(self.points) - 2
        i = next((i for i in range(last) if t_s < self.points[i + 1][0]), last)
        (t0, x0, y0), (t1, x1, y1) = self.points[i], self.points[i + 1]
        f = (t_s - t0) / (t1 - t0)
        return x0 + f * (x1 - x0), y0 + f * (y1 - y0), math.atan2(y1 - y0, x1 - x0)


@dataclass(frozen=True, slots=True)
class Pose:
    """A sperm at one time."""

    x: float
    """Centre of the head, px."""
    y: float
    heading_rad: float
    """Of the head's axis, towards its front."""
    roll_rad: float
    """About that axis; 0: the flat side faces the viewer."""
    beat_rad: float
    """Phase of the tail's wave at the neck."""
    defocus_um: float = 0.0
    """Distance from the focal plane."""


def random_path(rng: np.random.Generator, sperm: Sperm, x: float, y: float, um_per_px: float) -> Arc:
    """Draw a path through (x, y) px at time 0, in any direction, as this sperm swims."""
    omegas = rng.uniform(0.8, 3.0, 3)
    phases = rng.uniform(0, 2 * math.pi, 3)
    # Sum over components of amplitude^2 (1 - cos omega) is the variance of the change of heading over one second.
    amplitude = math.radians(sperm.wander_deg) / math.sqrt(float(np.sum(1 - np.cos(omegas))))
    return Arc(
        x=x,
        y=y,
        heading_rad=float(rng.uniform(0, 2 * math.pi)),
        speed_px_s=sperm.speed_um_s / um_per_px,
        turn_rad_s=math.radians(sperm.turn_deg_s),
        drift=tuple((amplitude, float(o), float(p)) for o, p in zip(omegas, phases, strict=True)),
    )


@dataclass(frozen=True, slots=True)
class Swimmer:
    """A sperm in the field: its shape, its path and its phases."""

    sperm: Sperm
    path: Path
    um_per_px: float
    beat0_rad: float = 0.0
    """Phase of the beat at time 0."""
    roll0_rad: float = 0.0
    depth_um: float = 0.0
    """Mean distance from the focal plane."""
    swing_um: float = 0.0
    """Amplitude of its slow movement through the focal plane."""
    swing_phase_rad: float = 0.0
    rolls: Timeline = ()
    """(t_s, rad): its roll, in place of an even rotation; empty: even."""
    defocus: Timeline = ()
    """(t_s, um): distance from the focal plane, in place of depth and swing; empty: those."""

    def pose(self, t_s: float) -> Pose:
        """Return the sperm's position and orientation at ``t_s``."""
        sperm = self.sperm
        x, y, heading = self.path.at(t_s)
        beat = self.beat0_rad + 2 * math.pi * sperm.beat_hz * t_s
        beating = 1.0 if sperm.beat_hz > 0 else 0.0
        sway_px = beating * sperm.sway_um / self.um_per_px * math.sin(beat)
        yaw = beating * min(MAX_YAW_RAD, YAW_RAD_PER_UM * sperm.sway_um) * math.cos(beat)
        roll = at_time(self.rolls, t_s) if self.rolls else self.roll0_rad + 2 * math.pi * sperm.roll_hz * t_s
        swing = self.swing_um * math.sin(SWING_RAD_S * t_s + self.swing_phase_rad)
        return Pose(
            x=x - sway_px * math.sin(heading),
            y=y + sway_px * math.cos(heading),
            heading_rad=heading + yaw,
            roll_rad=roll,
            beat_rad=beat,
            defocus_um=at_time(self.defocus, t_s) if self.defocus else self.depth_um + swing,
        )


def random_swimmer(rng: np.random.Generator, sperm: Sperm, x: float, y: float, um_per_px: float) -> Swimmer:
    """Put a sperm at (x, y) px at time 0 with random direction, phases and focus.

    A swimmer starts at any roll; one that hardly rolls lies nearly flat.
    """
    return Swimmer(
        sperm=sperm,
        path=random_path(rng, sperm, x, y, um_per_px),
        um_per_px=um_per_px,
        beat0_rad=float(rng.uniform(0, 2 * math.pi)),
        roll0_rad=float(rng.uniform(0, 2 * math.pi) if sperm.roll_hz > 0.3 else rng.normal(0, 0.4)),
        depth_um=float(rng.normal(0, 0.8)),
        swing_um=float(rng.exponential(0.5)),
        swing_phase_rad=float(rng.uniform(0, 2 * math.pi)),
    )


def at_time(timeline: Timeline, t_s: float) -> float:
    """Return the value at a time: linear between the points, constant outside.

    Of two points at one time, the later one holds from that time on (a jump).
    """
    after = bisect_right(timeline, t_s, key=itemgetter(0))
    if after == 0:
        return timeline[0][1]
    if after == len(timeline):
        return timeline[-1][1]
    (t0, v0), (t1, v1) = timeline[after - 1], timeline[after]
    return v0 + (v1 - v0) * (t_s - t0) / (t1 - t0)
