"""Where a sperm has been, and how it swims: velocities, straightness, head amplitude and beat from a trajectory.

Definitions after the WHO laboratory manual (6th edition, 2021, section 4.5 on computer-aided analysis):

    VCL  um/s  curvilinear: length of the path through all positions, per time
    VSL  um/s  straight-line: distance from the first to the last position, per time
    VAP  um/s  average-path: length of the smoothed path, per time
    LIN  = VSL / VCL, STR = VSL / VAP, WOB = VAP / VCL
    ALH  um    amplitude of lateral head displacement: twice the head's distance from the average path at its local
               maxima; their largest and their mean
    BCF  Hz    beat-cross frequency: crossings of the average path, per time
    MAD  deg   mean absolute angle by which the path turns from one step to the next

The average path is a running mean over SMOOTHING_S seconds (not a number of frames), weighted by the time each sample
stands for. VCL depends on the frame rate by its nature: a head that swings at f Hz about a straight path is seen as a
polygon, whose length falls as samples get fewer than about 6 f per second; BCF cannot exceed the frame rate, and is not
given below a rate at which the beat could be seen at all. Values from different frame rates must not be compared. This
module knows numbers, no pictures; it refuses rather than guesses.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from station.clock import NS_PER_S

SMOOTHING_S = 0.2
LEAST_S = 0.9
"""A trajectory that spans less is refused."""
LEAST_POINTS = 12
MAX_HOLE_S = 0.25
"""A hole longer than this in the trajectory is refused: where the head was meanwhile is a guess."""
LEAST_BEAT_HZ = 30.0
"""Below this frame rate neither ALH nor BCF is given: beats of 5 to 15 Hz cannot be seen."""
LEAST_SWING_PX = 0.1
"""A smaller distance from the average path is the tracker's own error."""
RAPID_UM_S, SLOW_UM_S, PROGRESSIVE_STR = 25.0, 5.0, 0.45
"""WHO 2021: rapidly progressive from 25 um/s, slowly from 5 um/s. Straightness tells progressive from not."""


class Motility(StrEnum):
    """WHO 2021 classes in words; the manual's letters a-d are not used, as grades have letters too."""

    RAPID = "rapidly progressive"
    SLOW = "slowly progressive"
    NON_PROGRESSIVE = "non-progressive"
    IMMOTILE = "immotile"


class Trajectory:
    """Positions of one sperm over the last ``seconds``, with their true times.

    It is longer than the window of pixels (16 frames are too short for motion) and lives on through frames that are
    not locked: those are missing samples, not a reason to begin again. Positions are kept relative to the field, so
    that a move of the stage is not a movement of the sperm.
    """

    def __init__(self, seconds: float = 2.0) -> None:
        """``seconds``: how much is kept."""
        self._keep_ns = round(seconds * NS_PER_S)
        self._points: deque[tuple[int, float, float]] = deque()

    def clear(self) -> None:
        """Forget: what follows is another sperm, or nobody knows."""
        self._points.clear()

    def add(self, t_source_ns: int, x_px: float, y_px: float) -> None:
        """Take a locked position in px, relative to the field; a time that does not rise begins again."""
        if self._points and t_source_ns <= self._points[-1][0]:
            self.clear()
        self._points.append((t_source_ns, x_px, y_px))
        while self._points[0][0] < t_source_ns - self._keep_ns:
            self._points.popleft()

    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return times (T,) in s from the first sample, and positions (T, 2) in px."""
        if not self._points:
            return np.zeros(0), np.zeros((0, 2))
        first = self._points[0][0]
        table = np.array([((t - first) / NS_PER_S, x, y) for t, x, y in self._points])
        return table[:, 0], table[:, 1:]


@dataclass(frozen=True, slots=True)
class Kinematics:
    """What a trajectory shows. NaN where the frame rate does not allow a value."""

    vcl_um_s: float
    vsl_um_s: float
    vap_um_s: float
    lin: float
    str_: float
    wob: float
    alh_max_um: float
    alh_mean_um: float
    bcf_hz: float
    mad_deg: float
    motility: Motility
    confidence: float
    """0 to 1: share of the expected samples that are there, times how far the class is from its nearest limit."""
    rate_hz: float
    """Samples per second that this comes from; values of different rates must not be compared."""
    duration_s: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there are no kinematics, in a few words for the screen."""

    reason: str


def kinematics(t_s: NDArray[np.float64], xy_px: NDArray[np.float64], um_per_px: float | None) -> Kinematics | Refusal:
    """Return the kinematics of positions (T, 2) in px at true times (T,) in s, or why they are refused.

    ``um_per_px`` None means that the scale is not set.
    """
    if um_per_px is None:
        return Refusal("um/px is not set")
    if len(t_s) < LEAST_POINTS or t_s[-1] - t_s[0] < LEAST_S:
        return Refusal(f"followed for less than {LEAST_S:g} s")
    steps_s = np.diff(t_s)
    if steps_s.max() > MAX_HOLE_S:
        return Refusal(f"a hole of {steps_s.max():.2f} s")
    xy = xy_px * um_per_px
    path = average_path(t_s, xy)
    # The average path is whole but for half a smoothing window at each end. Everything is reckoned over that span.
    whole = (t_s >= t_s[0] + SMOOTHING_S / 2) & (t_s <= t_s[-1] - SMOOTHING_S / 2)
    t_s, xy, path = t_s[whole], xy[whole], path[whole]
    duration_s = float(t_s[-1] - t_s[0])
    usual_s = float(np.median(np.diff(t_s)))
    vcl, vap = _length(xy) / duration_s, _length(path) / duration_s
    vsl = float(np.hypot(*(xy[-1] - xy[0]))) / duration_s
    alh_max = alh_mean = bcf = float("nan")
    if 1 / usual_s >= LEAST_BEAT_HZ:
        side = lateral(xy, path)
        side[np.abs(side) < LEAST_SWING_PX * um_per_px] = 0.0
        swings = 2 * np.abs(side[_peaks(np.abs(side))])
        alh_max, alh_mean = (float(swings.max()), float(swings.mean())) if len(swings) else (0.0, 0.0)
        bcf = _crossings(side) / duration_s
    # The ends of the path are positions, those of the average path are means: VSL can come out a little larger.
    straightness = min(1.0, _ratio(vsl, vap))
    motility, clearness = classify(vap, straightness)
    return Kinematics(
        vcl_um_s=vcl,
        vsl_um_s=vsl,
        vap_um_s=vap,
        lin=_ratio(vsl, vcl),
        str_=straightness,
        wob=_ratio(vap, vcl),
        alh_max_um=alh_max,
        alh_mean_um=alh_mean,
        bcf_hz=bcf,
        mad_deg=_mean_turn_deg(xy),
        motility=motility,
        confidence=min(1.0, len(t_s) * usual_s / (duration_s + usual_s)) * clearness,
        rate_hz=1 / usual_s,
        duration_s=duration_s,
    )


def average_path(t_s: NDArray[np.float64], xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the running mean (T, 2) over SMOOTHING_S of positions (T, 2), exact for any spacing of the samples.

    The positions are joined by straight lines and the mean is the integral over the window divided by its length, so
    that dropped frames do not bend the path. At the ends the window shrinks to what is symmetric.
    """
    area = np.vstack([np.zeros(2), np.cumsum((xy[1:] + xy[:-1]) / 2 * np.diff(t_s)[:, None], axis=0)])
    half = np.minimum(SMOOTHING_S / 2, np.minimum(t_s - t_s[0], t_s[-1] - t_s))
    path = xy.copy()
    inner = half > 0
    upper, lower = (t_s + half)[inner], (t_s - half)[inner]
    path[inner] = (_integral(upper, t_s, xy, area) - _integral(lower, t_s, xy, area)) / (2 * half[inner])[:, None]
    return path


def lateral(xy: NDArray[np.float64], path: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance (T,) of each position from the average path, positive to the right of its direction."""
    along = np.gradient(path, axis=0)
    size = np.hypot(along[:, 0], along[:, 1])
    size[size == 0] = 1.0
    off = xy - path
    return np.asarray((along[:, 0] * off[:, 1] - along[:, 1] * off[:, 0]) / size)


def classify(vap_um_s: float, straightness: float) -> tuple[Motility, float]:
    """Return the WHO 2021 class and how clear it is: 0 at a limit between two classes, 1 a quarter away from it."""
    if vap_um_s < SLOW_UM_S / 2:
        return Motility.IMMOTILE, _clearness(vap_um_s, SLOW_UM_S / 2)
    clear = _clearness(straightness, PROGRESSIVE_STR)
    if straightness < PROGRESSIVE_STR or vap_um_s < SLOW_UM_S:
        return Motility.NON_PROGRESSIVE, min(_clearness(vap_um_s, SLOW_UM_S / 2), max(clear, 0.0))
    if vap_um_s < RAPID_UM_S:
        return Motility.SLOW, min(clear, _clearness(vap_um_s, SLOW_UM_S), _clearness(vap_um_s, RAPID_UM_S))
    return Motility.RAPID, min(clear, _clearness(vap_um_s, RAPID_UM_S))


def _clearness(value: float, limit: float) -> float:
    return min(1.0, abs(value - limit) / (0.25 * limit))


def _integral(
    at: NDArray[np.float64], t_s: NDArray[np.float64], xy: NDArray[np.float64], area: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the integral of the joined positions from the first time to ``at`` (N,), as (N, 2)."""
    k = np.clip(np.searchsorted(t_s, at, side="right") - 1, 0, len(t_s) - 2)
    part = (at - t_s[k])[:, None]
    slope = (xy[k + 1] - xy[k]) / (t_s[k + 1] - t_s[k])[:, None]
    return np.asarray(area[k] + xy[k] * part + slope * part**2 / 2)


def _length(xy: NDArray[np.float64]) -> float:
    return float(np.hypot(*np.diff(xy, axis=0).T).sum())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def _peaks(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the places of inner local maxima."""
    inner = values[1:-1]
    return np.flatnonzero((inner > values[:-2]) & (inner >= values[2:])) + 1


def _crossings(side: NDArray[np.float64]) -> int:
    """Return how often the head crosses its average path."""
    sign = np.sign(side[side != 0])
    return int(np.count_nonzero(sign[1:] != sign[:-1]))


def _mean_turn_deg(xy: NDArray[np.float64]) -> float:
    steps = np.diff(xy, axis=0)
    steps = steps[np.hypot(*steps.T) > 0]
    if len(steps) < 2:
        return 0.0
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    turn = np.angle(np.exp(1j * np.diff(heading)))
    return float(np.degrees(np.abs(turn)).mean())
