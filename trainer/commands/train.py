"""``python -m trainer train``: train a network on a folder of clips, or go on with a run that was cut off.

The command's options and the run's folder. The loop itself is in ``trainer.training.loop``.
"""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from station.errors import InputError, MissingExtraError
from station.files import write_atomically
from trainer.data.dataset import Clips, open_clips
from trainer.data.splits import SPLIT, Split, read_split, split_off, write_split
from trainer.training.options import add_recipe_options, given_options, new_recipe
from trainer.training.progress import Display
from trainer.training.recipe import Recipe, read_recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from trainer.training.loop import Training

EPILOG: Final = """\
The run's folder holds recipe.json, split.json, last.pt (every epoch), best.pt (least validation MSE), log.jsonl and
curves (tensorboard --logdir RUN). Ctrl-C, a crash or a power cut lose the current epoch at most; --resume goes on as if
nothing had been, bit for bit on a CPU.

examples:
  python -m trainer train --data DATA --out RUN
  python -m trainer train --data DATA --out RUN --resume
  python -m trainer train --data DATA --val OTHER --out RUN --optimizer adamw --schedule cosine --patience 20
  python -m trainer train --data DATA --out RUN --preset base --selected 3 --branch-depth 6 --branch-heads 8 \\
      --init timesformer.safetensors --init-part encoder --precision bfloat16 --device cuda
  torchrun --nproc-per-node 2 -m trainer train --data DATA --out RUN --device cuda"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "%(prog)s --data DATA --out RUN [--resume] [options]"
    parser.epilog = EPILOG
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="folder of clips to train on")
    parser.add_argument("--val", type=Path, metavar="DATA", help="folder to validate on (default: sources held out)")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, by its own recipe")
    parser.add_argument("--stop-after", type=int, metavar="N", help="stop when N epochs are done; --resume goes on")
    add_recipe_options(parser)


def run(args: argparse.Namespace) -> int:
    """Train."""
    require_training()
    from trainer.training.fabric import first_of_machine, launch

    if args.stop_after is not None and args.stop_after < 1:
        raise InputError(f"--stop-after {args.stop_after}: expected 1 or more")
    set_threads(args.threads)
    clips = open_clips(args.data, verify=first_of_machine())
    held = open_clips(args.val, verify=first_of_machine()) if args.val else None
    recipe = _recipe(args, clips, held)
    with launch(args.device, recipe.precision) as fabric:
        console = Console(highlight=False, quiet=not fabric.is_global_zero)
        job = Job(clips, held, recipe, args.out, args.resume, args.init, args.stop_after)
        try:
            train_one(job, (), fabric, console)
        except KeyboardInterrupt:
            val = f" --val {args.val}" if args.val else ""
            command = f"python -m trainer train --data {args.data}{val} --out {args.out} --resume"
            console.print(f"the epochs that are done are kept; go on with: {command}", soft_wrap=True)
            raise
    return 0


@dataclass(frozen=True, slots=True)
class Job:
    """One run to be begun or taken up."""

    clips: Clips
    held: Clips | None
    """Another folder to validate on."""
    recipe: Recipe
    out: Path
    resume: bool
    init: Path | None
    stop_after: int | None


def train_one(job: Job, test: Sequence[int], fabric: "Fabric", console: Console) -> "Training":
    """Train one run to its end (or to ``stop_after``) and return it as it is then.

    Args:
        job: The run.
        test: Indices of clips that it must not see (what a run that is taken up has noted itself goes first).
        fabric: Launched.
        console: Told what goes on; quiet in all processes but one.
    """
    from trainer.data.ground_truth import true_defect_scores
    from trainer.model.initialization import start
    from trainer.training import loop
    from trainer.training.run_folder import RunFolder

    clips, recipe = job.clips, job.recipe
    split = split_off(clips, test, 0.0 if job.held else recipe.holdout, recipe.seed)
    training = loop.Training(recipe, fabric.device)
    check_shape(training, clips)
    if job.resume:
        training.load(job.out / loop.LAST)
        if (job.out / SPLIT).exists():  # runs of before there were such files have none
            split = read_split(job.out / SPLIT, clips)
    elif job.init:
        training.start_from(job.init, recipe.init_part)
    elif recipe.data_start:
        start(training.network, clips, split.train, recipe.seed)
    held = (job.held, range(len(job.held))) if job.held else (clips, split.validation)
    if recipe.patience and not held[1]:
        raise InputError("--patience needs clips to validate on; give --val, or a --holdout above 0")
    if recipe.criteria:
        true_defect_scores(clips)  # raises where the clips have none, before there is a run
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
        console.print(_summary(training, split, held[1], fabric.world_size), soft_wrap=True)
        both = set(clips.sources) & set(job.held.sources) if job.held else ()
        if both:
            console.print(f"note: {len(both)} sources are in --data and in --val; scores are flattered", soft_wrap=True)
        display = stack.enter_context(Display(console, training.epochs_done, until))
        loop.train(training, clips, split.train, held, folder, display, fabric, until=until)
    if training.finished and training.epochs_done < recipe.epochs:
        console.print(f"stopped early: {_state(training)}", soft_wrap=True)
    return training


def write_recipe(folder: Path, recipe: Recipe) -> None:
    """Write ``recipe.json``."""
    write_atomically(folder / "recipe.json", (recipe.model_dump_json(indent=1) + "\n").encode())


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
    if (out / "recipe.json").exists():
        raise InputError(f"--out {out} holds a run already; add --resume or give another folder")


def read_own_recipe(args: argparse.Namespace, clips: Clips, held: Clips | None) -> Recipe:
    """Return the recipe of what is in --out. Raises InputError where the command line or the clips contradict it."""
    given = [f"--{name.replace('_', '-')}" for name in given_options(args)]
    if given:
        raise InputError(f"--resume goes on by the run's own recipe; leave out {', '.join(given)}")
    recipe = read_recipe(args.out)
    if recipe.data != clips.sha256 or recipe.validation != (held.sha256 if held else ""):
        raise InputError(f"{args.out}: was begun on other clips; give the same --data and --val")
    return recipe


def check_shape(training: "Training", clips: Clips) -> None:
    """Refuse clips that the network was not made for."""
    config = training.network.config
    frames, *edges = clips.shape
    if edges != [config.clip_px] * 2 or frames % config.frames:
        raise InputError(
            f"{clips.root}: clips are {clips.shape}, the network takes {config.frames} frames (or a multiple) of "
            f"{config.clip_px} px; change --network"
        )


def _recipe(args: argparse.Namespace, clips: Clips, held: Clips | None) -> Recipe:
    """Return the recipe of the options, or the run's own when it is resumed."""
    if args.resume:
        if args.init:
            raise InputError("--resume goes on by the run's own recipe; leave out --init")
        return read_own_recipe(args, clips, held)
    check_new(args.out)
    if held and held.sha256 == clips.sha256:
        raise InputError("--val is the folder to train on; give another, or leave it out: sources are then held out")
    return new_recipe(args, data=clips.sha256, validation=held.sha256 if held else "")


def _state(training: "Training") -> str:
    best = training.best
    what = f"validation MSE x100 {best['mse_x100']:.4f}" if "mse_x100" in best else f"loss {best['loss']:.4f}"
    return f"{training.epochs_done} epochs are done, the best is epoch {best['epoch']} ({what})"


def _summary(training: "Training", split: Split, validated: Sequence[Any], processes: int) -> str:
    weights = sum(parameter.numel() for parameter in training.network.parameters())
    tested = f", {len(split.test)} never seen" if split.test else ""
    shared = f", {processes} processes" if processes > 1 else ""
    return (
        f"{len(split.train)} clips to learn from, {len(validated)} to validate on{tested}; "
        f"{weights / 1e6:.2f} million weights{shared}"
    )
