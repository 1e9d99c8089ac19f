"""The whole field of one frame, made ready for following heads: appearance, energy, scale, time.

Energy is what differs from the background, smoothed: static debris has none, and it does not care whether a head is
brighter or darker than the medium. Appearance is the frame with part of the background taken out, so that templates
are not caught by debris. This module knows no selected sperm.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.background import Background

REFERENCE_HZ = 49.0
"""Per-frame constants below were found at this frame rate; they are scaled by the true frame interval."""
HISTORY_S = 2.5
"""How far back the background looks."""
BACKGROUND_SHARE = 0.4
"""Part of the background that is taken out of the appearance."""
DEADBAND = 2.0
"""Grey levels of difference from the background that count as nothing, at least."""


@dataclass(frozen=True, slots=True)
class FieldFrame:
    """One frame as the matching sees it. The arrays are valid until the next frame."""

    pixels: NDArray[np.uint8]
    """(H, W) as captured."""
    appearance: NDArray[np.float32]
    """(H, W) grey levels less the mean, part of the background removed."""
    energy: NDArray[np.float32]
    """(H, W) smoothed distance from the background in grey levels."""
    floor: float
    """Energy below this is nothing."""
    head_px: float
    """Edge of the box round a head in px; every length in the tracker is a multiple of it."""
    interval_s: float
    """Time since the frame before."""
    shift: tuple[float, float]
    """How far the stage moved the picture since the frame before, (x, y) in px."""
    disturbance: str


class Field:
    """Turns frames into FieldFrames; keeps the background and the scale."""

    def __init__(self, height: int, width: int, interval_s: float) -> None:
        """``interval_s``: nominal time between frames, which sets how often the background is sampled."""
        self._shape = (height, width)
        stride = max(1, round(4 * 1 / (REFERENCE_HZ * interval_s)))
        if height * width > 640 * 480 * 2:
            stride = max(stride, 2)
        samples = int(np.clip(round(HISTORY_S / (interval_s * stride)), 9, 31)) | 1
        self._background = Background(height, width, samples, stride)
        self.head_px = 21.0
        self._noise = 0.0

    def update(self, pixels: NDArray[np.uint8], interval_s: float) -> FieldFrame:
        """Take the next frame (H, W) in."""
        self._background.add(pixels)
        background = self._background.image()
        difference = cv2.absdiff(pixels, background)
        deadband = self._deadband(difference)
        energy = cv2.subtract(difference, np.array([deadband, 0, 0, 0]), dtype=cv2.CV_32F)
        cv2.max(energy, 0.0, dst=energy)
        cv2.GaussianBlur(energy, (0, 0), self.head_px / 7, dst=energy)
        mean = float(background.mean())
        appearance = cv2.addWeighted(
            pixels, 1.0, background, -BACKGROUND_SHARE, -(1 - BACKGROUND_SHARE) * mean, dtype=cv2.CV_32F
        )
        return FieldFrame(
            pixels=pixels,
            appearance=appearance,  # type: ignore[arg-type]
            energy=energy,  # type: ignore[arg-type]
            floor=0.5 + 0.25 * (deadband - DEADBAND),
            head_px=self.head_px,
            interval_s=interval_s,
            shift=(0.0, 0.0),
            disturbance="",
        )

    def _deadband(self, difference: NDArray[np.uint8]) -> float:
        """Return the difference that counts as nothing: 1.5 standard deviations of the camera's noise, at least 2."""
        sample = difference[::7, ::5]
        noise = 1.48 * float(np.partition(sample, sample.size // 2, axis=None)[sample.size // 2])
        self._noise += 0.05 * (noise - self._noise)
        return max(DEADBAND, 1.5 * self._noise)
