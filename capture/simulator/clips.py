"""Short clips of one sperm, as the tracker would crop them from the simulated microscope's frames.

Everything is drawn by the code that draws full frames; only the field is no larger than the clip needs. This module
knows neither grades nor files.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from capture.simulator import background
from capture.simulator.motion import Pose, random_swimmer
from capture.simulator.rendering import Portrait
from capture.simulator.sperm import Sperm, sample_sperm

NEIGHBOUR_SHARE = 0.35
"""Share of clips in which another sperm comes within a crop's half edge of the target."""
DEBRIS_PER_PX = 60 / (1392 * 976)
"""Density of debris by the microscope's defaults."""
DEBRIS_FACTOR = (0.5, 20.0)
"""Range of a clip's debris density as multiples of that, log-uniform: from the microscope's to that of real samples,
where a crop of this size shows some twenty specks. Since the head stays at the centre, speed is visible only against
them."""
DEBRIS_STRENGTH = (0.25, 1.0)
"""Range of a piece's contrast: most specks of real samples are faint."""
NOISE_FACTOR = (0.35, 1.3)


@dataclass(frozen=True, slots=True)
class Film:
    """A clip with its ground truth."""

    clip: NDArray[np.uint8]
    """(frames, size, size)."""
    sperm: Sperm
    poses: tuple[Pose, ...]
    """Pose in each frame, in px of the clip: x to the right, y down from its top left px."""


def render_clip(
    sperm: Sperm,
    rng: np.random.Generator,
    *,
    frames: int = 16,
    size: int = 150,
    fps: float = 15.0,
    um_per_px: float = 0.25,
    noise: float = 2.5,
) -> NDArray[np.uint8]:
    """Return (frames, size, size) uint8: the head stays at the centre, within a tracker's small errors.

    Everything a sperm does not determine is drawn from ``rng``: path, phases, focus, light, debris, neighbours, noise.
    The same state of ``rng`` gives the same bytes.
    """
    return film(sperm, rng, frames=frames, size=size, fps=fps, um_per_px=um_per_px, noise=noise).clip


def film(
    sperm: Sperm,
    rng: np.random.Generator,
    *,
    frames: int = 16,
    size: int = 150,
    fps: float = 15.0,
    um_per_px: float = 0.25,
    noise: float = 2.5,
) -> Film:
    """Return the same clip as ``render_clip`` with the pose of the sperm in each frame."""
    times = [k / fps for k in range(frames)]
    swimmer = random_swimmer(rng, sperm, 0.0, 0.0, um_per_px)
    poses = [swimmer.pose(t) for t in times]
    centres = np.array([(pose.x, pose.y) for pose in poses])
    origins = np.round(centres + _tracking_error(frames, rng)).astype(int) - size // 2

    corner = origins.min(axis=0)
    width, height = (int(n) for n in origins.max(axis=0) + size - corner)
    field = background.illumination(height, width, rng, strength=0.4) + background.texture(height, width, rng)
    world = np.round(field).astype(np.int16)
    density = DEBRIS_PER_PX * math.exp(float(rng.uniform(*np.log(DEBRIS_FACTOR))))
    pieces = [
        replace(piece, image=np.round(piece.image * rng.uniform(*DEBRIS_STRENGTH)).astype(np.int16))
        for piece in background.random_debris(rng, int(rng.poisson(density * width * height)), width, height, um_per_px)
    ]
    for piece in pieces:
        if not piece.drift:
            background.paste(world, piece.image, piece.x, piece.y)
    cast = [(Portrait(sperm, um_per_px), poses)]
    if rng.random() < NEIGHBOUR_SHARE:
        cast.append(_neighbour(centres, times, size, um_per_px, rng))

    margin = 48
    grain = background.noise_field(size + margin, size + margin, noise * float(rng.uniform(*NOISE_FACTOR)), rng)
    gain, lift = float(rng.uniform(0.85, 1.2)), float(rng.uniform(-8, 12))
    clip = np.empty((frames, size, size), np.uint8)
    for k, (x, y) in enumerate(origins):
        left, top = int(x - corner[0]), int(y - corner[1])
        i, j = (int(n) for n in rng.integers(0, margin, 2))
        canvas = world[top : top + size, left : left + size] + grain[i : i + size, j : j + size]
        for piece in pieces:
            if piece.drift:
                px, py = piece.at(times[k])
                background.paste(canvas, piece.image, px - left, py - top)
        for portrait, its_poses in cast:
            portrait.draw(canvas, its_poses[k], origin=(int(x), int(y)))
        np.clip(canvas * np.float32(gain) + np.float32(lift), 0, 255, out=clip[k], casting="unsafe")
    own = tuple(
        replace(pose, x=pose.x - float(x), y=pose.y - float(y)) for pose, (x, y) in zip(poses, origins, strict=True)
    )
    return Film(clip, sperm, own)


def _neighbour(
    centres: NDArray[np.float64], times: list[float], size: int, um_per_px: float, rng: np.random.Generator
) -> tuple[Portrait, list[Pose]]:
    """Return another sperm whose path passes the target at a random moment."""
    k = int(rng.integers(len(times)))
    distance, angle = float(rng.uniform(0.05, 0.5)) * size, float(rng.uniform(0, 2 * math.pi))
    x, y = centres[k][0] + distance * math.cos(angle), centres[k][1] + distance * math.sin(angle)
    other = random_swimmer(rng, sample_sperm(rng), float(x), float(y), um_per_px)
    return Portrait(other.sperm, um_per_px), [other.pose(t - times[k]) for t in times]


def _tracking_error(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (frames, 2) px, the tracker's error at the head's centre: a constant offset plus jitter."""
    return rng.normal(0, 1.0, 2) + rng.normal(0, 0.7, (frames, 2))
