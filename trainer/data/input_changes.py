"""Clips with one kind of information taken out: what a network loses without it shows that it used it.

What is blanked becomes the background near it, frame by frame: pixels drawn from the middle half of the surrounding
grey levels, so that the noise stays and no bright or dark thing is copied. A network has never seen such clips, so a
loss is an upper bound of what the information is worth. This module knows pixels; it knows no network.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

HEAD_UM: Final = 7.0
"""Diameter of the disc that holds a head (3.7 to 4.7 um long, WHO 2021) of any heading, and the tracker's error."""
RING: Final = 1.6
"""The background of a head is looked for up to so many times its disc's radius."""


def freeze(clip: Pixels, radius_px: float, seed: int) -> Pixels:  # noqa: ARG001 (one signature for all)
    """Return the middle frame (T // 2) repeated: no motion."""
    return np.repeat(clip[len(clip) // 2][None], len(clip), axis=0)


def blank_head(clip: Pixels, radius_px: float, seed: int) -> Pixels:
    """Return the clip with the disc in the centre blanked: no head."""
    distance = _distance(clip.shape[1:])
    return _fill(clip, distance <= radius_px, (distance > radius_px) & (distance <= RING * radius_px), seed)


def blank_rest(clip: Pixels, radius_px: float, seed: int) -> Pixels:
    """Return the clip with everything but the disc in the centre blanked: no midpiece, tail or surroundings."""
    outside = _distance(clip.shape[1:]) > radius_px
    return _fill(clip, outside, outside, seed)


INPUT_CHANGES: Final[Mapping[str, Callable[[Pixels, float, int], Pixels]]] = {
    "freeze": freeze,
    "blank-head": blank_head,
    "blank-rest": blank_rest,
}
"""Each takes a clip (T, H, W), the radius of the head's disc in px, and a seed."""


def _distance(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return (H, W): distance of each pixel from the pixel that the tracker puts on the head (H // 2, W // 2)."""
    rows, columns = np.indices(shape)
    return np.asarray(np.hypot(rows - shape[0] // 2, columns - shape[1] // 2), np.float64)


def _fill(clip: Pixels, hole: NDArray[np.bool_], donors: NDArray[np.bool_], seed: int) -> Pixels:
    """Return the clip with the pixels of ``hole`` drawn, frame by frame, from the middle half of ``donors``."""
    filled = clip.copy()
    for number, frame in enumerate(filled):
        rng = np.random.default_rng([seed, number])
        low, high = np.percentile(clip[number][donors], (25, 75))
        levels = clip[number][donors]
        frame[hole] = rng.choice(levels[(levels >= low) & (levels <= high)], int(hole.sum()))
    return filled
