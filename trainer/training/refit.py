"""From a run that was trained on few frames, which is cheap, to one that takes whole clips.

The network is grown to more frames and its grade heads are fitted to the end (``trainer.model.head_fitting``).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from station.errors import InputError
from trainer.data.dataset import Clips
from trainer.data.splits import SPLIT, read_split
from trainer.data.synthetic import SHARES
from trainer.model.head_fitting import fit_heads, weights_for_shares
from trainer.model.rostfine import Rostfine
from trainer.training.recipe import BEST, LAST, Recipe, build_recipe, read_recipe, write_recipe
from trainer.training.run import check_shape
from trainer.training.state import Training


@dataclass(frozen=True, slots=True)
class Refit:
    """A run to be grown and fitted."""

    run: Path
    """To begin from."""
    clips: Clips
    """To fit to."""
    out: Path
    """Folder of the new run."""
    frames: int
    """Of the new network."""
    fit_frames: int
    """Of a clip that the heads are fitted on."""
    count: int | None
    """How many of the clips to fit to, from the first; None: all."""
    decay: float
    evenness: float | None
    """From the paper's shares of the most-voted grades (0) to equal ones (1); None: clips count alike."""


def refit(job: Refit) -> float:
    """Write the grown run and return the cross-entropy of its heads. Raises InputError where it can't be grown."""
    recipe = read_recipe(job.run)
    few, full = _grown(job, recipe, job.fit_frames), _grown(job, recipe, job.frames)
    if not isinstance(few.network, Rostfine) or not isinstance(full.network, Rostfine):
        raise InputError(f"{job.run}: fit-heads fits RoSTFine and TimeSformer, not {recipe.system}")
    if few.network.config.aggregation != "mean":
        raise InputError(
            f"{job.run}: has one head for all features; fit-heads fits networks of aggregation 'mean' alone"
        )
    check_shape(few, job.clips)
    clips = _clips_to_fit(job, recipe)
    weights = None if job.evenness is None else _weights(clips, job.evenness)
    loss = fit_heads(few.network, clips, job.decay, weights=weights)
    for name in full.network.config.features:
        head = few.network.get_submodule(f"head_{name}").state_dict()
        full.network.get_submodule(f"head_{name}").load_state_dict(head)
    job.out.mkdir(parents=True)
    write_recipe(job.out, full.recipe)
    full.save(job.out / BEST)
    full.save(job.out / LAST)
    return loss


def _clips_to_fit(job: Refit, recipe: Recipe) -> Clips:
    """Return the clips but for those that the run, a fold of a cross-validation, must not see."""
    own = recipe.data == job.clips.sha256 and (job.run / SPLIT).exists()
    never = set(read_split(job.run / SPLIT, job.clips).test) if own else set()
    return job.clips.subset([index for index in range(len(job.clips)) if index not in never][: job.count])


def _grown(job: Refit, recipe: Recipe, frames: int) -> Training:
    # The clips that the heads are fitted to are what the run was last trained on: scoring warns of them.
    values = recipe.model_dump() | {"network": {**recipe.network, "frames": frames}, "data": job.clips.sha256}
    training = Training(build_recipe(values, str(job.run)), torch.device("cpu"))
    training.initialize_from(job.run / LAST)
    return training


def _weights(clips: Clips, evenness: float) -> NDArray[np.float64]:
    shares = SHARES["table1"] ** (1 - evenness)
    return weights_for_shares(clips.distributions, shares / shares.sum())
