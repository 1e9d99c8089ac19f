"""One frame of the prepared, prepared: what every other part of the tracker reads. Values only."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.transport.messages import Cause
from tracker.matching.lazy_image import LazyImage
from tracker.params import DEFAULT_PARAMS, TrackerParams

Points = NDArray[np.float64]

REFERENCE_HZ: Final = 49.0
"""Constants per frame were found at this frame rate; they are scaled by the true frame interval."""


class Disturbance(StrEnum):
    """What disturbs the whole field; the value is what people read."""

    NONE = ""
    NOTHING_TO_SEE = "nothing to see"
    FROZEN = "picture frozen"
    EXPOSURE_CHANGED = "exposure changed"
    FOCUS_CHANGED = "focus changed"
    STAGE_MOVING = "stage moving"
    STAGE_JUMPED = "stage jumped"
    FIELD_CHANGED = "field changed"


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame as a picture."""

    repeats: int = 0
    """So many frames just before this one show exactly the same."""
    frozen: bool = False
    """So many that no camera does it by itself."""
    sharpness: float | None = None
    """How much of its height an edge rises over a tenth of a head: 0.41 and more in focus, 0.35 and less out of it;
    None where there are no edges to judge by."""
    saturated: float = 0.0
    """Share of pixels at 255."""
    brightest: float = 255.0
    """Grey level that 99 % of the pixels do not pass."""
    faults: tuple[Cause, ...] = ()
    """What is wrong with it."""


@dataclass(frozen=True, slots=True)
class PreparedFrame:
    """One frame as the matching sees it. The arrays are valid until the next frame."""

    frame_seq: int
    t_source_ns: int
    exposure_id: int
    gap: bool
    """Frames are missing between the frame before and this one."""
    pixels: NDArray[np.uint8]
    """(H, W) as captured."""
    still: NDArray[np.uint8]
    """(H, W) the background as this frame sees it."""
    deadband: float
    """Grey levels of difference from it that count as nothing."""
    energy: LazyImage
    """(H, W) smoothed distance from the background in grey levels."""
    planes: object
    """What the matcher needs of this frame, in its own form."""
    level: float
    """Median grey level."""
    floor: float
    """Energy below this is nothing."""
    head_px: float
    """Edge of the box round a head in px; every length in the tracker is a multiple of it."""
    interval_s: float
    """Time since the frame before."""
    watched_s: float
    """How long the background has been learnt."""
    origin: tuple[float, float]
    """How far the stage has moved the picture since the first frame, (x, y) in px: positions less this are fixed."""
    shift: tuple[float, float]
    """How far the stage moved the picture since the frame before, (x, y) in px."""
    restarted: bool
    """The background begins anew with this frame: energies from before mean nothing."""
    disturbance: Disturbance
    picture: Picture
    params: TrackerParams = DEFAULT_PARAMS
    every: int = 1
    """One in so many frames of the source comes."""
    of_sent: int = 1
    """So far apart are the numbers of those that come."""

    @property
    def replaced(self) -> bool:
        """Whether this is not the field of the frame before, or where it went is unknown."""
        return self.disturbance is Disturbance.FIELD_CHANGED

    @property
    def blank(self) -> bool:
        """Whether there is nothing to see."""
        return self.disturbance is Disturbance.NOTHING_TO_SEE

    @property
    def frozen(self) -> bool:
        """Whether the camera shows an old picture: as good as no frame at all."""
        return self.disturbance is Disturbance.FROZEN

    @property
    def unfit(self) -> bool:
        """Whether the frame must not enter a window: the field is disturbed by more than a moving stage."""
        return self.disturbance not in (Disturbance.NONE, Disturbance.STAGE_MOVING)

    @property
    def slack(self) -> float:
        """How many times farther than at the reference frame rate a head may stray from its prediction."""
        return min(self.params.matching.most_slack, max(1.0, math.sqrt(self.interval_s * REFERENCE_HZ)))


def keep(share: float, interval_s: float) -> float:
    """Return the share of an old value to keep over ``interval_s``, from the share per reference frame."""
    return float(share ** (interval_s * REFERENCE_HZ))
