"""How good tracks are beside hand-made ones. Knows positions and states, no pictures.

A segment is one hand-made track followed for SEGMENT frames. It survives if no RUN frames in a row are off target: over
GATE_PX from the centre of the hand-made box. It is a moving one if its net travel is over MOVING_PX.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from station.errors import InputError
from station.files import open_regular

SKIPPED, SEGMENT, STEP, RETRY = 12, 150, 100, 10
GATE_PX, RUN, MOVING_PX = 16.0, 8, 30.0

Tracks = dict[int, dict[int, tuple[float, float]]]
Answers = Mapping[str, Mapping[int, tuple[float, float, str]]]


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


def segments(tracks: Tracks) -> Iterator[tuple[str, range, NDArray[np.float64]]]:
    """Yield name, frames and centres (SEGMENT, 2) of every segment."""
    for ident in sorted(tracks):
        centres = tracks[ident]
        start, last = max(min(centres), SKIPPED), max(centres)
        while start + SEGMENT <= last:
            frames = range(start, start + SEGMENT)
            whole = all(f in centres for f in frames)
            if whole:
                yield f"{ident}@{start}", frames, np.array([centres[f] for f in frames])
            start += STEP if whole else RETRY


def score(tracks: Tracks, answers: Answers) -> dict[str, Quality]:
    """Return the quality over "all" segments and over the "moving" ones. A frame without an answer is off target."""
    rows = []
    for name, frames, centres in segments(tracks):
        given = [answers.get(name, {}).get(f, (np.nan, np.nan, "")) for f in frames]
        off = ~(np.hypot(*(np.array([g[:2] for g in given]) - centres).T) <= GATE_PX)
        locked = np.array([g[2] == "locked" for g in given])
        moving = bool(np.hypot(*(centres[-1] - centres[0])) > MOVING_PX)
        rows.append((moving, longest_run(off) < RUN, (~off).mean(), (locked & off).mean(), (locked & ~off).mean()))
    table = np.array(rows, float).reshape(-1, 5)
    return {"all": _quality(table), "moving": _quality(table[table[:, 0] == 1])}


def longest_run(flags: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of True."""
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest


def _quality(table: NDArray[np.float64]) -> Quality:
    if not len(table):
        return Quality(0, None, None, None, None)
    return Quality(len(table), *(float(v) for v in table[:, 1:].mean(axis=0)))
