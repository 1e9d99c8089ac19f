"""A small field with heads at chosen places, and a tracker run over it."""

import math

import cv2
import numpy as np

from tracker.results import FrameResult
from tracker.tracker import Tracker
from tracker.window import WindowShape

HEIGHT, WIDTH = 240, 320
SHAPE = WindowShape(frames=4, size=32, stride=1)


def draw_frame(number: int, heads: list[tuple[float, float]], contrast: float = 120.0) -> np.ndarray:
    """Noise, a little debris, and heads of 10 x 6 px: bright, dark (negative contrast)."""
    rng = np.random.default_rng(5)
    frame = np.full((HEIGHT, WIDTH), 90, np.float32)
    for _ in range(25):
        cv2.circle(frame, (int(rng.uniform(0, WIDTH)), int(rng.uniform(0, HEIGHT))), 3, 55.0, -1)
    for x, y in heads:
        ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH]
        frame += contrast * np.exp(-(((xs - x) / 4.5) ** 2) - ((ys - y) / 2.8) ** 2)
    frame += np.random.default_rng(number).normal(0, 2, frame.shape)
    return np.clip(frame, 0, 255).astype(np.uint8)


def swim(number: int) -> tuple[float, float]:
    return 60 + 2.5 * number, 120 + 20 * math.sin(number / 9)


def play(tracker: Tracker, frames: list[np.ndarray], start: int = 0, **kwargs: int) -> list[FrameResult]:
    return [
        tracker.update(f, frame_seq=start + k, t_source_ns=(start + k) * 20_000_000, **kwargs)
        for k, f in enumerate(frames)
    ]
