"""Footage with hand-made tracks: as it is, through a window that moves over it as an operator moves the stage, or two
clips in one picture.

``panned`` makes the same picture and the same path as the project's pan.py: rests of 0.6 to 1.5 s, then a glide to a
new place with a smooth start and stop. This module knows frames and hand-made tracks; it tracks nothing.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.support.tracking.score import Tracks, segments, tracks_of
from capture.files.video import VideoFile
from station.errors import InputError

WINDOW = (448, 336)
"""Width and height of the moving window."""
INSIDE_PX = 12
"""A sperm whose box centre is nearer to the window's edge is not scored."""
REST_S = (0.6, 1.5)
PAN_SEED, JITTER_SEED = 7, 5

Shown = tuple[NDArray[np.uint8], int]
"""A frame (H, W) and its source time, ns."""


@dataclass(frozen=True, slots=True)
class Start:
    """A sperm to follow: where it is in which frame (from 0)."""

    segment: str
    frame: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Clip:
    """Footage and what is known of it."""

    name: str
    frames: Callable[[], Iterator[Shown]]
    tracks: Tracks

    def starts(self, jitter_px: float = 0.0, turn: int = 0) -> list[Start]:
        """Return every segment's first place, displaced at random by so much (standard deviation), in any ``turn``
        otherwise.
        """
        rng = np.random.default_rng(JITTER_SEED + turn)
        found = []
        for segment in segments(self.tracks):
            x, y = (segment.centres[0] + rng.normal(0.0, 1.0, 2) * jitter_px).tolist()
            found.append(Start(segment.name, segment.frames[0], x, y))
        return found


def video_frames(video: Path) -> Iterator[Shown]:
    """Yield the frames of a video."""
    with VideoFile(video) as source:
        while (frame := source.read()) is not None:
            yield frame.pixels, frame.t_source_ns


def clip(video: Path, gt: Path) -> Clip:
    """Return a video with its hand-made tracks. Raises InputError where these cannot be read."""
    return Clip(f"{video.parent.name}/{video.name}", lambda: video_frames(video), tracks_of(gt))


def panned(video: Path, gt: Path, speed_px_s: float) -> Clip:
    """Return a video through a window that rests and glides at a speed; 0.001 px/s for one that stays."""
    with VideoFile(video) as source:
        width, height, fps = source.info.width, source.info.height, source.info.fps
    count = sum(1 for _ in video_frames(video))
    path = pan_path(count, width, height, fps, speed_px_s)

    def frames() -> Iterator[Shown]:
        for (pixels, t_ns), (x, y) in zip(video_frames(video), path, strict=True):
            move = np.array([[1.0, 0.0, -x], [0.0, 1.0, -y]], np.float32)
            seen = cv2.warpAffine(pixels, move, WINDOW, flags=cv2.INTER_LINEAR)
            yield np.asarray(seen, np.uint8), t_ns

    tracks: Tracks = {}
    for sperm, places in tracks_of(gt).items():
        seen = {f: (x - path[f, 0], y - path[f, 1]) for f, (x, y) in places.items() if f < count}
        inside = {f: (x, y) for f, (x, y) in seen.items() if _is_inside(x, y)}
        if inside:
            tracks[sperm] = inside
    return Clip(f"{video.parent.name}/{video.name} panned at {speed_px_s:g} px/s", frames, tracks)


def mixed(one: Clip, other: Clip, sigma_px: float) -> Clip:
    """Return a crowd a little out of focus: two clips of one size in one picture, smoothed, with the tracks of both."""

    def frames() -> Iterator[Shown]:
        for (pixels, t_ns), (more, _) in zip(one.frames(), other.frames(), strict=False):
            if pixels.shape != more.shape:
                raise InputError(f"{other.name}: expected frames of the size of {one.name}; mix clips of one size")
            both = pixels.astype(np.float32) + more - np.float32(np.median(more[::4, ::4]))
            if sigma_px > 0:
                both = np.asarray(cv2.GaussianBlur(both, (0, 0), sigma_px), np.float32)
            yield np.clip(np.rint(both), 0, 255).astype(np.uint8), t_ns

    shared = min(max(max(places) for places in tracks.values()) for tracks in (one.tracks, other.tracks) if tracks)
    tracks: Tracks = {}
    for offset, its in ((0, one.tracks), (1 + max(one.tracks, default=0), other.tracks)):
        for sperm, places in its.items():
            if kept := {f: place for f, place in places.items() if f <= shared}:
                tracks[offset + sperm] = kept
    return Clip(f"{one.name} and {other.name} mixed, smoothed by {sigma_px:g} px", frames, tracks)


def pan_path(count: int, width: int, height: int, fps: float, speed_px_s: float) -> NDArray[np.float64]:
    """Return the window's upper left corner (count, 2) in px of the video, frame by frame."""
    rng = np.random.default_rng(PAN_SEED)
    most = np.array([width - WINDOW[0], height - WINDOW[1]], float)
    place, path = most / 2, list[NDArray[np.float64]]()
    while len(path) < count:
        path += itertools.repeat(place, int(rng.uniform(*REST_S) * fps))
        goal = np.array([rng.uniform(0, most[0]), rng.uniform(0, most[1])])
        steps = max(4, int(np.hypot(*(goal - place)) / speed_px_s * fps))
        share = np.arange(min(steps, count + 1)) / (steps - 1)
        path += [place + (goal - place) * s for s in share**2 * (3 - 2 * share)]
        place = goal
    return np.array(path[:count])


def _is_inside(x: float, y: float) -> bool:
    return INSIDE_PX < x < WINDOW[0] - INSIDE_PX and INSIDE_PX < y < WINDOW[1] - INSIDE_PX
