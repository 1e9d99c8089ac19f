"""``python -m trainer train``: train a network on a folder of clips, or go on with a run that was cut off.

The command's options, the run's folder and the display. The loop itself is in ``trainer.fit``.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from station.errors import InputError, MissingExtraError
from trainer.batches import split_by_source
from trainer.data import Clips, open_clips, write_atomically
from trainer.recipe import Recipe, build_recipe, read_recipe

if TYPE_CHECKING:
    from trainer.fit import Training

_OPTIONS = (
    ("preset", "network to begin from: station or base"),
    ("loss", "mse, js, emd or ce"),
    ("alpha", "weight of the diversity term"),
    ("optimizer", "sgd or adamw"),
    ("lr", "learning rate"),
    ("momentum", "of SGD"),
    ("weight-decay", "decay of the weights"),
    ("batch", "clips a batch"),
    ("accumulate", "batches a step"),
    ("epochs", "passes over the data"),
    ("schedule", "constant or cosine"),
    ("warmup", "share of all steps in which the rate rises"),
    ("clip-norm", "largest gradient norm, 0: any"),
    ("data-start", "start from the statistics of the clips (trainer/start.py): true or false"),
    ("criteria", "weight of the raters' criteria as a further task (simulated clips only)"),
    ("turns", "augment with flips and quarter turns: true or false"),
    ("brightness", "augment with brightness within this share"),
    ("precision", "float32 or bfloat16"),
    ("holdout", "share of the sources held out where there is no --val"),
    ("seed", "of everything random"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="folder of clips to train on")
    parser.add_argument("--val", type=Path, metavar="DATA", help="folder to validate on (default: sources held out)")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, by its own recipe")
    parser.add_argument("--stop-after", type=int, metavar="N", help="stop when N epochs are done; --resume goes on")
    parser.add_argument("--init", type=Path, metavar="CHECKPOINT", help="begin from the weights of another run (a .pt)")
    parser.add_argument("--network", action="append", default=[], metavar="FIELD=VALUE",
                        help="change a field of the preset's network, such as depth=4 (repeatable)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=0, help="threads of torch on the CPU (default: torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    recipe = parser.add_argument_group("recipe (defaults: the paper's where it has one)")
    for name, text in _OPTIONS:
        default = Recipe.model_fields[name.replace("-", "_")].default
        recipe.add_argument(f"--{name}", metavar="VALUE", help=f"{text} (default: {default})")


def run(args: argparse.Namespace) -> int:
    """Train."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError('training needs torch; install it with pip install ".[train]"') from error
    from trainer import fit
    from trainer.start import start

    console = Console(highlight=False)
    clips = open_clips(args.data)
    held = open_clips(args.val) if args.val else None
    recipe = _recipe(args, clips, held)
    if args.threads:
        torch.set_num_threads(args.threads)
    chosen, rest = split_by_source(clips.sources, 0.0 if held else recipe.holdout, recipe.seed)
    try:
        training = fit.Training(recipe, torch.device(args.device))
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {args.device}: cannot be used ({error}); take cpu") from error
    _check_shape(training, clips)
    if args.resume:
        training.load(args.out / fit.LAST)
    else:
        if args.init:
            training.start_from(args.init)
        elif recipe.data_start:
            start(training.network, clips, chosen, recipe.seed)
        args.out.mkdir(parents=True, exist_ok=True)
        write_atomically(args.out / "recipe.json", (recipe.model_dump_json(indent=1) + "\n").encode())
    until = min(recipe.epochs, args.stop_after or recipe.epochs)
    weights = sum(parameter.numel() for parameter in training.network.parameters())
    console.print(f"{len(chosen)} clips, {len(held or rest)} held out, {weights / 1e6:.1f} million weights")
    with _Display(console, args.out, training) as display:
        fit.train(
            training, clips, chosen, (held, range(len(held))) if held else (clips, rest), args.out, display, until=until
        )
    return 0


def _recipe(args: argparse.Namespace, clips: Clips, held: Clips | None) -> Recipe:
    """Return the recipe of the options, or the run's own when it is resumed."""
    given = {name.replace("-", "_"): getattr(args, name.replace("-", "_")) for name, _ in _OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    if not args.resume:
        if (args.out / "recipe.json").exists():
            raise InputError(f"--out {args.out} holds a run already; add --resume or give another folder")
        network = dict(_assignment(text) for text in args.network)
        hashes = {"data": clips.sha256, "validation": held.sha256 if held else ""}
        return build_recipe({**given, **hashes, "network": network}, "options")
    if given or args.network or args.init:
        raise InputError("--resume goes on by the run's own recipe; leave out the options of the recipe")
    recipe = read_recipe(args.out)
    if recipe.data != clips.sha256 or recipe.validation != (held.sha256 if held else ""):
        raise InputError(f"{args.out}: was begun on other clips; give the same --data and --val")
    return recipe


def _assignment(text: str) -> tuple[str, Any]:
    """Return FIELD=VALUE as name and value; the value is JSON where it reads as such."""
    name, sign, value = text.partition("=")
    if not sign:
        raise InputError(f"--network {text}: expected FIELD=VALUE, such as depth=4")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _check_shape(training: "Training", clips: Clips) -> None:
    """Refuse clips that the network was not made for."""
    config = training.network.config
    frames, *edges = clips.shape
    if edges != [config.clip_px] * 2 or frames % config.frames:
        raise InputError(
            f"{clips.root}: clips are {clips.shape}, the network takes {config.frames} frames (or a multiple) of "
            f"{config.clip_px} px; change --network"
        )


class _Display:
    """Shows a run: a bar on a terminal, now and then a line elsewhere; and writes ``log.jsonl``."""

    LINE_EVERY_S = 30.0

    def __init__(self, console: Console, run: Path, training: "Training") -> None:
        self._console = console
        self._run = run
        self._training = training
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("epoch 1")
        self._recent: list[float] = []
        self._said_s = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, epoch: int, done: int, of: int, loss: float) -> None:
        """See ``trainer.fit.Report``."""
        self._recent.append(loss)
        if done == of or time.monotonic() - self._said_s > self.LINE_EVERY_S:
            mean = sum(self._recent) / len(self._recent)
            if not self._console.is_terminal:
                self._console.print(f"epoch {epoch + 1}: {done}/{of}, loss {mean:.5f}")
                sys.stdout.flush()
            self._recent, self._said_s = [], time.monotonic()
        self._bar.update(self._task, description=f"epoch {epoch + 1}, loss {loss:.4f}", completed=done, total=of)

    def epoch(self, entry: dict[str, Any]) -> None:
        """See ``trainer.fit.Report``."""
        lines = "".join(json.dumps(past) + "\n" for past in self._training.log)
        write_atomically(self._run / "log.jsonl", lines.encode())
        self._console.print(", ".join(f"{name} {value:.5g}" for name, value in entry.items()))
        sys.stdout.flush()
