"""Where a network begins when there are no pretrained weights: a start from which it learns in hours, not days.

TimeSformer's own start (normal 0.02 everywhere) is made for wide networks and for weights that come from elsewhere. A
narrow network that begins there sees little but the brightness of a nearly uniform image, and little of where a patch
lies. So the patch embedding begins as the principal components of training patches, the position embeddings as waves of
several lengths along both axes, and the layers at a size that keeps the spread of what passes through them (Xavier).
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.data.dataset import Clips
from trainer.model.rostfine import PIXEL_MEAN, PIXEL_STD, Rostfine

TOKEN_SIZE: Final = 0.5
"""Typical size of the entries that the principal components add to a token, and of those that its place adds."""
SAMPLES: Final = 16384


def initialize(network: Rostfine, clips: Clips, seed: int) -> None:
    """Give a new network the start described above; the grade heads and the temporal updates stay near zero.

    Args:
        network: As it was made, with TimeSformer's start.
        clips: The training clips.
        seed: Of the patches that are looked at.
    """
    initialize_layers(network)
    initialize_patch_embedding(network, sample_patches(clips, network.config.patch_px, seed, SAMPLES))
    with torch.no_grad():
        network.encoder.pos_embed[0, 1:] = position_waves(network.config.grid, network.config.width)


def initialize_layers(network: Rostfine) -> None:
    """Draw the linear layers anew (Xavier, uniform), but for the grade heads and for layers that are all zeros."""
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Linear) and not name.startswith("head") and module.weight.any():
            torch.nn.init.xavier_uniform_(module.weight)


def initialize_patch_embedding(network: Rostfine, samples: NDArray[np.float32]) -> None:
    """Set the patch embedding to the principal components of samples (M, patch_px**2), scaled to similar sizes.

    Components weaker than the D/4-th are scaled as if they were that strong, else noise would be raised. A network of
    more width than a patch has pixels keeps its random filters in the rest.
    """
    patches = (torch.from_numpy(samples) / 255 - PIXEL_MEAN) / PIXEL_STD
    mean = patches.mean(0)
    spread, directions = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    count = min(network.config.width, patches.shape[1])
    spread, directions = spread.flip(0)[:count].clamp_min(0), directions.flip(1)[:, :count]
    kernel = (directions * TOKEN_SIZE / (spread + spread[count // 4]).sqrt()).T
    proj = network.encoder.patch_embed["proj"]
    assert isinstance(proj, torch.nn.Conv2d)
    assert proj.bias is not None
    with torch.no_grad():
        # Grey video: the three channels share each filter.
        proj.weight[:count] = (kernel / 3).reshape(count, 1, *proj.kernel_size)
        proj.bias[:count] = -kernel @ mean


def position_waves(grid: int, width: int) -> torch.Tensor:
    """Return (grid**2, width): sines and cosines of a patch's column and row, at wavelengths from 3 patches up."""
    row, column = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    count = -(-width // 4)
    rates = 2.0 * 10.0 ** (-2.0 * torch.arange(count) / count)
    phases = [place.flatten()[:, None] * rates for place in (column, row)]
    return (
        TOKEN_SIZE * torch.cat([wave(phase) for phase in phases for wave in (torch.sin, torch.cos)], dim=1)[:, :width]
    )


def sample_patches(clips: Clips, patch_px: int, seed: int, count: int) -> NDArray[np.float32]:
    """Return (count, patch_px**2) float32 grey levels: random squares of random frames of the clips."""
    rng = np.random.default_rng([seed, 0x9A7C])
    patches = np.empty((count, patch_px * patch_px), np.float32)
    each = -(-count // min(len(clips), 256))
    clip = np.empty((0, 0, 0), np.uint8)
    for place in range(count):
        if place % each == 0:
            clip = clips.pixels(int(rng.choice(len(clips))))
        frame = int(rng.integers(clip.shape[0]))
        top, left = (int(rng.integers(edge - patch_px + 1)) for edge in clip.shape[1:])
        patches[place] = clip[frame, top : top + patch_px, left : left + patch_px].ravel()
    return patches
