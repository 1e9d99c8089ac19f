"""Masked autoencoding of a lab's own clips, without votes: hide most of each clip, predict what was hidden.

VideoMAE (Tong, Song, Wang, Wang: VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video
Pre-Training, NeurIPS 2022), with two changes for sperm (docs/decisions/0068):

- a patch is hidden in all frames (their tube masking), which is also what keeps TimeSformer's divided attention
  possible: the visible patches form a smaller grid of frames by patches, and the encoder reads nothing else;
- what is predicted is the mean of cells of CELL_PX, not single pixels and not each patch in units of its own spread:
  most of a clip is background, whose pixels are camera noise that nobody can predict.

It knows torch and clips; it draws nothing on a screen.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.artifact import NetworkConfig
from station.errors import InputError
from trainer.data.dataset import Clips
from trainer.data.loader import Augmentation, Epoch, middle_frames, split_by_source
from trainer.model.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from trainer.model.initialization import initialize, position_waves
from trainer.model.pixels import grey_levels
from trainer.model.rostfine import PIXEL_STD, EncoderBlock, Rostfine
from trainer.model.weights import with_frames
from trainer.pretraining.loop import CLIP_NORM, rate_share
from trainer.pretraining.targets import CELL_PX
from trainer.training.recipe import Recipe
from trainer.training.state import rostfine_config

DECODER_BLOCKS: Final = 1
"""It sees all patches, of which the encoder sees a quarter: a second block would cost more than the encoder."""
BATCH: Final = 32
HELD_OUT: Final = 0.1
"""Share of the sources on which it is watched whether the network learns sperm or only these clips."""
MOST_WATCHED: Final = 256
LEAST_SPREAD: Final = 1e-3
"""Of the cells of a clip that shows nothing, in units of PIXEL_STD."""


class Decoder(nn.Module):
    """Fills the hidden patches in; serves pretraining and is not part of the model."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.zeros(1, 1, 1, config.width))
        self.begin = nn.Linear(config.width, config.width)
        self.register_buffer("places", position_waves(config.grid, config.width), persistent=False)
        self.time_embed = nn.Parameter(torch.empty(1, config.frames, 1, config.width))
        self.blocks = nn.ModuleList([EncoderBlock(config) for _ in range(DECODER_BLOCKS)])
        self.norm = nn.LayerNorm(config.width)
        self.cells = nn.Linear(config.width, (config.patch_px // CELL_PX) ** 2)
        for parameter in (self.hidden, self.time_embed):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, cls: Tensor, seen: Tensor, visible: Tensor, patches: int) -> Tensor:
        """Return the cells of all patches, (N, T, P, cells), from the tokens (N, T, V, D) of the visible (N, V)."""
        n, t, _, d = seen.shape
        at = visible[:, None, :, None].expand(n, t, -1, d)
        tokens = self.hidden.expand(n, t, patches, d).scatter(2, at, self.begin(seen).to(self.hidden.dtype))
        tokens = tokens + cast(Tensor, self.places) + self.time_embed
        for block in self.blocks:
            cls, tokens, _ = block(cls, tokens, False)
        return cast(Tensor, self.cells(self.norm(tokens)))


@dataclass(frozen=True, slots=True)
class MaskedPlan:
    """How long and how hard."""

    epochs: int
    rate: float
    hidden: float
    """Share of the patches that is hidden."""
    bfloat16: bool


@dataclass(frozen=True, slots=True)
class Passed:
    """One pass over the clips."""

    epoch: int
    clips: int
    """Shown so far."""
    unexplained: float
    """Mean squared error of the hidden cells, in units of their variance in the clip: 1 is knowing nothing."""
    held_out: float | None
    """The same on sources that are not learnt from; None where all clips are of one source."""


class MaskedPretrainer:
    """A network on its way through masked autoencoding."""

    def __init__(self, recipe: Recipe, clips: Clips, plan: MaskedPlan) -> None:
        """Make a fresh network that begins as training would. Raises InputError for clips of another size."""
        torch.manual_seed(recipe.seed)
        self.recipe, self.plan = recipe, plan
        self.network = Rostfine(rostfine_config(recipe))
        config = self.network.config
        frames, *edges = clips.shape
        if edges != [config.clip_px] * 2 or frames % config.frames or config.image_px != config.clip_px:
            raise InputError(
                f"{clips.root}: clips are {clips.shape}, the network takes {config.frames} frames (or a multiple) of "
                f"{config.clip_px} px as they are; change --frames or --network"
            )
        if config.patch_px % CELL_PX:
            raise InputError(f"--network patch_px={config.patch_px}: must be a multiple of {CELL_PX} here")
        self.visible = max(1, round(config.patches * (1 - plan.hidden)))
        if self.visible == config.patches:
            raise InputError(f"--hidden {plan.hidden:g}: hides none of {config.patches} patches; give a larger share")
        learn, watch = split_by_source(clips.sources, HELD_OUT, recipe.seed)
        self._clips, self._watched = clips.subset(learn), clips.subset(watch[:MOST_WATCHED])
        initialize(self.network, self._clips, recipe.seed)
        self.decoder = Decoder(config)

    def run(self) -> Iterator[Passed]:
        """Go over the clips again and again; yield after each pass."""
        parameters = [*self.network.encoder.parameters(), *self.decoder.parameters()]
        optimizer = torch.optim.AdamW(parameters, self.plan.rate, betas=(0.9, 0.95), weight_decay=0.05)
        augmentation = Augmentation(self.network.config.frames, turns=True, brightness=self.recipe.brightness)
        rng = np.random.default_rng([self.recipe.seed, 0x3A5C])
        steps = self.plan.epochs * -(-len(self._clips) // BATCH)
        done = 0
        for epoch in range(self.plan.epochs):
            total = 0.0
            self.network.train()
            shown = Epoch(self._clips, BATCH, self.recipe.seed, epoch, augmentation)
            for batch in shown.batches():
                for group in optimizer.param_groups:
                    group["lr"] = self.plan.rate * rate_share(done / steps)
                optimizer.zero_grad()
                with torch.autocast("cpu", torch.bfloat16, enabled=self.plan.bfloat16):
                    loss = self.loss(grey_levels(batch, torch.device("cpu")), rng)
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
                optimizer.step()
                total += loss.item() * len(batch.indices)
                done += 1
            yield Passed(epoch + 1, (epoch + 1) * len(self._clips), total / len(self._clips), self._held_out())

    def loss(self, clips: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the error of the hidden cells of clips (N, T, H, W) in grey levels."""
        encoder, config = self.network.encoder, self.network.config
        n, p = len(clips), config.patches
        order = torch.from_numpy(np.argsort(rng.random((n, p)), axis=1))
        visible, hidden = order[:, : self.visible], order[:, self.visible :]
        tokens = encoder.embed(clips) + encoder.pos_embed[:, None, 1:] + encoder.time_embed[:, :, None]
        seen = tokens.gather(2, visible[:, None, :, None].expand(-1, config.frames, -1, config.width))
        cls = (encoder.cls_token[:, 0] + encoder.pos_embed[:, 0]).expand(n, -1)
        for block in encoder.blocks:
            cls, seen, _ = block(cls, seen, False)
        guess = self.decoder(encoder.norm(cls), encoder.norm(seen), visible, p).float()
        target = clip_cells(clips, config)
        at = hidden[:, None, :, None].expand(-1, config.frames, -1, target.shape[-1])
        return F.mse_loss(guess.gather(2, at), target.gather(2, at))

    @torch.no_grad()
    def _held_out(self) -> float | None:
        if not len(self._watched):
            return None
        self.network.eval()
        rng = np.random.default_rng(self.recipe.seed)  # the same patches every time
        total = 0.0
        for start in range(0, len(self._watched), BATCH):
            places = range(start, min(start + BATCH, len(self._watched)))
            pixels = np.stack([middle_frames(self._watched.pixels(k), self.network.config.frames) for k in places])
            total += self.loss(torch.from_numpy(pixels).float(), rng).item() * len(pixels)
        return total / len(self._watched)

    def save(self, path: Path, log: list[Passed]) -> None:
        """Write a checkpoint that training can begin from; branches and grade heads are as at the start."""
        checkpoint = Checkpoint(
            recipe=self.recipe.model_dump(mode="json"),
            network=dataclasses.asdict(self.network.config),
            model=self.network.state_dict(),
            log=[dataclasses.asdict(entry) for entry in log],
        )
        write_checkpoint(path, checkpoint)

    def load(self, path: Path) -> None:
        """Begin from another pretraining, of the same network but perhaps of fewer frames. Raises InputError."""
        try:
            self.network.load_state_dict(with_frames(read_checkpoint(path).model, self.network.config.frames))
        except (KeyError, RuntimeError) as error:
            raise InputError(
                f"--init {path}: holds another network than --network describes; give the options that it was made with"
            ) from error


def clip_cells(clips: Tensor, config: NetworkConfig) -> Tensor:
    """Return the targets (N, T, P, cells): mean grey of each cell, of mean 0 and spread 1 in every clip."""
    n, t = clips.shape[:2]
    edge = config.grid * config.patch_px
    cells = F.avg_pool2d(clips[:, :, :edge, :edge].float() / (255 * PIXEL_STD), CELL_PX)
    mean, spread = cells.mean((1, 2, 3), keepdim=True), cells.std((1, 2, 3), keepdim=True)
    cells = (cells - mean) / spread.clamp_min(LEAST_SPREAD)
    inner = config.patch_px // CELL_PX
    split = cells.reshape(n, t, config.grid, inner, config.grid, inner)
    return split.permute(0, 1, 2, 4, 3, 5).reshape(n, t, config.patches, inner * inner)
