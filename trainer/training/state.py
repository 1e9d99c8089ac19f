"""A network on its way through a recipe: everything that a checkpoint holds, and how a run is resumed from it.

It knows torch and the recipe. How the network learns is in ``trainer.training.loop``, what the file looks like in
``trainer.model.checkpoint``.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine.baseline_config import BaselineConfig
from engine.network_config import NetworkConfig
from engine.network_shape import NetworkShape
from station.errors import InputError
from trainer.data.raters import CRITERIA
from trainer.model.baselines import Baseline
from trainer.model.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from trainer.model.losses import Output, features_of
from trainer.model.published import load_published
from trainer.model.rostfine import ENCODER, Rostfine
from trainer.model.systems import Network, config_of, make_network
from trainer.model.weights import is_own, is_weights_file, load_weights, with_frames
from trainer.training.epoch_log import EpochEntry, best_of, entry_from
from trainer.training.optimizer import make_optimizer
from trainer.training.recipe import Recipe, build_recipe


class Learned(NamedTuple):
    """What the learner says about N clips."""

    output: Output
    criteria: Tensor | None
    """(N, criteria) predicted defect scores; None where they are not trained."""


class Learner(torch.nn.Module):
    """All that is trained: the network and, beside it, a layer that predicts the raters' criteria from its features."""

    def __init__(self, config: NetworkShape, criteria: bool) -> None:
        super().__init__()
        self.network = make_network(config)
        self.criteria: torch.nn.Linear | None = None
        """Serves training and is not part of the model."""
        if criteria:
            if isinstance(config, BaselineConfig):
                raise InputError(f"--criteria: {config.system} has no features to predict them from; leave it out")
            self.criteria = torch.nn.Linear(config.width * len(config.features), len(CRITERIA))

    def forward(self, clips: Tensor) -> Learned:
        """Look at clips (N, T, H, W) in grey levels 0 to 255."""
        output = self.network(clips)
        if self.criteria is None:
            return Learned(output, None)
        features = features_of(output, self.network.config)
        with torch.autocast(clips.device.type, enabled=False):
            return Learned(output, self.criteria(torch.cat(list(features.values()), dim=1)))


class Training:
    """A network on its way through a recipe."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        """Make a fresh network from the recipe's seed. Raises InputError where there is no such network."""
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.device = device
        self.learner = Learner(network_config(recipe), recipe.criteria > 0).to(device)
        self.optimizer = make_optimizer(self.learner.parameters(), recipe)
        self.epochs_done = 0
        self.log: list[EpochEntry] = []

    @property
    def network(self) -> Network:
        """The network."""
        return self.learner.network

    @property
    def best(self) -> EpochEntry:
        """The log's entry of least validation error, or the last where none is validated."""
        return best_of(self.log)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or as many without improvement as the recipe's patience allows."""
        waited = self.epochs_done - self.best.epoch if self.log else 0
        return self.epochs_done >= self.recipe.epochs or 0 < self.recipe.patience <= waited

    def save(self, path: Path) -> None:
        """Write a checkpoint; the old file stays whole until the new one is."""
        criteria = self.learner.criteria
        checkpoint = Checkpoint(
            recipe=self.recipe.model_dump(mode="json"),
            network=dataclasses.asdict(self.network.config),
            model=self.network.state_dict(),
            criteria=criteria.state_dict() if criteria else {},
            optimizer=self.optimizer.state_dict(),
            epochs_done=self.epochs_done,
            log=[entry.to_dict() for entry in self.log],
        )
        write_checkpoint(path, checkpoint)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of this recipe. Raises InputError where it is another recipe's."""
        checkpoint = read_checkpoint(path, self.device)
        if build_recipe(checkpoint.recipe, str(path)) != self.recipe:
            raise InputError(f"{path}: made with another recipe than recipe.json beside it; start a new run")
        self.network.load_state_dict(checkpoint.model)
        if self.learner.criteria:
            self.learner.criteria.load_state_dict(checkpoint.criteria)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.epochs_done = checkpoint.epochs_done
        self.log = [entry_from(values) for values in checkpoint.log]

    def initialize_from(self, path: Path, part: str = "all") -> None:
        """Take only the weights of a file: another run's checkpoint (.pt) or imported weights (.safetensors).

        A network of fewer frames may be grown: its time embeddings, one for every few frames, are repeated. A baseline
        also takes the file that its authors publish, all but the last layer.

        Args:
            path: The file.
            part: ``all``, or ``encoder``: branches and heads stay as they are.

        Raises:
            InputError: The weights do not fit.
        """
        if isinstance(self.network, Baseline) and not is_own(path):
            load_published(self.network, path)
            return
        if is_weights_file(path):
            weights = dict(load_weights(path).network.state_dict())
        else:
            weights = read_checkpoint(path, self.device).model
        if isinstance(self.network, Rostfine):
            weights = with_frames(weights, self.network.config.frames)
        if part == "encoder":
            if isinstance(self.network, Baseline):
                raise InputError(
                    f"--init-part encoder: {self.network.config.system} has no encoder apart; leave it out"
                )
            kept = {name: value for name, value in self.network.state_dict().items() if not name.startswith(ENCODER)}
            weights = kept | {name: value for name, value in weights.items() if name.startswith(ENCODER)}
        try:
            self.network.load_state_dict(weights)
        except RuntimeError as error:
            first = " ".join(str(error).splitlines()[1:2]).strip()
            raise InputError(
                f"{path}: its network has another shape than the recipe's ({first}); change the preset, --network "
                "or --init-part"
            ) from error


def network_config(recipe: Recipe) -> NetworkShape:
    """Return the recipe's network. Raises InputError where a changed field does not exist or does not fit."""
    return config_of(recipe.system, recipe.preset, recipe.network)


def rostfine_config(recipe: Recipe) -> NetworkConfig:
    """Return the recipe's network, which must be RoSTFine's or TimeSformer's. Raises InputError for another."""
    config = network_config(recipe)
    if isinstance(config, BaselineConfig):
        raise InputError(f"--system {recipe.system}: pretraining is of RoSTFine and TimeSformer")
    return config
