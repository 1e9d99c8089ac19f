"""One followed head: its motion, its looks, and how well both were supported lately.

The same state serves the selected sperm and their neighbours, which are followed only so as not to be mistaken for a
selected one. This module knows one head; it does not know the picture it was found in, nor what state follows
(``tracker.heads.state``).
"""

import math
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.heads.home import Home
from tracker.matching.lazy_image import Floats
from tracker.matching.matcher import Peak
from tracker.matching.prepared_frame import keep
from tracker.params import HeadParams

HISTORY_FRAMES: Final = 16
"""More than a fit of the velocity before a crossing needs."""


class LossReason(StrEnum):
    """Why a head is followed no more; the value is what people read."""

    LEFT_FRAME = "left the frame"
    FRAMES_MISSING = "frames missing"
    ALREADY_FOLLOWED = "already followed"
    FIELD_CHANGED = "field changed"
    NOTHING_TO_SEE = "nothing to see"
    LOOKS_DIFFERENT = "looks different"
    FADED = "faded"


@dataclass(frozen=True, slots=True)
class Loss:
    """That a head is lost, and why."""

    reason: LossReason
    followed_as: int | None = None
    """With ALREADY_FOLLOWED: the selected sperm that it is."""

    @property
    def words(self) -> str:
        """The reason for the screen."""
        return self.reason if self.followed_as is None else f"{self.reason} as {self.followed_as}"


@dataclass(slots=True, eq=False)
class Head:
    """State of one followed head. Positions in px, velocities in px/s relative to the field."""

    key: int
    """Unique among all heads ever followed."""
    sperm_id: int | None
    """Number of the selected sperm; None for a neighbour."""
    x: float
    y: float
    template: Floats
    """(t, t)"""
    energy_reference: float
    vx: float = 0.0
    vy: float = 0.0
    age_s: float = 0.0
    ncc: float = 1.0
    """Smoothed correlation with the template."""
    energy: float = 0.0
    energy_long: float = 0.0
    unsupported_s: float = 0.0
    """How long it has been without support, or lost."""
    last_good_template: Floats | None = None
    """(t, t) template when it was last supported: what a lost head is known again by."""
    last_good_energy: float = 0.0
    """Energy reference at that time."""
    home: Home | None = None
    """Of a selected head: where it last rested."""
    at_home: bool = False
    """It has rested, and was clearly seen at home in this frame: its energy says nothing."""
    loss: Loss | None = None
    """Set while it is not followed any more but only sought."""
    anchor: tuple[float, float] = (0.0, 0.0)
    still_s: float = 0.0
    """How long it has stayed near the anchor: a still head becomes background and has no energy."""
    spread: float = 0.0
    """Smoothed energy round about beside that of the head itself: small for a head alone, large inside a clump."""
    doubled_s: float = 0.0
    """How long another head's track has been on the same place."""
    first_looks: Floats | None = None
    """Of a selected head: its looks at selection."""
    twin: int | None = None
    """Key of a head that came forth beside it just after selection."""
    mistakable: bool = False
    """Two heads were one when it was selected, and parted: which was meant is unknown."""
    swap_margin: float = 1.0
    """By how much the last crossing's identities fit better as they are than swapped."""
    displaced: bool = False
    """The track was put on another head at this frame: what was seen of it before may be another cell."""
    history: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=HISTORY_FRAMES))
    """(age_s, x, y) of the latest frames, moved along with the stage."""

    @property
    def selected(self) -> bool:
        """Whether it is a selected sperm; else a neighbour of one."""
        return self.sperm_id is not None

    @property
    def followed(self) -> bool:
        """Whether it has a place in this frame; else it is lost."""
        return self.loss is None

    def carry(self, shift: tuple[float, float]) -> None:
        """Move along with the stage."""
        dx, dy = shift
        if dx == 0.0 and dy == 0.0:
            return
        self.x += dx
        self.y += dy
        if self.home is not None:
            self.home.carry(shift)
        self.anchor = (self.anchor[0] + dx, self.anchor[1] + dy)
        self.history = deque(((t, x + dx, y + dy) for t, x, y in self.history), maxlen=HISTORY_FRAMES)

    def predicted(self, interval_s: float) -> tuple[float, float]:
        """Return where the head should be after ``interval_s``."""
        return self.x + self.vx * interval_s, self.y + self.vy * interval_s

    def move(self, x: float, y: float, peak: Peak, local_energy: float, interval_s: float, params: HeadParams) -> None:
        """Take the new position and learn from it; ``local_energy`` is the highest energy near it."""
        old = keep(params.velocity_keep, interval_s)
        self.vx = old * self.vx + (1 - old) * (x - self.x) / interval_s
        self.vy = old * self.vy + (1 - old) * (y - self.y) / interval_s
        self.x, self.y = x, y
        self.displaced = False
        self.age_s += interval_s
        self.history.append((self.age_s, x, y))
        old = keep(params.reference_keep, interval_s)
        self.energy_reference = old * self.energy_reference + (1 - old) * local_energy
        old = keep(params.ncc_keep, interval_s)
        self.ncc = old * self.ncc + (1 - old) * peak.ncc
        old = keep(params.energy_keep, interval_s)
        self.energy = old * self.energy + (1 - old) * peak.energy
        old = keep(params.energy_long_keep, interval_s)
        self.energy_long = old * self.energy_long + (1 - old) * peak.energy

    def go_home(self, home: Home, x: float, y: float, local_energy: float) -> None:
        """Put the track back where the head is to be seen, and forget what it took in meanwhile."""
        self.x, self.y, self.vx, self.vy = x, y, 0.0, 0.0
        self.energy_reference = self.energy = self.energy_long = local_energy
        self.ncc = 1.0
        self.anchor, self.still_s = (x, y), home.rested_s
        self.displaced = True

    def rest(self, reach_px: float, interval_s: float) -> None:
        """Take note of whether it stays, with support, within ``reach_px`` of where it was."""
        self.still_s += interval_s
        if self.unsupported_s or math.hypot(self.x - self.anchor[0], self.y - self.anchor[1]) > reach_px:
            self.anchor, self.still_s = (self.x, self.y), 0.0

    def forget_energy(self) -> None:
        """Begin to learn the energy afresh: the background is a new one."""
        self.energy = self.energy_long = self.energy_reference = 0.0

    def note_spread(self, spread: float, interval_s: float, params: HeadParams) -> None:
        """Take in how much energy lies round the head beside that of the head itself."""
        old = keep(params.spread_keep, interval_s)
        self.spread = old * self.spread + (1 - old) * spread

    def learn(self, crop: Floats, interval_s: float, params: HeadParams) -> None:
        """Mix the head's present looks into the template."""
        old = keep(params.template_keep, interval_s)
        self.template = (old * self.template + (1 - old) * crop).astype(np.float32)

    def remember_looks(self) -> None:
        """Keep the present template as what it looks like: it is supported in this frame."""
        self.last_good_template, self.last_good_energy = self.template, self.energy_reference

    def steady_velocity(self, params: HeadParams) -> NDArray[np.float64]:
        """Return (vx, vy) in px/s by a line through some positions that end a little before now."""
        points = np.array(self.history)[: len(self.history) - params.steady_skip_frames][-params.steady_frames :]
        if len(points) < 3:
            return np.array([self.vx, self.vy])
        t = points[:, 0] - points[:, 0].mean()
        spread = float(t @ t)
        return (t @ (points[:, 1:] - points[:, 1:].mean(axis=0))) / spread if spread > 0 else np.zeros(2)
