"""One followed head: its motion, its looks, and how well both were supported lately.

The same state serves the selected sperm and their neighbours, which are followed only so as not to be mistaken for a
selected one. This module knows one head; it does not know the picture it was found in.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tracker.frame import Floats, keep
from tracker.matching import Peak

VELOCITY_KEEP = 0.8
TEMPLATE_KEEP = 0.9
REFERENCE_KEEP = 0.95
NCC_KEEP = 0.8
ENERGY_KEEP = 0.8
ENERGY_LONG_KEEP = 0.98
"""Shares of the old value that are kept per frame at the reference frame rate."""
HISTORY = 16


@dataclass(slots=True)
class Head:
    """State of one followed head. Positions in px, velocities in px/s relative to the field."""

    key: int
    """Unique among all heads ever followed."""
    sperm_id: int
    """Number of the selected sperm; 0 for a neighbour."""
    x: float
    y: float
    template: Floats
    energy_reference: float
    vx: float = 0.0
    vy: float = 0.0
    age_s: float = 0.0
    ncc: float = 1.0
    """Smoothed correlation with the template."""
    energy: float = 0.0
    energy_long: float = 0.0
    unsupported_s: float = 0.0
    swap_margin: float = 1.0
    """By how much the last crossing's identities fit better as they are than swapped."""
    history: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=HISTORY))
    """(age_s, x, y) of the latest frames, moved along with the stage."""

    def carry(self, shift: tuple[float, float]) -> None:
        """Move along with the stage."""
        dx, dy = shift
        if dx == 0.0 and dy == 0.0:
            return
        self.x += dx
        self.y += dy
        self.history = deque(((t, x + dx, y + dy) for t, x, y in self.history), maxlen=HISTORY)

    def predicted(self, interval_s: float) -> tuple[float, float]:
        """Return where the head should be after ``interval_s``."""
        return self.x + self.vx * interval_s, self.y + self.vy * interval_s

    def move(self, x: float, y: float, peak: Peak, local_energy: float, interval_s: float) -> None:
        """Take the new position and learn from it; ``local_energy`` is the highest energy near it."""
        old = keep(VELOCITY_KEEP, interval_s)
        self.vx = old * self.vx + (1 - old) * (x - self.x) / interval_s
        self.vy = old * self.vy + (1 - old) * (y - self.y) / interval_s
        self.x, self.y = x, y
        self.age_s += interval_s
        self.history.append((self.age_s, x, y))
        old = keep(REFERENCE_KEEP, interval_s)
        self.energy_reference = old * self.energy_reference + (1 - old) * local_energy
        old = keep(NCC_KEEP, interval_s)
        self.ncc = old * self.ncc + (1 - old) * peak.ncc
        old = keep(ENERGY_KEEP, interval_s)
        self.energy = old * self.energy + (1 - old) * peak.energy
        old = keep(ENERGY_LONG_KEEP, interval_s)
        self.energy_long = old * self.energy_long + (1 - old) * peak.energy

    def learn(self, crop: Floats, interval_s: float) -> None:
        """Mix the head's present looks into the template."""
        old = keep(TEMPLATE_KEEP, interval_s)
        self.template = (old * self.template + (1 - old) * crop).astype(np.float32)

    def steady_velocity(self, frames: int = 8, skip: int = 2) -> NDArray[np.float64]:
        """Return (vx, vy) in px/s by a line through ``frames`` positions that end ``skip`` frames ago."""
        points = np.array(self.history)[: len(self.history) - skip][-frames:]
        if len(points) < 3:
            return np.array([self.vx, self.vy])
        t = points[:, 0] - points[:, 0].mean()
        spread = float(t @ t)
        return (t @ (points[:, 1:] - points[:, 1:].mean(axis=0))) / spread if spread > 0 else np.zeros(2)
