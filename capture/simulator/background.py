"""What surrounds the sperm: uneven illumination, debris, camera noise.

Debris is painted once as small images of additive grey levels that look like phase contrast: dark grains, bright
vesicles with a dark rim, round cells, clumps, and things far out of focus. This module knows neither sperm nor time.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.simulator.rendering import Canvas

MEDIUM_GREY = 78.0
"""Grey level of the medium at the centre of the field."""
KINDS = ("grain", "vesicle", "clump", "cell", "ghost")
KIND_SHARES = (0.70, 0.13, 0.06, 0.03, 0.08)


@dataclass(frozen=True, slots=True)
class Debris:
    """One piece of debris: where its centre is at rest, and its image."""

    x: float
    y: float
    image: Canvas
    drift: tuple[tuple[float, float, float, float, float], ...] = ()
    """Brownian-like movement about (x, y), a sum of slow sines: amplitude in px, then angular frequency in rad/s and
    phase in rad along x, then both along y. Empty: it lies still."""

    def at(self, t_s: float) -> tuple[float, float]:
        """Return the centre (x, y) in px at a time."""
        x, y = self.x, self.y
        for amplitude, omega_x, phase_x, omega_y, phase_y in self.drift:
            x += amplitude * math.sin(omega_x * t_s + phase_x)
            y += amplitude * math.sin(omega_y * t_s + phase_y)
        return x, y


def illumination(height: int, width: int, rng: np.random.Generator, *, strength: float = 1.0) -> NDArray[np.float32]:
    """Return (height, width) float32 grey levels of the empty field: a tilt and a fall-off to the corners.

    At ``strength`` 1 the corners differ from the centre by some 10 %.
    """
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    tilt_x, tilt_y = (float(t) for t in rng.uniform(-0.04, 0.04, 2))
    bulge = float(rng.uniform(0.02, 0.05))
    light: NDArray[np.float32] = MEDIUM_GREY * (1 + strength * (tilt_x * x + tilt_y * y - bulge * (x**2 + y**2)))
    return light


def texture(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (height, width) float32 faint mottling of the medium, about one grey level, repeating every 256 px."""
    wrapped = np.pad(rng.standard_normal((256, 256), dtype=np.float32), 8, mode="wrap")
    tile = np.asarray(cv2.GaussianBlur(wrapped, (0, 0), 1.6)[8:-8, 8:-8], np.float32)
    return np.tile(tile / tile.std(), (-(-height // 256), -(-width // 256)))[:height, :width]


def noise_field(height: int, width: int, sigma: float, rng: np.random.Generator) -> Canvas:
    """Return (height, width) int16 camera noise of standard deviation ``sigma`` grey levels."""
    noise = rng.standard_normal((height, width), dtype=np.float32)
    noise *= sigma
    return np.rint(noise, out=noise).astype(np.int16)


def random_debris(
    rng: np.random.Generator, count: int, width: float, height: float, um_per_px: float, *, moving_share: float = 0.2
) -> list[Debris]:
    """Scatter ``count`` pieces of debris over a field of ``width`` x ``height`` px."""
    pieces = []
    for _ in range(count):
        kind = str(rng.choice(KINDS, p=KIND_SHARES))
        drift = []
        if kind in ("grain", "vesicle") and rng.random() < moving_share:
            for omega in (0.35, 1.1, 4.0):
                a, b = (omega * float(f) for f in rng.uniform(0.7, 1.4, 2))
                amplitude = float(rng.uniform(0.3, 1.0)) / (um_per_px * omega**0.7)
                drift.append((amplitude, a, float(rng.uniform(0, 6.3)), b, float(rng.uniform(0, 6.3))))
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        pieces.append(Debris(x, y, paint_debris(kind, rng, um_per_px), tuple(drift)))
    return pieces


def paint_debris(kind: str, rng: np.random.Generator, um_per_px: float) -> Canvas:
    """Return the image of one piece, (n, n) int16 with n odd, centred."""
    if kind == "grain":
        radius, blur, grey, halo = float(rng.uniform(0.25, 0.9)), float(rng.uniform(0.2, 0.5)), -48.0, 8.0
        return _blob([(0.0, 0.0, radius, grey)], halo, blur, um_per_px)
    if kind == "vesicle":
        radius = float(rng.uniform(0.7, 1.4))
        parts = [(0.0, 0.0, radius, -50.0), (0.0, 0.0, 0.5 * radius, float(rng.uniform(90, 220)))]
        return _blob(parts, 20.0, 0.2, um_per_px)
    if kind == "ghost":  # far from focus: a faint wide disc with a ring
        radius, grey = float(rng.uniform(1.5, 4.0)), float(rng.choice([-9.0, 10.0]))
        return _blob([(0.0, 0.0, radius, -grey), (0.0, 0.0, 0.75 * radius, 2 * grey)], 0.0, 0.6, um_per_px)
    if kind == "clump":
        spread = float(rng.uniform(0.8, 2.0))
        parts = []
        for _ in range(int(rng.integers(3, 9))):
            x, y = (float(c) for c in rng.normal(0, spread, 2))
            parts.append((x, y, float(rng.uniform(0.4, 1.2)), float(rng.uniform(-48, -25))))
        return _blob(parts, 26.0, 0.25, um_per_px)
    radius = float(rng.uniform(3.0, 5.0))  # a round cell: grainy inside, with a strong halo
    parts = [(0.0, 0.0, radius, float(rng.uniform(-38, -22)))]
    for _ in range(14):
        distance, angle = radius * 0.8 * math.sqrt(rng.random()), float(rng.uniform(0, 2 * math.pi))
        grey = float(rng.choice([-30.0, 45.0]))
        parts.append((distance * math.cos(angle), distance * math.sin(angle), float(rng.uniform(0.3, 0.8)), grey))
    return _blob(parts, 75.0, 0.2, um_per_px)


def paste(canvas: Canvas, image: Canvas, x: float, y: float) -> None:
    """Add an image centred at (x, y) px of the canvas, fractions included, clipped to the canvas."""
    half = image.shape[0] // 2
    left, top = math.floor(x) - half, math.floor(y) - half
    size = image.shape[0] + 1
    x0, y0, x1, y1 = max(0, left), max(0, top), min(canvas.shape[1], left + size), min(canvas.shape[0], top + size)
    if x0 >= x1 or y0 >= y1:
        return
    shift = np.array([[1.0, 0.0, x - math.floor(x)], [0.0, 1.0, y - math.floor(y)]])
    moved = cv2.warpAffine(image, shift, (size, size), flags=cv2.INTER_LINEAR)
    region = canvas[y0:y1, x0:x1]
    cv2.add(region, moved[y0 - top : y1 - top, x0 - left : x1 - left], dst=region)


def _blob(parts: list[tuple[float, float, float, float]], halo: float, blur_um: float, um_per_px: float) -> Canvas:
    """Paint discs (x um, y um, radius um, grey levels), a halo round them all, and blur."""
    reach_um = max(math.hypot(x, y) + r for x, y, r, _ in parts) + (2.5 if halo else 0.0) + 3 * blur_um
    half = math.ceil(reach_um / um_per_px)
    axis = (np.arange(2 * half + 1, dtype=np.float32) - half) * um_per_px
    image = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    body = np.zeros_like(image)
    for x, y, radius, grey in parts:
        disc = np.clip((radius - np.hypot(axis[None, :] - x, axis[:, None] - y)) / um_per_px + 0.5, 0, 1)
        image += grey * disc
        np.maximum(body, disc, out=body)
    if halo:
        image += halo * (1 - body) * cv2.GaussianBlur(body, (0, 0), 0.9 / um_per_px)
    return np.round(cv2.GaussianBlur(image, (0, 0), blur_um / um_per_px)).astype(np.int16)
