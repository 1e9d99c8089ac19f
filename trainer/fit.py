"""The training loop: one network, one recipe, clips in, checkpoints out.

It knows torch and the recipe; it draws nothing on a screen (``trainer.train`` does) and computes no reported figure
(``trainer.metrics`` does). Everything random follows from the recipe's seed and the epoch, so that a run resumed from
the checkpoint of any epoch goes on bit for bit (on the CPU, with the same number of threads).
"""

import dataclasses
import io
import math
import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from engine.artifact import NetworkConfig
from station.errors import InputError, StationError
from trainer.batches import Augmentation, epoch_batches, middle_frames
from trainer.data import Clips, write_atomically
from trainer.losses import DISTANCES, likeness
from trainer.metrics import Scores, score
from trainer.raters import CRITERIA
from trainer.recipe import Recipe
from trainer.rostfine import Rostfine, RostfineOutput, preset
from trainer.truth import true_flaws

LAST: Final = "last.pt"
BEST: Final = "best.pt"
TIME_EMBED: Final = "model.model.time_embed"


class TrainingError(StationError):
    """Training cannot go on: the loss is no longer a number.

    The message names the batch. Lower the learning rate, limit the gradient norm, or look at the clips it names.
    """


class Report(Protocol):
    """Told about the progress of a run."""

    def step(self, epoch: int, done: int, of: int, loss: float) -> None:
        """Take note that ``done`` of an epoch's ``of`` batches are done; ``loss`` is the latest batch's."""

    def epoch(self, entry: dict[str, Any]) -> None:
        """Take note that an epoch is done: the entry of the log."""


def network_config(recipe: Recipe) -> NetworkConfig:
    """Return the recipe's network. Raises InputError where a changed field does not exist or does not fit."""
    try:
        return preset(recipe.preset, **recipe.network)
    except (TypeError, ValueError) as error:
        raise InputError(f"network: {error}; mend the changed field of the preset {recipe.preset!r}") from error


class Training:
    """A network on its way through a recipe: everything that a checkpoint holds."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        """Make a fresh network from the recipe's seed. Raises InputError where there is no such network."""
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.device = device
        self.network = Rostfine(network_config(recipe)).to(device)
        width = self.network.config.width * len(self.network.config.features)
        self.criteria = torch.nn.Linear(width, len(CRITERIA)).to(device) if recipe.criteria else None
        """Tells the flaws from the features; serves training and is not part of the model."""
        self.optimizer = make_optimizer(self.parameters(), recipe)
        self.epochs_done = 0
        self.log: list[dict[str, Any]] = []
        """One entry per epoch: epoch, lr, loss, and the validation scores."""

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return all that is trained."""
        return [*self.network.parameters(), *(self.criteria.parameters() if self.criteria else ())]

    def save(self, path: Path) -> None:
        """Write a checkpoint; the old file stays whole until the new one is."""
        buffer = io.BytesIO()
        state = {
            "recipe": self.recipe.model_dump(mode="json"),
            "network": dataclasses.asdict(self.network.config),
            "model": self.network.state_dict(),
            "criteria": self.criteria.state_dict() if self.criteria else {},
            "optimizer": self.optimizer.state_dict(),
            "epochs_done": self.epochs_done,
            "log": self.log,
        }
        torch.save(state, buffer)
        write_atomically(path, buffer.getvalue())

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of this recipe. Raises InputError where it is another recipe's."""
        state = read_checkpoint(path, self.device)
        if state["recipe"] != self.recipe.model_dump(mode="json"):
            raise InputError(f"{path}: made with another recipe than recipe.json beside it; start a new run")
        self.network.load_state_dict(state["model"])
        if self.criteria:
            self.criteria.load_state_dict(state["criteria"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epochs_done = state["epochs_done"]
        self.log = state["log"]

    def start_from(self, path: Path) -> None:
        """Take only the weights of another run's checkpoint. Raises InputError where they do not fit.

        A network of fewer frames may be grown: its time embeddings, one for every few frames, are repeated.
        """
        weights = read_checkpoint(path, self.device)["model"]
        own, theirs = self.network.config.frames, weights[TIME_EMBED].shape[1]
        weights[TIME_EMBED] = weights[TIME_EMBED][:, torch.arange(own) * theirs // own]
        try:
            self.network.load_state_dict(weights)
        except RuntimeError as error:
            raise InputError(f"{path}: its network has another shape ({str(error).splitlines()[0]})") from error

    def run_epoch(self, clips: Clips, chosen: Sequence[int], report: Report) -> dict[str, Any]:
        """Train on every chosen clip once and return the log entry without validation scores.

        Raises:
            TrainingError: The loss is not finite.
        """
        recipe, epoch = self.recipe, self.epochs_done
        torch.manual_seed(recipe.seed + 1 + epoch)
        targets = torch.from_numpy(clips.distributions.astype(np.float32))
        flaws = torch.from_numpy(true_flaws(clips)) if self.criteria else None
        count = math.ceil(len(chosen) / recipe.batch)
        steps = math.ceil(count / recipe.accumulate)
        total, rate = 0.0, 0.0
        self.network.train()
        varied = Augmentation(self.network.config.frames, recipe.turns, recipe.brightness)
        batches = epoch_batches(clips, chosen, recipe.batch, recipe.seed, epoch, varied)
        for place, (indices, pixels) in enumerate(batches):
            step, within = divmod(place, recipe.accumulate)
            if within == 0:
                rate = recipe.lr * rate_share(recipe, epoch * steps + step, recipe.epochs * steps)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                self.optimizer.zero_grad(set_to_none=True)
            with autocast(recipe, self.device):
                output = self.network(torch.from_numpy(pixels).to(self.device))
            loss = loss_of(output, targets[indices].to(self.device), recipe)
            if self.criteria is not None and flaws is not None:
                told = self.criteria(torch.cat(features_of(output), dim=1))
                loss = loss + recipe.criteria * F.mse_loss(told, flaws[indices].to(self.device))
            value = loss.item()
            if not math.isfinite(value):
                names = ", ".join(clips.rows[index].id for index in indices)
                raise TrainingError(f"the loss became {value} in epoch {epoch + 1}, batch {place + 1} (clips {names})")
            group_size = min(recipe.accumulate, count - step * recipe.accumulate)
            torch.autograd.backward(loss / group_size)
            if within == group_size - 1:
                if recipe.clip_norm:
                    torch.nn.utils.clip_grad_norm_(self.parameters(), recipe.clip_norm)
                self.optimizer.step()
            total += value * len(indices)
            report.step(epoch, place + 1, count, value)
        self.epochs_done += 1
        return {"epoch": self.epochs_done, "lr": rate, "loss": total / len(chosen)}


def train(
    training: Training,
    clips: Clips,
    chosen: Sequence[int],
    held: tuple[Clips, Sequence[int]],
    run: Path,
    report: Report,
    *,
    until: int,
) -> None:
    """Train until ``until`` epochs are done, with a checkpoint and a validation after each.

    Args:
        training: Fresh or loaded.
        clips: The training folder, of which the ``chosen`` indices are used.
        chosen: Indices of the clips to train on.
        held: Folder and indices to validate on; no indices: not validated, and the last epoch is the best.
        run: Folder for ``last.pt``, ``best.pt`` (least validation MSE) and ``log.jsonl``.
        report: Told about progress.
        until: Number of epochs done at which to stop.
    """
    while training.epochs_done < until:
        entry = training.run_epoch(clips, chosen, report)
        if held[1]:
            scores = validate(training, *held)
            entry |= {"mse_x100": scores.mse_x100, "js_x100": scores.js_x100, "top1": scores.balanced_accuracy[0]}
        training.log.append(entry)
        best = min(training.log, key=lambda e: e.get("mse_x100", -e["epoch"]))
        if best is entry:
            training.save(run / BEST)
        training.save(run / LAST)
        report.epoch(entry)


def validate(training: Training, clips: Clips, chosen: Sequence[int]) -> Scores:
    """Return the scores on clips that are not trained on."""
    predicted = predict(training.network, clips, chosen, training.device)
    return score(predicted, clips.distributions[list(chosen)])


def predict(
    network: Rostfine, clips: Clips, chosen: Sequence[int], device: torch.device, batch: int = 16
) -> NDArray[np.float64]:
    """Return (N, C) predicted distributions of the chosen clips, in their order."""
    network.eval()
    answers: list[NDArray[np.float64]] = []
    with torch.inference_mode():
        for start in range(0, len(chosen), batch):
            some = [clips.pixels(index) for index in chosen[start : start + batch]]
            pixels = np.stack([middle_frames(clip, network.config.frames) for clip in some])
            grade = network(torch.from_numpy(pixels).to(device)).grade
            answers.append(grade.double().cpu().numpy())
    return np.concatenate(answers)


def loss_of(output: RostfineOutput, target: Tensor, recipe: Recipe) -> Tensor:
    """Return the mean over the heads of the distance from the votes (N, C), plus alpha times the features' likeness."""
    distance = DISTANCES[recipe.loss]
    loss = torch.stack([distance(head.float(), target) for head in output.heads.unbind(1)]).mean()
    features = features_of(output)
    return loss + recipe.alpha * likeness(features) if recipe.alpha and len(features) > 1 else loss


def features_of(output: RostfineOutput) -> list[Tensor]:
    """Return the feature vectors (N, D) float32 that the network has, of v_g, v_s, v_t."""
    return [feature.float() for feature in (output.v_g, output.v_s, output.v_t) if feature is not None]


def rate_share(recipe: Recipe, step: int, steps: int) -> float:
    """Return the share of the full learning rate at a step of all ``steps``: warm-up, then constant or cosine to 0."""
    warm = recipe.warmup * steps
    if step < warm:
        return (step + 1) / (warm + 1)
    if recipe.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))


def make_optimizer(parameters: Iterable[torch.nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser for all weights."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    return torch.optim.AdamW(parameters, recipe.lr, betas=(0.9, 0.98), weight_decay=recipe.weight_decay)


def autocast(recipe: Recipe, device: torch.device) -> torch.autocast:
    """Return the context in which the forward pass runs."""
    return torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16")


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint. Raises InputError where it is none."""
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path}: no readable checkpoint ({str(error).splitlines()[0]}); give a training run"
        ) from error
    if not isinstance(state, dict) or not {"recipe", "model", "log"} <= state.keys():
        raise InputError(f"{path}: not a checkpoint of python -m trainer train; give a training run")
    return state
