"""Batches of clips for training: the order of an epoch, the split, the augmentation.

All of it follows from (seed, epoch, place), never from a generator that runs on, so that a resumed run sees exactly
what an uninterrupted one would have. This module knows numpy, not torch.

Why these augmentations: a sperm swims in any direction and a microscope may mirror the image, so flips and quarter
turns give equally likely clips at no loss (other angles would need interpolation, which softens the image); light and
camera gain differ between stations, so brightness does too. Time is not reversed or stretched and nothing is zoomed:
direction of swimming, speed and size are what raters look at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.dataset import Clips


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is varied, see ``trainer.training.recipe.Recipe``."""

    frames: int
    """Frames that the network takes, T or a divisor of it: one at random is taken of every T / frames."""
    turns: bool
    brightness: float

    def apply(self, clip: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
        """Return one clip (frames, H, W), H = W, as float32 grey levels, not clipped to 0..255."""
        stride = len(clip) // self.frames
        varied = clip[int(rng.integers(stride)) :: stride].astype(np.float32)
        if self.turns:
            quarter, mirror = int(rng.integers(4)), bool(rng.integers(2))
            varied = np.rot90(varied[:, :, ::-1] if mirror else varied, quarter, axes=(1, 2))
        if self.brightness:
            gain, lift = 1 + rng.uniform(-self.brightness, self.brightness, 2)
            varied = varied * np.float32(gain) + np.float32(255 * (lift - 1))
        return np.ascontiguousarray(varied, np.float32)


def epoch_order(count: int, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the places 0 to ``count`` - 1 of an epoch, shuffled, batch by batch; the last may be short."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return [[int(index) for index in order[start : start + batch]] for start in range(0, count, batch)]


def epoch_batches(
    clips: Clips, batch: int, seed: int, epoch: int, augmentation: Augmentation, share: tuple[int, int] = (0, 1)
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """Yield the indices and pixels (N, frames, H, W) of an epoch's batches, in the order of ``epoch_order``.

    Args:
        clips: All of them are used.
        batch: Clips a batch, of all processes together.
        seed: Of order and augmentation.
        epoch: Which epoch, from 0.
        augmentation: What is varied. A clip is varied alike whichever process takes it.
        share: Which process of how many. It gets every how-many-th clip of each batch, or the batch's first clip
            where none is left for it: the caller gives that one no weight.
    """
    rank, processes = share
    for number, whole in enumerate(epoch_order(len(clips), batch, seed, epoch)):
        places = range(rank, len(whole), processes) or range(1)
        varied = []
        for place in places:
            rng = np.random.default_rng([seed, epoch, number * batch + place])
            varied.append(augmentation.apply(clips.pixels(whole[place]), rng))
        yield [whole[place] for place in places], np.stack(varied)


def middle_frames(clip: NDArray[np.uint8], frames: int) -> NDArray[np.uint8]:
    """Return the frames of a clip (T, H, W) that a network of ``frames`` frames takes; all where they are as many.

    The one place that decides it, for scoring, fitting and golden clips: of every T / frames frames the middle one.
    Training takes one at random of each. The station cuts windows of ``frames`` frames at the same rate.
    """
    stride = len(clip) // frames
    return clip[stride // 2 :: stride]


def describe_frames(clip_frames: int, frames: int) -> str:
    """Return in words which frames of a clip a network takes; empty where it takes all."""
    stride = clip_frames // frames
    if stride == 1:
        return ""
    first = stride // 2 + 1
    return f"the network takes {frames} of a clip's {clip_frames} frames: one of every {stride}, frame {first} first"


def split_by_source(sources: Sequence[str], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return the indices of the clips to train on and of those held out: whole sources, at least one if share > 0."""
    names = sorted(set(sources))
    count = min(len(names) - 1, max(1, round(share * len(names)))) if share > 0 else 0
    shuffled = np.random.default_rng([seed, len(names)]).permutation(len(names))
    held = {names[int(i)] for i in shuffled[:count]}
    kept = [i for i, name in enumerate(sources) if name not in held]
    return kept, [i for i, name in enumerate(sources) if name in held]
