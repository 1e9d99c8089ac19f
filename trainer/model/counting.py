"""How large a network is and how much it computes for one clip, as papers count: without making it, in no memory.

Operations are multiply-adds of convolutions and matrix products; publications that say FLOPs of these networks mean
the same. It knows shapes, not weights. What the exported graph computes is ``bench.support.flops``: 6 % less.
"""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from engine.baseline_config import BaselineConfig
from engine.network_shape import NetworkShape
from trainer.model.baselines import Baseline
from trainer.model.systems import Network, make_network


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one network."""

    parameters: int
    """Numbers that training changes."""
    multiply_adds: int
    """For one clip."""


def count_network(config: NetworkShape, classes: int | None = None) -> Counts:
    """Return the counts of a network of a shape.

    Args:
        config: Its shape.
        classes: Of a baseline's last layer; None: the five grades.
    """
    with torch.device("meta"):
        network: Network = (
            Baseline(config, classes)
            if classes is not None and isinstance(config, BaselineConfig)
            else make_network(config)
        )
        clips = torch.zeros(1, config.frames, config.clip_px, config.clip_px)
    network.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(clips)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Counts(parameters, counter.get_total_flops() // 2)
