"""How clips get from memory to the device that trains on them: as bytes, and without waiting for the device.

What is varied in their light is worked out there, so that a GPU is sent a quarter of the data. It knows batches, not
networks.
"""

import torch
from torch import Tensor

from trainer.data.loader import Batch


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on the device. A GPU takes it from pinned memory while the processor goes on."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def grey_levels(batch: Batch, device: torch.device) -> Tensor:
    """Return the batch's clips (N, frames, H, W) as float32 grey levels on the device, not clipped to 0..255."""
    pixels = sent(torch.from_numpy(batch.pixels), device)
    light = sent(torch.from_numpy(batch.light), device)
    return pixels.float().mul_(light[:, 0, None, None, None]).add_(light[:, 1, None, None, None])
