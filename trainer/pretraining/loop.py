"""The pretraining loop: a network, auxiliary heads that read dense targets off its tokens, and two phases.

It knows torch and synthetic batches (``trainer.pretraining.synthetic``); it draws nothing on a screen.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.artifact import NetworkConfig
from station.errors import InputError
from trainer.data.raters import CRITERIA
from trainer.model.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from trainer.model.initialization import TOKEN_SIZE, initialize_layers, initialize_patch_embedding, position_waves
from trainer.model.losses import ce, features_of, mean_distance
from trainer.model.rostfine import EncoderBlock, Rostfine
from trainer.model.weights import with_frames
from trainer.pretraining.synthetic import SyntheticBatch, make_batch
from trainer.pretraining.targets import CELL_PX, MIDDLE
from trainer.training.recipe import Recipe
from trainer.training.state import rostfine_config

Phase: TypeAlias = Literal["tokens", "frames"]
"""Patch tokens alone, without attention; then the whole network, a few frames a clip."""

LOGGED_EVERY: Final = 50
"""Batches between two entries of the log."""
PASSES: Final[dict[Phase, int]] = {"tokens": 4, "frames": 1}
"""How often a batch is shown, turned another way every time."""
TRAINED_TOKENS: Final = 8
"""Patches of a frame, besides those in the middle, that are trained in the phase ``tokens``."""
CELLS_WEIGHT: Final = 10.0
"""Of the cells, nearly all of which are empty, beside the rest."""
DEFECTS_WEIGHT: Final = 1.0
VOTES_WEIGHT: Final = 2.0
CLIP_NORM: Final = 1.0


class AuxiliaryHeads(nn.Module):
    """What reads the dense targets off the tokens and features; serves pretraining and is not part of the model."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.cells = nn.Linear(config.width, 2 * (config.patch_px // CELL_PX) ** 2)
        self.middle = nn.Linear(config.width * len(middle_patches(config.grid)), len(MIDDLE))
        self.flaws = nn.Linear(config.width * len(config.features), len(CRITERIA))
        """Tells the defect scores; named as in checkpoints."""
        nn.init.constant_(self.cells.bias, -3.0)


class Pretrainer:
    """A network on its way through pretraining."""

    def __init__(self, recipe: Recipe, bfloat16: bool) -> None:
        """Make a fresh network whose patches start as principal components (``trainer.model.initialization``)."""
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.bfloat16 = bfloat16
        self.network = Rostfine(rostfine_config(recipe))
        self.auxiliary = AuxiliaryHeads(self.network.config)
        self.log: list[dict[str, Any]] = []
        self._begin()

    def _begin(self) -> None:
        """Set the start: layers at a size that keeps spreads, attention without effect until it is trained."""
        initialize_layers(self.network)
        for block in self.network.encoder.blocks:
            nn.init.zeros_(cast(EncoderBlock, block).attn.proj.weight)
            nn.init.zeros_(cast(EncoderBlock, block).temporal_fc.weight)
        config = self.network.config
        frames = make_batch(self.recipe.seed, 0, 4, "mixed").clips.reshape(-1, config.clip_px, config.clip_px)
        edge = config.clip_px // config.patch_px * config.patch_px
        patches = torch.from_numpy(frames[:, :edge, :edge].copy()).float()[:, None]
        squares = F.unfold(patches, config.patch_px, stride=max(1, config.patch_px // 2)).transpose(1, 2)
        initialize_patch_embedding(self.network, squares.reshape(-1, config.patch_px**2).numpy())
        with torch.no_grad():
            self.network.encoder.pos_embed[0, 1:] = position_waves(config.grid, config.width) / (2 * TOKEN_SIZE)

    def run_phase(
        self, phase: Phase, batches: Iterator[SyntheticBatch], done: Callable[[int], float], rate: float
    ) -> Iterator[dict[str, Any]]:
        """Go through one phase and yield an entry of the log now and then.

        Args:
            phase: What is trained; ``frames`` needs batches of the network's number of frames.
            batches: As many as are asked for.
            done: Tells the share of the phase that is done, from the clips seen; the phase ends at 1.
            rate: Learning rate, reached after a warm-up, then falling to a twentieth of it along half a cosine.
        """
        passes = PASSES[phase]
        losses = self._token_losses if phase == "tokens" else self._frame_losses
        parameters = [*self.network.parameters(), *self.auxiliary.parameters()]
        optimizer = torch.optim.AdamW(parameters, rate, betas=(0.9, 0.98), weight_decay=0.02)
        sums: dict[str, float] = {}
        self.network.train()
        rng = np.random.default_rng([self.recipe.seed, len(self.log)])
        seen = number = 0
        while (share := done(seen)) < 1:
            batch = next(batches)
            # Filming costs more than training on tokens, and a turned frame is nearly as good as a new one.
            for turn in rng.permutation(8)[:passes]:
                shown = batch.turned(int(turn) % 4, turn >= 4)
                for group in optimizer.param_groups:
                    group["lr"] = rate * rate_share(share)
                optimizer.zero_grad()
                with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                    parts = losses(shown)
                torch.autograd.backward(torch.stack(list(parts.values())).sum())
                nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
                optimizer.step()
                for name, value in parts.items():
                    sums[name] = sums.get(name, 0.0) + value.item() / LOGGED_EVERY / passes
            seen += len(batch.clips)
            number += 1
            if number % LOGGED_EVERY == 0:
                yield {"stage": phase, "batch": number, "clips": seen, "share": round(share, 3), **sums}
                sums = {}

    def _token_losses(self, batch: SyntheticBatch) -> dict[str, Tensor]:
        """Return the losses of some patches of every frame, each seen for itself."""
        encoder, config = self.network.encoder, self.network.config
        frames = torch.from_numpy(batch.clips.reshape(-1, 1, *batch.clips.shape[2:]))
        cells = by_patch(torch.from_numpy(batch.cells), config)
        middle = torch.tensor(middle_patches(config.grid))
        # Patches that show something are taken three times as often as those that do not.
        wish = torch.rand(cells.shape[:2]) + 0.5 * cells.any(-1)
        wish[:, middle] = -1.0
        indices = torch.cat([middle.expand(len(frames), -1), wish.topk(TRAINED_TOKENS, dim=1).indices], dim=1)
        tokens = (encoder.embed(frames)[:, 0] + encoder.pos_embed[:, 1:]).gather(
            1, indices[..., None].expand(-1, -1, config.width)
        )
        for block in encoder.blocks[:-1]:
            block = cast(EncoderBlock, block)
            tokens = tokens + block.mlp(block.norm2(tokens))
        normed = self.auxiliary.norm(tokens)
        target = cells.gather(1, indices[..., None].expand(-1, -1, cells.shape[2]))
        return {
            "cells": CELLS_WEIGHT * bits(self.auxiliary.cells(normed), target),
            "middle": self._middle_loss(normed[:, : len(middle)], batch),
        }

    def _frame_losses(self, batch: SyntheticBatch) -> dict[str, Tensor]:
        """Return the losses of the whole network."""
        encoder, config = self.network.encoder, self.network.config
        kept: list[Tensor] = []
        hook = encoder.blocks[-2].register_forward_hook(lambda _module, _args, output: kept.append(output[1]))
        try:
            output = self.network(torch.from_numpy(batch.clips))
        finally:
            hook.remove()
        normed = self.auxiliary.norm(kept[0].flatten(0, 1))
        defects = self.auxiliary.flaws(torch.cat(list(features_of(output, config).values()), dim=1))
        votes = torch.from_numpy(batch.votes)
        return {
            "cells": CELLS_WEIGHT * bits(self.auxiliary.cells(normed), by_patch(torch.from_numpy(batch.cells), config)),
            "middle": self._middle_loss(normed[:, middle_patches(config.grid)], batch),
            "defects": DEFECTS_WEIGHT * F.mse_loss(defects.float(), torch.from_numpy(batch.defect_scores)),
            "votes": VOTES_WEIGHT * mean_distance(output, votes, ce, config),
        }

    def _middle_loss(self, tokens: Tensor, batch: SyntheticBatch) -> Tensor:
        target = torch.from_numpy(batch.middle.reshape(-1, batch.middle.shape[2]))
        return F.smooth_l1_loss(self.auxiliary.middle(tokens.flatten(1)).float(), target)

    def save(self, path: Path) -> None:
        """Write a checkpoint that training can begin from."""
        checkpoint = Checkpoint(
            recipe=self.recipe.model_dump(mode="json"),
            network=dataclasses.asdict(self.network.config),
            model=self.network.state_dict(),
            auxiliary=self.auxiliary.state_dict(),
            log=self.log,
        )
        write_checkpoint(path, checkpoint)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of pretraining, of the same network but perhaps of fewer frames.

        Raises InputError where it is another network's.
        """
        checkpoint = read_checkpoint(path)
        try:
            self.network.load_state_dict(with_frames(checkpoint.model, self.network.config.frames))
            if checkpoint.auxiliary:
                self.auxiliary.load_state_dict(checkpoint.auxiliary)
        except (KeyError, RuntimeError) as error:
            raise InputError(
                f"--init {path}: holds another network than --network describes; give the options that it was made with"
            ) from error


def middle_patches(grid: int) -> list[int]:
    """Return the patches that hold the middle of the picture: one of an odd grid, four of an even one."""
    rows = [(grid - 1) // 2, grid // 2][: 2 - grid % 2]
    return [row * grid + column for row in rows for column in rows]


def by_patch(cells: Tensor, config: NetworkConfig) -> Tensor:
    """Return cells (N, T, 2, H, W) as (N T, P, values of a patch) float32."""
    edge = config.patch_px // CELL_PX
    n, t, kinds, height, width = cells.shape
    split = cells.reshape(n * t, kinds, height // edge, edge, width // edge, edge)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(n * t, config.patches, -1).float()


def bits(guess: Tensor, target: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of logits."""
    return F.binary_cross_entropy_with_logits(guess.float(), target)


def rate_share(share: float) -> float:
    """Return the share of the full learning rate at a share of the phase."""
    warm = 0.03
    if share < warm:
        return (share + 0.002) / warm
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (share - warm) / (1 - warm)))
