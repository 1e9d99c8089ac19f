"""The training loop: one network, one recipe, clips in, checkpoints out.

It draws nothing on a screen (``trainer.training.progress`` does), decides on no file
(``trainer.training.run_folder``) and computes no reported figure (``trainer.evaluation.metrics``). Everything random
follows from the recipe's seed and the epoch, so that a run resumed from the checkpoint of any epoch continues bit for
bit (on the CPU, with the same number of threads).

Several processes share each batch: process r of R takes every R-th clip from the r-th. What they add up to is the mean
over the whole batch, so R processes give what one would, but for rounding.
"""

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from engine.artifact import NUM_GRADES
from trainer.data.dataset import Clips
from trainer.data.kept_clips import KeptClips
from trainer.data.loader import Augmentation, Batch, Epoch, epoch_order
from trainer.evaluation.metrics import Scores, score
from trainer.model.inference import answers, torch_forward
from trainer.model.losses import DISTANCES, feature_pairs, features_of, loss_of
from trainer.model.pixels import grey_levels, sent
from trainer.model.systems import Network
from trainer.training.epoch_log import EpochEntry
from trainer.training.optimizer import rate_share, set_rate
from trainer.training.pace import IN_STEP, Pace
from trainer.training.run_folder import RunFolder
from trainer.training.state import Learned, Training
from trainer.training.tally import ProgressReport, Step, Tally

PREDICTED_AT_ONCE = 16
"""Clips of one forward pass where nothing is learned."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run works with, the same in every process but for the folder."""

    training: Training
    """Fresh or loaded."""
    clips: Clips
    """To train on."""
    validation: Clips
    """To validate on; none: not validated, and the last epoch is the best."""
    report: ProgressReport
    fabric: Fabric
    """Devices, precision and processes."""
    folder: RunFolder | None = None
    """Keeps checkpoints and logs; None in all processes but one."""
    defect_scores: NDArray[np.float32] | None = None
    """(N, criteria) of the training clips, where the recipe asks for the raters' criteria."""
    pace: Pace = IN_STEP
    """How far ahead of the device clips are read and steps given out."""


@dataclass(frozen=True, slots=True)
class _Models:
    """The training's learner and optimiser as Fabric set them up, and the targets, from which batches are taken."""

    learner: Any
    optimizer: Any
    votes: Tensor
    """(N, C) of the training clips."""
    defect_scores: Tensor | None
    clips: KeptClips
    """Their pixels."""


def train(run: Run, until: int) -> None:
    """Train until ``until`` epochs are done or patience is at an end, with a validation and a checkpoint after each."""
    training, fabric = run.training, run.fabric
    # Static shapes: a batch has two sizes at most, the whole and the last one's.
    module: Any = torch.compile(training.learner, dynamic=False) if training.recipe.compile else training.learner
    learner, optimizer = fabric.setup(module, training.optimizer)
    votes = torch.from_numpy(run.clips.distributions.astype(np.float32))
    defects = None if run.defect_scores is None else torch.from_numpy(run.defect_scores)
    models = _Models(learner, optimizer, votes, defects, KeptClips(run.clips, run.pace.kept_bytes))
    while training.epochs_done < until and not training.finished:
        entry = _train_epoch(run, models)
        if len(run.validation):
            scores, cosines = validate(training, run.validation, fabric)
            entry = dataclasses.replace(
                entry, mse_x100=scores.mse_x100, js_x100=scores.js_x100, top1=scores.balanced_accuracy[0],
                cos_gs=cosines.get("gs"), cos_gt=cosines.get("gt"), cos_st=cosines.get("st"),
            )  # fmt: skip
        training.log.append(entry)
        if run.folder:
            run.folder.keep(training)
        run.report.epoch(entry, training.best)
    fabric.barrier()


def _train_epoch(run: Run, models: _Models) -> EpochEntry:
    """Train on every clip once and return the log entry without validation scores.

    Raises:
        TrainingError: The loss or its gradient is not finite.
    """
    training, fabric, recipe = run.training, run.fabric, run.training.recipe
    number = training.epochs_done
    torch.manual_seed(recipe.seed + 1 + number)
    order = epoch_order(len(run.clips), recipe.batch, recipe.seed, number)
    augmentation = Augmentation(training.network.config.frames, recipe.turns, recipe.brightness)
    share = (fabric.global_rank, fabric.world_size)
    epoch = Epoch(models.clips, recipe.batch, recipe.seed, number, augmentation, share)
    tally = Tally(run.clips, number, len(order), run.report, run.folder, run.pace.in_flight)
    steps = math.ceil(len(order) / recipe.accumulate)
    rate = 0.0
    training.learner.train()
    with contextlib.closing(epoch.batches(run.pace.readers)) as batches:
        for place in range(steps):
            first = place * recipe.accumulate
            rate = recipe.lr * rate_share(recipe, number * steps + place, recipe.epochs * steps)
            step = Step(number * steps + place, first, order[first : first + recipe.accumulate], rate)
            set_rate(training.optimizer, rate)
            models.optimizer.zero_grad(set_to_none=True)
            _add_gradients(run, models, step, batches, tally)
            tally.norm(_limit_gradient(run, models), step)
            models.optimizer.step()
    tally.settle()
    training.epochs_done += 1
    return EpochEntry(training.epochs_done, (number + 1) * steps, rate, tally.total / len(run.clips))


def _add_gradients(run: Run, models: _Models, step: Step, batches: Iterator[Batch], tally: Tally) -> None:
    """Add up the gradients of a step's batches, and give the tally the mean loss of each, of all processes."""
    recipe, config, fabric = run.training.recipe, run.training.network.config, run.fabric
    for place, whole in enumerate(step.batches, start=step.first):
        batch = next(batches)
        share = len(range(fabric.global_rank, len(whole), fabric.world_size)) / len(whole)
        with fabric.no_backward_sync(models.learner, enabled=whole is not step.batches[-1]):
            learned: Learned = models.learner(grey_levels(batch, fabric.device))
            votes = sent(models.votes[batch.indices], fabric.device)
            loss = loss_of(learned.output, votes, DISTANCES[recipe.loss], recipe.alpha, config)
            if learned.criteria is not None and models.defect_scores is not None:
                defects = sent(models.defect_scores[batch.indices], fabric.device)
                loss = loss + recipe.criteria * F.mse_loss(learned.criteria, defects)
            tally.loss(cast(Tensor, fabric.all_reduce(loss.detach() * share, reduce_op="sum")), step, place)
            # Processes average their gradients: hence times their number.
            fabric.backward(loss * (fabric.world_size * share * len(whole) / step.clips))


def _limit_gradient(run: Run, models: _Models) -> Tensor:
    """Limit the gradient as the recipe says and return its norm before that."""
    limit = run.training.recipe.clip_norm or math.inf
    norm = run.fabric.clip_gradients(models.learner, models.optimizer, max_norm=limit, error_if_nonfinite=False)
    return cast(Tensor, norm)


def validate(training: Training, clips: Clips, fabric: Fabric) -> tuple[Scores, dict[str, float]]:
    """Return the scores on clips that are not trained on, and the mean cosines of the features ("gs", "gt", "st")."""
    said = _said_shared(training.network, clips, fabric)
    grades, cosines = said[:, :NUM_GRADES], said[:, NUM_GRADES:].mean(0)
    pairs = feature_pairs(training.network.config)
    return score(grades, clips.distributions), dict(zip(pairs, cosines.tolist(), strict=True))


def predict_shared(network: Network, clips: Clips, fabric: Fabric) -> NDArray[np.float64]:
    """Return (N, C) predicted distributions of the clips, in every process, each having predicted its share."""
    return _said_shared(network, clips, fabric)[:, :NUM_GRADES]


def _said_shared(network: Network, clips: Clips, fabric: Fabric) -> NDArray[np.float64]:
    """Return what ``_said`` does, in every process, each having looked at its share."""
    mine = range(fabric.global_rank, len(clips), fabric.world_size)
    said = np.zeros((len(clips), NUM_GRADES + len(feature_pairs(network.config))), np.float32)
    if mine:
        said[mine] = _said(network, clips.subset(mine), fabric.device)
    whole = fabric.all_reduce(torch.from_numpy(said).to(fabric.device), reduce_op="sum")
    return cast(Tensor, whole).double().cpu().numpy()


def _said(network: Network, clips: Clips, device: torch.device) -> NDArray[np.float32]:
    """Return (N, C + pairs) of the clips: the predicted distribution, then the cosine of each pair of features."""
    parts = []
    for output in answers(torch_forward(network, device), clips, network.config.frames, PREDICTED_AT_ONCE):
        features = features_of(output, network.config)
        pairs = feature_pairs(network.config)
        cosines = [F.cosine_similarity(features[pair[0]], features[pair[1]], dim=-1) for pair in pairs]
        parts.append(torch.cat([output.grade.float(), *(cosine[:, None] for cosine in cosines)], dim=1).cpu())
    return torch.cat(parts).numpy()
