"""The training loop: one network, one recipe, clips in, checkpoints out.

It draws nothing on a screen (``trainer.training.progress`` does), decides on no file
(``trainer.training.run_folder``) and computes no reported figure (``trainer.evaluation.metrics``). Everything random
follows from the recipe's seed and the epoch, so that a run resumed from the checkpoint of any epoch goes on bit for
bit (on the CPU, with the same number of threads).

Several processes share each batch: process r of R takes every R-th clip from the r-th. What they add up to is the mean
over the whole batch, so R processes give what one would, but for rounding.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from numpy.typing import NDArray

from station.errors import StationError
from trainer.data.dataset import Clips
from trainer.data.ground_truth import true_defect_scores
from trainer.data.loader import Augmentation, epoch_batches, epoch_order, middle_frames
from trainer.evaluation.metrics import Scores, score
from trainer.model.losses import DISTANCES, loss_of
from trainer.model.rostfine import Rostfine
from trainer.training.optimizer import rate_share, set_rate
from trainer.training.run_folder import BEST, LAST, RunFolder
from trainer.training.state import TIME_EMBED, Entry, Learned, Training, network_config, read_checkpoint

__all__ = [
    "BEST",
    "LAST",
    "TIME_EMBED",
    "Training",
    "TrainingError",
    "network_config",
    "predict",
    "read_checkpoint",
    "train",
]


class TrainingError(StationError):
    """Training cannot go on: the loss, or its gradient, is no longer a number.

    The message names the batch. Lower the learning rate, limit the gradient norm, or look at the clips it names. The
    checkpoint of the last whole epoch is as it was.
    """


class Report(Protocol):
    """Told about the progress of a run."""

    def batch(self, epoch: int, done: int, of: int, loss: float) -> None:
        """Take note that ``done`` of an epoch's ``of`` batches are done; ``loss`` is the latest batch's."""

    def epoch(self, entry: Entry, best: Entry) -> None:
        """Take note that an epoch is done: its entry of the log, and the best one so far."""


def train(
    training: Training,
    clips: Clips,
    chosen: Sequence[int],
    held: tuple[Clips, Sequence[int]],
    folder: RunFolder | None,
    report: Report,
    fabric: Fabric,
    *,
    until: int,
) -> None:
    """Train until ``until`` epochs are done or patience is at an end, with a validation and a checkpoint after each.

    Args:
        training: Fresh or loaded; the same in every process.
        clips: The training folder, of which the ``chosen`` indices are used.
        chosen: Indices of the clips to train on.
        held: Folder and indices to validate on; no indices: not validated, and the last epoch is the best.
        folder: Keeps checkpoints and logs; None in all processes but one.
        report: Told about progress.
        fabric: Devices, precision and processes.
        until: Number of epochs done at which to stop.
    """
    model, optimizer = fabric.setup(training.learner, training.optimizer)
    while training.epochs_done < until and not training.finished:
        entry = run_epoch(training, model, optimizer, clips, chosen, folder, report, fabric)
        if held[1]:
            scores = validate(training, *held, fabric)
            entry |= {"mse_x100": scores.mse_x100, "js_x100": scores.js_x100, "top1": scores.balanced_accuracy[0]}
        training.log.append(entry)
        if folder:
            folder.keep(training)
        report.epoch(entry, training.best)
    fabric.barrier()


def run_epoch(
    training: Training,
    model: Any,
    optimizer: Any,
    clips: Clips,
    chosen: Sequence[int],
    folder: RunFolder | None,
    report: Report,
    fabric: Fabric,
) -> Entry:
    """Train on every chosen clip once and return the log entry without validation scores.

    ``model`` and ``optimizer`` are the training's own as Fabric set them up; the rest is as in ``train``.

    Raises:
        TrainingError: The loss or its gradient is not finite.
    """
    recipe, epoch = training.recipe, training.epochs_done
    rank, processes = fabric.global_rank, fabric.world_size
    torch.manual_seed(recipe.seed + 1 + epoch)
    targets = torch.from_numpy(clips.distributions.astype(np.float32)).to(fabric.device)
    defect_scores = torch.from_numpy(true_defect_scores(clips)).to(fabric.device) if recipe.criteria else None
    varied = Augmentation(training.network.config.frames, recipe.turns, recipe.brightness)
    order = epoch_order(chosen, recipe.batch, recipe.seed, epoch)
    batches = epoch_batches(clips, chosen, recipe.batch, recipe.seed, epoch, varied, (rank, processes))
    steps = math.ceil(len(order) / recipe.accumulate)
    total, rate = 0.0, 0.0
    training.learner.train()
    for step in range(steps):
        first = step * recipe.accumulate
        group = order[first : first + recipe.accumulate]
        clips_in_step, step_loss = sum(len(whole) for whole in group), 0.0
        rate = recipe.lr * rate_share(recipe, epoch * steps + step, recipe.epochs * steps)
        set_rate(training.optimizer, rate)
        optimizer.zero_grad(set_to_none=True)
        for place, whole in enumerate(group, start=first):
            indices, pixels = next(batches)
            share = len(range(rank, len(whole), processes)) / len(whole)
            with fabric.no_backward_sync(model, enabled=whole is not group[-1]):
                learned: Learned = model(torch.from_numpy(pixels).to(fabric.device))
                loss = loss_of(learned.output, targets[indices], DISTANCES[recipe.loss], recipe.alpha)
                if learned.told is not None and defect_scores is not None:
                    loss = loss + recipe.criteria * F.mse_loss(learned.told, defect_scores[indices])
                value = cast(torch.Tensor, fabric.all_reduce(loss.detach() * share, reduce_op="sum")).item()
                if not math.isfinite(value):
                    raise _not_finite(training, clips, "loss", value, place, [whole])
                # Processes average their gradients: hence times their number.
                fabric.backward(loss * (processes * share * len(whole) / clips_in_step))
            step_loss += value * len(whole)
            report.batch(epoch, place + 1, len(order), value)
        norm = fabric.clip_gradients(model, optimizer, max_norm=recipe.clip_norm or math.inf, error_if_nonfinite=False)
        size = cast(torch.Tensor, norm).item()
        if not math.isfinite(size):
            raise _not_finite(training, clips, "gradient", size, first + len(group) - 1, group)
        optimizer.step()
        total += step_loss
        if folder:
            folder.step(epoch * steps + step, loss=step_loss / clips_in_step, lr=rate, gradient_norm=size)
    training.epochs_done += 1
    return {"epoch": training.epochs_done, "step": (epoch + 1) * steps, "lr": rate, "loss": total / len(chosen)}


def _not_finite(
    training: Training, clips: Clips, what: str, value: float, place: int, batches: Sequence[Sequence[int]]
) -> TrainingError:
    names = ", ".join(clips.rows[index].id for batch in batches for index in batch)
    return TrainingError(
        f"the {what} became {value} in epoch {training.epochs_done + 1}, batch {place + 1} (clips {names}); the "
        f"checkpoint after epoch {training.epochs_done} is whole; lower --lr, set --clip-norm, or look at these clips"
    )


def validate(training: Training, clips: Clips, chosen: Sequence[int], fabric: Fabric) -> Scores:
    """Return the scores on clips that are not trained on; every process predicts its share of them."""
    return score(predict_shared(training.network, clips, chosen, fabric), clips.distributions[list(chosen)])


def predict_shared(network: Rostfine, clips: Clips, chosen: Sequence[int], fabric: Fabric) -> NDArray[np.float64]:
    """Return what ``predict`` does, in every process, each having predicted its share."""
    mine = range(fabric.global_rank, len(chosen), fabric.world_size)
    grades = np.zeros((len(chosen), clips.votes.shape[1]), np.float32)
    if mine:
        grades[mine] = predict(network, clips, [chosen[place] for place in mine], fabric.device)
    whole = fabric.all_reduce(torch.from_numpy(grades).to(fabric.device), reduce_op="sum")
    return cast(torch.Tensor, whole).double().cpu().numpy()


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
