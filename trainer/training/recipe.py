"""Everything a training run depends on but the data itself: one typed model, saved beside the weights.

It knows values and their bounds, no torch, nothing of the trainer; ``trainer.training.loop`` gives them their meaning.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.network_shape import SystemName
from station.errors import InputError
from station.files import TEXT_BYTES, read_bounded, write_atomically
from station.validation import explain

RECIPE: Final = "recipe.json"
LAST: Final = "last.pt"
"""Checkpoint of the last epoch."""
BEST: Final = "best.pt"
"""Checkpoint of the best epoch."""

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Recipe(BaseModel):
    """One training run. The defaults of loss, optimiser, rate, momentum, decay and batch are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    system: SystemName = "rostfine"
    """Which network: RoSTFine or one that it is compared with (docs/systems.md)."""
    preset: Literal["station", "base", "tiny"] = "station"
    """Its size."""
    network: dict[str, Any] = {}
    """Fields of the preset's network configuration that are changed."""
    loss: Literal["mse", "js", "emd", "ce"] = "mse"
    """``emd``: squared, see ``trainer.model.losses``."""
    alpha: Annotated[float, Field(ge=0)] = 0.1
    """Weight of the diversity term."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: Positive = 1e-3
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """SGD only."""
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    batch: Count = 8
    accumulate: Count = 1
    """Batches whose gradients are averaged for one step."""
    epochs: Count = 200
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of all steps in which the rate rises from 0."""
    clip_norm: Annotated[float, Field(ge=0)] = 0.0
    """Largest gradient norm; 0: not limited."""
    data_start: bool = True
    """Begin as ``trainer.model.initialization`` says, not as TimeSformer does (fresh runs only)."""
    criteria: Annotated[float, Field(ge=0)] = 0.0
    """Weight of an auxiliary task, for simulated clips only: to predict how far each of the raters' criteria is off."""
    turns: bool = True
    """Augment with flips and 90-degree turns."""
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Augment with a gain within this of 1 and an offset within this share of the full range."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: matrix products in bfloat16 (autocast), everything else in float32."""
    compile: bool = False
    """Compile the network (torch.compile): pays on a GPU. It rounds differently."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a smaller validation error after which training stops early; 0: it does not."""
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the sources kept for validation where no validation folder is given."""
    seed: Annotated[int, Field(ge=0)] = 1
    init_part: Literal["all", "encoder"] = "all"
    """What is taken from the weights of ``init``: all of them, or the encoder alone."""
    scratch: bool = False
    """The systems that RoSTFine is compared with: begin from nothing, as was asked for, and not from ``init``."""
    init: str = ""
    """SHA-256 of the file of weights that the run began from; empty: a fresh network."""
    folds: str = ""
    """SHA-256 of the file of folds that the run is part of; empty: no cross-validation."""
    fold: Annotated[int, Field(ge=0)] = 0
    """Which fold, counted from 1, the run never sees; 0: no cross-validation."""
    data: str
    """SHA-256 of the training folder's manifest."""
    validation: str = ""
    """The same of the validation folder; empty where a share of the training data is held out."""


def build_recipe(values: dict[str, Any], origin: str) -> Recipe:
    """Validate plain values. ``origin`` opens the error message. Raises InputError."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{origin}: {explain(error, Recipe)}") from error


def read_recipe(run: Path) -> Recipe:
    """Read the recipe of a run's folder. Raises InputError where there is none."""
    path = run / RECIPE
    try:
        return Recipe.model_validate_json(read_bounded(path, TEXT_BYTES))
    except OSError as error:
        raise InputError(
            f"{run}: no recipe.json, so no training run; give the --out of python -m trainer train"
        ) from error
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, Recipe)}") from error


def write_recipe(run: Path, recipe: Recipe) -> None:
    """Write the recipe into a run's folder."""
    write_atomically(run / RECIPE, (recipe.model_dump_json(indent=1) + "\n").encode())
