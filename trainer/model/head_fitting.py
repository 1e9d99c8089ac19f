"""Fit the grade heads alone, to the end, on features that stay as they are.

A problem with one solution, so it needs no rate and no schedule; useful after growing a network to more frames, when
its features have shifted a little under heads that were fitted to the old ones. It knows torch, not files.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.dataset import Clips
from trainer.model.inference import answers, torch_forward
from trainer.model.rostfine import Rostfine

STEPS: Final = 200


def fit_heads(
    network: Rostfine,
    clips: Clips,
    decay: float = 1e-3,
    batch: int = 16,
    weights: NDArray[np.float64] | None = None,
) -> float:
    """Set the heads of v_g, v_s and v_t to the least cross-entropy of the votes, and return it (mean over heads).

    Args:
        network: With aggregation "mean"; put into evaluation mode.
        clips: The clips to fit to.
        decay: Weight of the squared weights of a head on features of spread 1.
        batch: Clips a forward pass.
        weights: (N,) how much each clip counts, of mean 1; None: all alike.
    """
    outputs = list(answers(torch_forward(network), clips, network.config.frames, batch))
    target = torch.from_numpy(clips.distributions.astype(np.float32))
    counts = torch.ones(len(target)) if weights is None else torch.from_numpy(weights.astype(np.float32))
    losses = []
    for name in network.config.features:
        features = torch.cat([getattr(output, f"v_{name}") for output in outputs])
        mean, spread = features.mean(0), features.std(0) + 1e-4
        weight, bias, loss = _least_cross_entropy((features - mean) / spread, target, counts, decay)
        head = network.get_submodule(f"head_{name}")
        assert isinstance(head, torch.nn.Linear)
        with torch.no_grad():
            head.weight.copy_(weight / spread)
            head.bias.copy_(bias - (weight / spread) @ mean)
        losses.append(loss)
    return float(np.mean(losses))


def weights_for_shares(distributions: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,) weights of mean 1 by which clips of the votes (N, C) count as if their most-voted grades had shares.

    Of two grades with equally many votes the better is the most voted; a grade that no clip has gets no share.
    """
    most = distributions.argmax(axis=1)
    own = np.bincount(most, minlength=len(shares)) / len(most)
    weights: NDArray[np.float64] = (shares / np.maximum(own, 1e-12))[most]
    return np.asarray(weights / weights.mean(), np.float64)


def _least_cross_entropy(
    features: Tensor, target: Tensor, counts: Tensor, decay: float
) -> tuple[Tensor, Tensor, float]:
    """Return weight (C, D), bias (C,) and the cross-entropy of softmax regression on features (N, D)."""
    weight = torch.zeros(target.shape[1], features.shape[1], requires_grad=True)
    bias = (counts[:, None] * target).mean(0).clamp_min(1e-4).log().requires_grad_()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def entropy() -> Tensor:
        return -(counts * (target * (features @ weight.T + bias).log_softmax(-1)).sum(-1)).mean()

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = entropy() + decay * weight.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach(), entropy().item()
