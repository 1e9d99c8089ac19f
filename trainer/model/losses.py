"""What training minimises: the distance of each head's distribution from the votes, and how alike the features are.

Everything is a mean over clips, so that the mean over a batch is that of its parts, weighted by their sizes.

Torch only, and differentiable; the distances that evaluations report are in ``station.distances``.
"""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.baseline_config import BaselineConfig
from engine.network_shape import NetworkShape
from trainer.model.baselines import BaselineOutput
from trainer.model.rostfine import RostfineOutput

Output = RostfineOutput | BaselineOutput
Distance = Callable[["Prediction", Tensor], Tensor]
"""Takes what a head predicts and the voted distributions (N, C), and returns a scalar: the mean over the clips."""

TINY = 1e-8
"""Keeps the logarithm of a probability that underflowed finite."""


class Prediction(NamedTuple):
    """What one head predicts for N clips."""

    probability: Tensor
    """(N, C)"""
    log: Tensor
    """(N, C) its logarithm, from the scores before the softmax: exact, and with a gradient, where it underflows."""


def mse(predicted: Prediction, target: Tensor) -> Tensor:
    """Return the mean over clips and grades of the squared difference."""
    return F.mse_loss(predicted.probability, target)


def js(predicted: Prediction, target: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence, KL(p, m) / 2 + KL(q, m) / 2 with m = (p + q) / 2 (the paper's Eq. 15)."""
    p = predicted.probability
    log_middle = ((p + target) / 2).clamp_min(TINY).log()
    mine = (p * (p.clamp_min(TINY).log() - log_middle)).sum(-1)
    theirs = (torch.xlogy(target, target) - target * log_middle).sum(-1)
    return (mine + theirs).mean() / 2


def squared_emd(predicted: Prediction, target: Tensor) -> Tensor:
    """Return the squared differences of the cumulative distributions, summed: smooth where the two meet.

    It is not the earth mover's distance that evaluations report: that sums the absolute differences.
    """
    return (predicted.probability - target).cumsum(-1).square().sum(-1).mean()


def ce(predicted: Prediction, target: Tensor) -> Tensor:
    """Return the cross-entropy of the votes; its gradient at a head's scores is prediction minus votes, everywhere."""
    return -(target * predicted.log).sum(-1).mean()


DISTANCES: Final[dict[str, Distance]] = {"mse": mse, "js": js, "emd": squared_emd, "ce": ce}


def cosine_diversity(features: Sequence[Tensor]) -> Tensor:
    """Return the mean |cosine| over all pairs of the feature vectors, each (N, D): the paper's diversity term."""
    return torch.stack([F.cosine_similarity(a, b, dim=-1).abs().mean() for a, b in combinations(features, 2)]).mean()


def loss_of(output: Output, target: Tensor, distance: Distance, alpha: float, config: NetworkShape) -> Tensor:
    """Return the mean over the heads of the distance from the votes (N, C), plus alpha times their cosine diversity."""
    loss = mean_distance(output, target, distance, config)
    features = list(features_of(output, config).values())
    return loss + alpha * cosine_diversity(features) if alpha and len(features) > 1 else loss


def mean_distance(output: Output, target: Tensor, distance: Distance, config: NetworkShape) -> Tensor:
    """Return the mean of the distance from the votes (N, C) over the heads that the network has."""
    if isinstance(output, BaselineOutput) or isinstance(config, BaselineConfig):
        rows = [output.grade]
    else:
        names = config.features if config.aggregation == "mean" else ("g",)  # one head on all features: each row is its
        rows = [output.heads[:, ("g", "s", "t").index(name)] for name in names]
    predictions = [
        Prediction(row.float(), log.float()) for row, log in zip(rows, output.log_heads.unbind(1), strict=True)
    ]
    return torch.stack([distance(one, target) for one in predictions]).mean()


def features_of(output: Output, config: NetworkShape) -> dict[str, Tensor]:
    """Return the feature vectors (N, D) float32 that are graded, of v_g, v_s, v_t, by name; a baseline shows none."""
    if isinstance(output, BaselineOutput) or isinstance(config, BaselineConfig):
        return {}
    every = {"g": output.v_g, "s": output.v_s, "t": output.v_t}
    return {name: feature.float() for name in config.features if (feature := every[name]) is not None}


def feature_pairs(config: NetworkShape) -> list[str]:
    """Return which pairs of features a network has: "gs", "gt", "st"."""
    names = () if isinstance(config, BaselineConfig) else config.features
    return [a + b for a, b in combinations(names, 2)]
