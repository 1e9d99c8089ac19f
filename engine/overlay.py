"""What the network attended to, in the clip's own pixels: for overlays in the dashboard and in reports.

It turns ``Grades.attention`` into patches, boxes and maps; it draws nothing and knows no frame but the clip.
"""

import numpy as np
from numpy.typing import NDArray

from engine.artifact import NetworkConfig


def selected_patches(attention: NDArray[np.float32], selected: int) -> NDArray[np.int64]:
    """Return the K patches of each frame with the highest scores, best first: (..., T, P) to (..., T, K)."""
    return np.argsort(-attention, axis=-1, kind="stable")[..., :selected]


def patch_boxes(network: NetworkConfig) -> NDArray[np.float64]:
    """Return (P, 4): left, top, right, bottom of each patch in px of the clip, whose edges are 0 and clip_px."""
    size = network.clip_px / network.grid
    row, column = np.divmod(np.arange(network.patches), network.grid)
    return np.stack([column, row, column + 1, row + 1], axis=1) * size


def heat(attention: NDArray[np.float32], network: NetworkConfig) -> NDArray[np.float32]:
    """Return scores (..., P) as maps (..., clip_px, clip_px): each pixel has its patch's score, the largest is 1."""
    centres = (np.arange(network.clip_px) + 0.5) * network.grid / network.clip_px
    place = np.minimum(centres.astype(np.int64), network.grid - 1)
    maps = attention.reshape(*attention.shape[:-1], network.grid, network.grid)
    largest = np.maximum(maps.max(axis=(-2, -1), keepdims=True), np.finfo(np.float32).tiny)
    scaled: NDArray[np.float32] = (maps / largest)[..., place[:, None], place]
    return scaled
