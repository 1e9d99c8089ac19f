"""What training minimises: the distance of each head's distribution from the votes, and how alike the features are.

Everything is a mean over clips, so that the mean over a batch is that of its parts, weighted by their sizes.

Torch only, and differentiable; the distances that evaluations report are in ``station.distances``.
"""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.model.rostfine import RostfineOutput

Distance = Callable[[Tensor, Tensor], Tensor]
"""Takes predicted and voted distributions, both (N, C), and returns a scalar: the mean over the clips."""

TINY = 1e-8
"""Keeps the logarithm of a probability that underflowed finite."""


def mse(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the mean over clips and grades of the squared difference."""
    return F.mse_loss(predicted, target)


def js(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence, KL(p, m) / 2 + KL(q, m) / 2 with m = (p + q) / 2 (the paper's Eq. 15)."""
    log_middle = ((predicted + target) / 2).clamp_min(TINY).log()
    mine = (predicted * (predicted.clamp_min(TINY).log() - log_middle)).sum(-1)
    theirs = (torch.xlogy(target, target) - target * log_middle).sum(-1)
    return (mine + theirs).mean() / 2


def squared_emd(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the squared differences of the cumulative distributions, summed: smooth where the two meet.

    It is not the earth mover's distance that evaluations report: that sums the absolute differences.
    """
    return (predicted - target).cumsum(-1).square().sum(-1).mean()


def ce(predicted: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of the votes."""
    return -(target * predicted.clamp_min(TINY).log()).sum(-1).mean()


DISTANCES: Final[dict[str, Distance]] = {"mse": mse, "js": js, "emd": squared_emd, "ce": ce}


def cosine_diversity(features: Sequence[Tensor]) -> Tensor:
    """Return the mean |cosine| over all pairs of the feature vectors, each (N, D): the paper's diversity term."""
    return torch.stack([F.cosine_similarity(a, b, dim=-1).abs().mean() for a, b in combinations(features, 2)]).mean()


def loss_of(output: RostfineOutput, target: Tensor, distance: Distance, alpha: float) -> Tensor:
    """Return the mean over the heads of the distance from the votes (N, C), plus alpha times their cosine diversity."""
    loss = torch.stack([distance(head.float(), target) for head in output.heads.unbind(1)]).mean()
    features = features_of(output)
    return loss + alpha * cosine_diversity(features) if alpha and len(features) > 1 else loss


def features_of(output: RostfineOutput) -> list[Tensor]:
    """Return the feature vectors (N, D) float32 that the network has, of v_g, v_s, v_t."""
    return [feature.float() for feature in (output.v_g, output.v_s, output.v_t) if feature is not None]
