"""How the weights move: the recipe's optimiser and its learning rate at every step. It knows no data and no loss."""

import math
from collections.abc import Iterable

import torch

from trainer.training.recipe import Recipe


def make_optimizer(parameters: Iterable[torch.nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser for all weights."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    return torch.optim.AdamW(parameters, recipe.lr, betas=(0.9, 0.98), weight_decay=recipe.weight_decay)


def rate_share(recipe: Recipe, step: int, steps: int) -> float:
    """Return the share of the full learning rate at a step of all ``steps``: warm-up, then constant or cosine to 0."""
    warm = recipe.warmup * steps
    if step < warm:
        return (step + 1) / (warm + 1)
    if recipe.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all weights."""
    for group in optimizer.param_groups:
        group["lr"] = rate
