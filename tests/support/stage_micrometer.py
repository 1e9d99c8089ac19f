"""A film of a stage micrometer: a ruler of fine lines, known to a fraction of a px, slightly turned."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile


@dataclass(frozen=True)
class Micrometer:
    """A line every 10 um, every tenth of them long."""

    um_per_px: float
    width: int = 640
    height: int = 480
    angle_deg: float = 3.0
    noise: float = 3.0

    def place(self, um: float) -> tuple[float, float]:
        """Where a graduation stands in the picture, px: on the axis of the ruler."""
        along = um / self.um_per_px
        turn = math.radians(self.angle_deg)
        return 40.3 + along * math.cos(turn), 220.7 + along * math.sin(turn)

    def picture(self, seed: int = 0) -> np.ndarray:
        y, x = np.mgrid[: self.height, : self.width].astype(float)
        turn = math.radians(self.angle_deg)
        along = (x - 40.3) * math.cos(turn) + (y - 220.7) * math.sin(turn)
        across = -(x - 40.3) * math.sin(turn) + (y - 220.7) * math.cos(turn)
        picture = np.full((self.height, self.width), 150.0)
        um = 0.0
        while um / self.um_per_px < self.width:
            half = 60 if round(um) % 100 == 0 else 25
            line = np.exp(-(((along - um / self.um_per_px) / 0.9) ** 2)) * (np.abs(across) < half)
            picture -= 110 * line
            um += 10.0
        picture += np.random.default_rng(seed).normal(0, self.noise, picture.shape)
        return np.clip(picture, 0, 255).astype(np.uint8)

    def film(self, path: Path, frames: int = 40) -> Path:
        tifffile.imwrite(path, np.stack([self.picture(seed) for seed in range(frames)]), photometric="minisblack")
        return path
