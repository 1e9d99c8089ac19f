"""One training run from its recipe to its end: what is checked before it begins, and what it prints.

The loop itself is in ``trainer.training.loop``, the run's files in ``trainer.training.run_folder``. It knows no command
line: that is ``trainer.training.options``.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from station.errors import InputError, MissingExtraError
from trainer.data.dataset import Clips
from trainer.data.ground_truth import true_defect_scores
from trainer.data.loader import describe_frames
from trainer.data.splits import SPLIT, Split, read_split, split_off, write_split
from trainer.model.systems import SYSTEMS, require_start
from trainer.training.progress import TrainingProgress
from trainer.training.recipe import LAST, RECIPE, Recipe, write_recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from trainer.training.state import Training


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be begun or resumed."""

    clips: Clips
    recipe: Recipe
    out: Path
    resume: bool
    held: Clips | None = None
    """Another folder to validate on."""
    test: Sequence[int] = ()
    """Indices of clips that it must not see (a resumed run goes by its own ``split.json``)."""
    init: Path | None = None
    """Weights to begin from."""
    stop_after: int | None = None
    """Epochs done at which to stop for now."""


def train_one(job: Job, fabric: "Fabric", console: Console) -> None:
    """Train one run to its end, or to ``stop_after``.

    Args:
        job: The run.
        fabric: Launched.
        console: Shows progress; quiet in all processes but one.
    """
    from trainer.training import loop
    from trainer.training.pace import pace_for, require_compiler
    from trainer.training.run_folder import RunFolder

    clips, recipe = job.clips, job.recipe
    training, split = _begin(job, fabric)
    validation = clips.subset(split.validation) if job.held is None else job.held
    if recipe.patience and not len(validation):
        raise InputError("--patience needs clips to validate on; give --val, or a --holdout above 0")
    if recipe.compile:
        require_compiler(fabric.device)
    scores = _defect_scores(job, split)
    if job.resume and training.finished:
        console.print(f"{job.out}: nothing left to do, {_state(training)}", soft_wrap=True)
    fabric.barrier()  # nobody writes before everybody has looked
    until = min(recipe.epochs, job.stop_after or recipe.epochs)
    with ExitStack() as stack:
        folder = None
        if fabric.is_global_zero:
            job.out.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(RunFolder(job.out, training))
            if not job.resume:
                write_split(job.out / SPLIT, clips, split)
                write_recipe(job.out, recipe)  # last: from here on it is a run that can be resumed
        console.print(_summary(training, split, len(validation), fabric.world_size), soft_wrap=True)
        for note in _notes(job, training, split):
            console.print(f"note: {note}", soft_wrap=True)
        progress = stack.enter_context(TrainingProgress(console, training.epochs_done, until))
        learnt, pace = clips.subset(split.train), pace_for(fabric.device)
        run = loop.Run(training, learnt, validation, progress, fabric, folder, scores, pace)
        loop.train(run, until)
    if training.finished and training.epochs_done < recipe.epochs:
        console.print(f"stopped early: {_state(training)}", soft_wrap=True)


def require_training() -> None:
    """Raise MissingExtraError where what training needs is not installed."""
    missing = [name for name in ("torch", "lightning_fabric", "tensorboard", "sklearn") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f'training needs {", ".join(missing)}; install it with pip install ".[train]"')


def set_threads(count: int) -> None:
    """Let torch use so many threads; 0: its own choice. Raises InputError for less."""
    import torch

    if count < 0:
        raise InputError(f"--threads {count}: expected 1 or more, or 0 for torch's choice")
    if count:
        torch.set_num_threads(count)


def check_new(out: Path) -> None:
    """Raise InputError where a folder holds a run already."""
    if (out / RECIPE).exists():
        raise InputError(f"--out {out} holds a run already; add --resume or give another folder")


def check_shape(training: "Training", clips: Clips) -> None:
    """Refuse clips that the network was not made for."""
    config = training.network.config
    frames, *edges = clips.shape
    if edges != [config.clip_px] * 2 or frames % config.frames:
        raise InputError(
            f"{clips.root}: clips are {clips.shape}, the network takes {config.frames} frames (or a multiple) of "
            f"{config.clip_px} px; change --network"
        )


def _begin(job: Job, fabric: "Fabric") -> tuple["Training", Split]:
    """Return the training, fresh or resumed, and the split that it uses."""
    from trainer.model.initialization import initialize
    from trainer.model.rostfine import Rostfine
    from trainer.training.state import Training

    recipe = job.recipe
    if not job.resume:
        require_start(recipe.system, job.init, recipe.scratch)
    split = split_off(job.clips, job.test, 0.0 if job.held else recipe.holdout, recipe.seed)
    training = Training(recipe, fabric.device)
    check_shape(training, job.clips)
    if job.resume:
        training.load(job.out / LAST)
        if (job.out / SPLIT).exists():  # runs of before there were such files have none
            split = read_split(job.out / SPLIT, job.clips)
    elif job.init:
        training.initialize_from(job.init, recipe.init_part)
    elif recipe.data_start and isinstance(training.network, Rostfine):
        initialize(training.network, job.clips.subset(split.train), recipe.seed)
    return training, split


def _defect_scores(job: Job, split: Split) -> NDArray[np.float32] | None:
    """Return the training clips' defect scores where the recipe asks for them, scaled over the whole folder.

    Raises InputError where the clips have none.
    """
    return true_defect_scores(job.clips)[split.train] if job.recipe.criteria else None


def _notes(job: Job, training: "Training", split: Split) -> Iterator[str]:
    """Yield what a user should know before the run begins."""
    frames = describe_frames(job.clips.shape[0], training.network.config.frames)
    if frames:
        yield f"{frames}; in training a random one first"
    if job.held:
        shared = set(job.clips.sources) & set(job.held.sources)
        if shared:
            yield f"{len(shared)} sources are in --data and in --val; scores are flattered"
    elif job.recipe.holdout and not split.validation:
        yield (
            "no clips are held out, as all that may be trained on are of one source: nothing chooses the best epoch, "
            "and the last one is taken"
        )


def _state(training: "Training") -> str:
    best = training.best
    what = f"loss {best.loss:.4f}" if best.mse_x100 is None else f"validation MSE x100 {best.mse_x100:.4f}"
    return f"{training.epochs_done} epochs are done, the best is epoch {best.epoch} ({what})"


def _summary(training: "Training", split: Split, validated: int, processes: int) -> str:
    weights = sum(parameter.numel() for parameter in training.network.parameters())
    tested = f", {len(split.test)} never seen" if split.test else ""
    shared = f", {processes} processes" if processes > 1 else ""
    recipe = training.recipe
    return (
        f"{SYSTEMS[recipe.system].title}, {recipe.preset}{', from nothing' if recipe.scratch else ''}\n"
        f"{len(split.train)} clips to learn from, {validated} to validate on{tested}; "
        f"{weights / 1e6:.2f} million weights{shared}"
    )
