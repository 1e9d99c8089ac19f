"""How good tracks are beside hand-made ones. Knows positions and states, no pictures.

A segment is one hand-made track followed for SEGMENT frames. It survives if no RUN frames in a row are off target: over
GATE_PX from the centre of the hand-made box. It is a moving one if its net travel is over MOVING_PX.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from station.errors import InputError
from station.files import open_regular

SKIPPED, SEGMENT, STEP, RETRY = 12, 150, 100, 10
GATE_PX, RUN, MOVING_PX = 16.0, 8, 30.0
NEAR_PX = 40.0
"""What is nearer than this to a sperm may have to do with its failure."""
WORTH_A_LOOK = 0.02
"""A segment with a larger share of wrongly locked frames is listed, even if it survives."""
RESAMPLES = 1000
INTERVAL_PERCENT = (2.5, 97.5)

Tracks = dict[int, dict[int, tuple[float, float]]]
Answers = Mapping[str, Mapping[int, tuple[float, float, str]]]


@dataclass(frozen=True, slots=True)
class Segment:
    """One hand-made track, followed for a while."""

    name: str
    sperm: int
    frames: range
    centres: NDArray[np.float64]
    """(SEGMENT, 2)"""

    @property
    def moving(self) -> bool:
        """Whether it gets anywhere."""
        return bool(np.hypot(*(self.centres[-1] - self.centres[0])) > MOVING_PX)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one segment was followed. Shares of its frames."""

    segment: Segment
    survived: bool
    on_target: float
    wrong_lock: float
    locked_right: float


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares of segments (survival) and of frames (the rest); None where there are no segments."""

    segments: int
    survival: float | None
    on_target: float | None
    wrong_lock: float | None
    """Locked and off target: the wrong thing would be graded."""
    locked_right: float | None
    """Locked and on target."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Where and when a segment went wrong."""

    segment: Segment
    survived: bool
    wrong_lock: float
    frame: int
    """First frame off target of the longest run, or of those wrongly locked."""
    x: float
    """Where the sperm was then, px."""
    y: float
    state: str
    """What the tracker said then."""
    near: tuple[tuple[int, float], ...]
    """Other hand-made tracks then, the nearest first, and their distances in px."""
    ends_on: int | None
    """Whose hand-made centre the track is nearest to in the last frame, within the gate."""

    @property
    def words(self) -> str:
        """All of it in one line."""
        kind = "moving" if self.segment.moving else "still"
        what = "survived" if self.survived else "not followed"
        near = ", ".join(f"{sperm} at {px:.0f} px" for sperm, px in self.near) or "none labelled"
        end = "" if self.ends_on in (None, self.segment.sperm) else f"; ends on {self.ends_on}"
        return (
            f"{self.segment.name} ({kind}): {what}, wrong lock {self.wrong_lock:.0%}; off from frame {self.frame} at"
            f" ({self.x:.0f}, {self.y:.0f}), {self.state or 'no answer'}; near: {near}{end}"
        )


def tracks_of(path: Path) -> Tracks:
    """Read MOT text: {id: {frame from 0: (x, y) of the box centre}}. Raises InputError where it cannot be read."""
    tracks: Tracks = defaultdict(dict)
    try:
        with open_regular(path) as file:
            rows = np.loadtxt(file, delimiter=",", ndmin=2)
        for frame, ident, x, y, w, h, *_ in rows:
            tracks[int(ident)][int(frame) - 1] = (x + w / 2, y + h / 2)
    except (OSError, ValueError) as error:
        raise InputError(f"--gt {path}: expected MOT text, frame,id,x,y,w,h,... ({error})") from error
    return tracks


def segments(tracks: Tracks) -> Iterator[Segment]:
    """Yield every segment."""
    for sperm in sorted(tracks):
        centres = tracks[sperm]
        start, last = max(min(centres), SKIPPED), max(centres)
        while start + SEGMENT <= last:
            frames = range(start, start + SEGMENT)
            whole = all(f in centres for f in frames)
            if whole:
                yield Segment(f"{sperm}@{start}", sperm, frames, np.array([centres[f] for f in frames]))
            start += STEP if whole else RETRY


def outcomes(tracks: Tracks, answers: Answers) -> list[Outcome]:
    """Return how each segment was followed. A frame without an answer is off target."""
    found = []
    for segment in segments(tracks):
        off, locked = _compared(segment, answers)
        found.append(
            Outcome(
                segment,
                longest_run(off) < RUN,
                float((~off).mean()),
                float((locked & off).mean()),
                float((locked & ~off).mean()),
            )
        )
    return found


def score(tracks: Tracks, answers: Answers) -> dict[str, Quality]:
    """Return the quality over "all" segments and over the "moving" ones."""
    return qualities(outcomes(tracks, answers))


def qualities(rows: Sequence[Outcome]) -> dict[str, Quality]:
    """Return the quality over "all" segments and over the "moving" ones."""
    return {"all": _quality(rows), "moving": _quality([row for row in rows if row.segment.moving])}


def interval(rows: Sequence[Outcome], figure: str) -> tuple[float, float] | None:
    """Return the 95 % interval of a figure's mean, by drawing segments anew with replacement; None without any."""
    if not rows:
        return None
    values = np.array([_FIGURES[figure](row) for row in rows])
    drawn = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), INTERVAL_PERCENT).tolist()
    return low, high


def failures(tracks: Tracks, answers: Answers) -> list[Failure]:
    """Return the segments that were not followed, or were wrongly locked for more than a moment."""
    found = []
    for row in outcomes(tracks, answers):
        if row.survived and row.wrong_lock <= WORTH_A_LOOK:
            continue
        segment = row.segment
        off, locked = _compared(segment, answers)
        at = int(np.argmax(off & locked)) if row.survived else _start_of_longest(off)
        frame = segment.frames[at]
        x, y = segment.centres[at].tolist()
        others = ((k, t[frame]) for k, t in tracks.items() if k != segment.sperm and frame in t)
        near = sorted(((k, float(np.hypot(u - x, v - y))) for k, (u, v) in others), key=lambda pair: pair[1])
        given = answers.get(segment.name, {})
        last = segment.frames[-1]
        ends_on = None
        if last in given:
            u, v, _ = given[last]
            there = {k: float(np.hypot(t[last][0] - u, t[last][1] - v)) for k, t in tracks.items() if last in t}
            nearest = min(there, key=lambda k: there[k])
            ends_on = nearest if there[nearest] <= GATE_PX else None
        found.append(
            Failure(
                segment,
                row.survived,
                row.wrong_lock,
                frame,
                x,
                y,
                given.get(frame, (0.0, 0.0, ""))[2],
                tuple((k, px) for k, px in near[:2] if px <= NEAR_PX),
                ends_on,
            )
        )
    return found


def longest_run(flags: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of True."""
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest


_FIGURES: dict[str, Callable[[Outcome], float]] = {
    "survival": lambda row: float(row.survived),
    "on_target": lambda row: row.on_target,
    "wrong_lock": lambda row: row.wrong_lock,
    "locked_right": lambda row: row.locked_right,
}


def _compared(segment: Segment, answers: Answers) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return, frame by frame, whether the answers to a segment are off target, and whether they are locked."""
    given = [answers.get(segment.name, {}).get(f, (np.nan, np.nan, "")) for f in segment.frames]
    off = ~(np.hypot(*(np.array([g[:2] for g in given]) - segment.centres).T) <= GATE_PX)
    return off, np.array([g[2] == "locked" for g in given])


def _start_of_longest(flags: NDArray[np.bool_]) -> int:
    """Return where the longest run of True begins."""
    longest = run = begin = 0
    for k, flag in enumerate(flags):
        run = run + 1 if flag else 0
        if run > longest:
            longest, begin = run, k - run + 1
    return begin


def _quality(rows: Sequence[Outcome]) -> Quality:
    if not rows:
        return Quality(0, None, None, None, None)
    return Quality(len(rows), *(float(np.mean([figure(row) for row in rows])) for figure in _FIGURES.values()))
