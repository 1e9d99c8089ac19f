"""What a network costs once it is trained: its parameters, its operations, and the time of one clip.

Times are of one clip at a time through the network in torch, as all systems run in the same way there; what an exported
model takes at the microscope is measured by ``python -m bench engine``. Weights do not matter to it: they are fresh.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch

from trainer.model.counting import count_network
from trainer.training.recipe import Recipe
from trainer.training.state import Training

WARM_UP = 2
MOST_CLIPS = 30
MOST_S = 3.0
"""Seconds after which no further clip is timed."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one network."""

    parameters: int
    multiply_adds: int
    """Of one clip, see ``trainer.model.counting``."""
    cpu_ms: float
    """Median time of one clip on this machine's CPU."""
    cpu_threads: int
    gpu_ms: float | None
    """The same on its GPU, in the recipe's precision; None where it has none."""


def cost_of(recipe: Recipe, clip_shape: tuple[int, int, int], threads: int) -> Cost:
    """Return what the network of a recipe costs.

    Args:
        recipe: Of a run.
        clip_shape: (T, H, W) of the clips.
        threads: Of torch on the CPU.
    """
    network = Training(recipe, torch.device("cpu")).network.eval()
    clip = torch.from_numpy(np.zeros((1, network.config.frames, *clip_shape[1:]), np.uint8))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            cpu_ms = _median_ms(network, clip)
            gpu_ms = None
            if torch.cuda.is_available():
                bfloat16 = recipe.precision == "bfloat16"
                with torch.autocast("cuda", torch.bfloat16, enabled=bfloat16):
                    gpu_ms = _median_ms(network.to("cuda"), clip.to("cuda"))
    finally:
        torch.set_num_threads(before)
    counts = count_network(network.config)
    return Cost(counts.parameters, counts.multiply_adds, cpu_ms, threads, gpu_ms)


def _median_ms(network: torch.nn.Module, clip: torch.Tensor) -> float:
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < WARM_UP + MOST_CLIPS and (len(times) <= WARM_UP or time.perf_counter() - begun < MOST_S):
        started = time.perf_counter()
        network(clip)
        if clip.is_cuda:
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times[WARM_UP:]))
