"""The options that ``train`` and ``crossval`` share, and the recipe they come to.

It knows command lines and recipes; it opens no clips.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from station.errors import InputError
from station.files import sha256_of
from trainer.data.dataset import Clips
from trainer.model.systems import SYSTEMS, require_start
from trainer.training.recipe import Recipe, build_recipe, read_recipe

GROUPS: Final = {
    "network (the paper's hyper-parameters; defaults: the preset's)": (
        ("system", f"{', '.join(SYSTEMS)} (docs/systems.md)"),
        ("preset", "its size: station (small, for a CPU at the microscope), base (the paper's) or tiny (to try out)"),
        ("branch", "fine-grained branches: paper, reference (the authors' code) or prenorm (learns best from scratch)"),
        ("selected", "K, patches selected a frame"),
        ("branch-depth", "L, blocks of a branch"),
        ("branch-heads", "H, attention heads of a branch"),
    ),
    "objective (defaults: the paper's)": (
        ("loss", "mse, js (Jensen-Shannon), emd (squared earth mover's distance) or ce (cross-entropy)"),
        ("alpha", "weight of the diversity term"),
        ("criteria", "weight of an auxiliary task: to predict the raters' criteria (simulated clips only)"),
    ),
    "optimisation (defaults: the paper's where it gives one)": (
        ("epochs", "passes over the data"),
        ("batch", "clips in a batch, over all processes"),
        ("accumulate", "batches whose gradients are averaged for one step"),
        ("optimizer", "sgd or adamw"),
        ("lr", "learning rate"),
        ("momentum", "momentum of SGD"),
        ("weight-decay", "weight decay"),
        ("schedule", "learning-rate schedule: constant or cosine"),
        ("warmup", "share of all steps in which the learning rate rises from 0"),
        ("clip-norm", "largest gradient norm; 0: no limit"),
        ("precision", "float32, or bfloat16 (mixed)"),
        ("compile", "compile the network, which takes a minute or two and pays on a GPU: true or false"),
        ("patience", "stop after so many epochs without a smaller validation MSE; 0: never"),
    ),
    "data": (
        ("holdout", "share of the sources held out for validation, which picks best.pt and stops early"),
        ("turns", "augment with flips and quarter turns, as sperm swim in any direction: true or false"),
        ("brightness", "augment with gain and offset within this share, as lamps and cameras differ"),
    ),
    "initial weights": (
        ("scratch", "all systems but rostfine: begin from nothing, in place of --init: true or false"),
        (
            "data-start",
            "rostfine, timesformer: without --init, initialise from the statistics of the clips: true or false",
        ),
        ("init-part", "what to take from --init: all, or encoder alone"),
        ("seed", "random seed"),
    ),
}
NETWORK: Final = ("branch", "selected", "branch_depth", "branch_heads")
"""Options of their own for fields of the network."""


def add_recipe_options(parser: argparse.ArgumentParser) -> None:
    """Add everything that a recipe holds, and what the process runs on."""
    parser.add_argument("--threads", type=int, default=0, help="threads of torch on the CPU (default: torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--init", type=Path, metavar="FILE", help="weights to begin from: last.pt or best.pt of a "
                        "run or of pretrain (as many frames or fewer), .safetensors of import, or a baseline's "
                        "pretrained file as its authors publish it")  # fmt: skip
    for title, options in GROUPS.items():
        group = parser.add_argument_group(title)
        for name, text in options:
            field = Recipe.model_fields.get(_field(name))
            default = f" (default: {str(field.default).lower()})" if field else ""
            group.add_argument(f"--{name}", metavar="VALUE", help=f"{text}{default}")
        if options is next(iter(GROUPS.values())):
            group.add_argument("--network", action="append", default=[], metavar="FIELD=VALUE",
                               help="change another field of the network, such as depth=4 (repeatable)")  # fmt: skip


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the recipe that were given, by field; those of the network under ``network``."""
    names = [_field(name) for options in GROUPS.values() for name, _ in options]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    network = network_changes(args.network)
    for name in NETWORK:
        if name in given:
            if name in network:
                raise InputError(f"--{name.replace('_', '-')} and --network {name}=... say the same; give one of them")
            network[name] = _value(given.pop(name))
    return given | ({"network": network} if network else {})


def network_changes(texts: Sequence[str]) -> dict[str, Any]:
    """Return the fields of the network that FIELD=VALUE texts change. Raises InputError for anything else."""
    return dict(_assignment(text) for text in texts)


def new_recipe(args: argparse.Namespace, **fixed: Any) -> Recipe:
    """Return the recipe of the options and of fields that follow from elsewhere. Raises InputError."""
    recipe = build_recipe({**given_options(args), **fixed}, "options")
    require_start(recipe.system, args.init, recipe.scratch)
    return build_recipe({**recipe.model_dump(), "init": file_sha256(args.init)}, "options") if args.init else recipe


def resumed_recipe(args: argparse.Namespace, clips: Clips, held: Clips | None = None) -> Recipe:
    """Return the recipe of what is in --out. Raises InputError where the command line or the clips contradict it."""
    given = [f"--{name.replace('_', '-')}" for name in given_options(args)]
    if given:
        raise InputError(f"--resume uses the run's own recipe; leave out {', '.join(given)}")
    recipe = read_recipe(args.out)
    if recipe.data != clips.sha256 or recipe.validation != (held.sha256 if held else ""):
        raise InputError(f"{args.out}: was begun on other clips; give the same --data and --val")
    return recipe


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256. Raises InputError where it cannot be read."""
    try:
        return sha256_of(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give another file") from error


def _field(option: str) -> str:
    return option.replace("-", "_")


def _assignment(text: str) -> tuple[str, Any]:
    """Return FIELD=VALUE as name and value."""
    name, sign, value = text.partition("=")
    if not sign:
        raise InputError(f"--network {text}: expected FIELD=VALUE, such as depth=4")
    return name, _value(value)


def _value(text: str) -> Any:
    """Return what a text says: JSON where it reads as such."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
