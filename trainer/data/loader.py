"""Batches of clips for training: the order of an epoch, the split, the augmentation.

All of it follows from (seed, epoch, place), never from a generator that runs on, so that a resumed run sees exactly
what an uninterrupted one would have, however many threads read ahead. This module knows numpy, not torch.

Why these augmentations: a sperm swims in any direction and a microscope may mirror the image, so flips and quarter
turns give equally likely clips at no loss (other angles would need interpolation, which softens the image); light and
camera gain differ between stations, so brightness does too. Time is not reversed or stretched and nothing is zoomed:
direction of swimming, speed and size are what raters look at.

Light is varied where the network is, not here: pixels stay bytes until then, a quarter of what they are as numbers.
"""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray


class PixelSource(Protocol):
    """Clips that are read one by one: ``trainer.data.dataset.Clips``, or ``KeptClips``."""

    def __len__(self) -> int:
        """Return the number of clips."""
        ...

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Return one clip, (T, H, W) uint8, which nobody may change."""
        ...


BATCHES_AHEAD: Final = 3
"""Batches that are read, or being read, before they are asked for, where threads read ahead."""


@dataclass(frozen=True, slots=True)
class Varied:
    """One clip as an epoch shows it."""

    pixels: NDArray[np.uint8]
    """(frames, H, W), turned."""
    gain: np.float32
    lift: np.float32
    """Grey levels are pixels * gain + lift, not clipped to 0..255."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips of one step, or of a process' share of it."""

    indices: list[int]
    """Of the clips."""
    pixels: NDArray[np.uint8]
    """(N, frames, H, W)"""
    light: NDArray[np.float32]
    """(N, 2) gain and lift: grey levels are pixels * gain + lift, not clipped to 0..255."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is varied, see ``trainer.training.recipe.Recipe``."""

    frames: int
    """Frames that the network takes, T or a divisor of it: one at random is taken of every T / frames."""
    turns: bool
    brightness: float

    def apply(self, clip: NDArray[np.uint8], rng: np.random.Generator) -> Varied:
        """Return one clip (T, H, W), H = W, as it is shown."""
        stride = len(clip) // self.frames
        varied = clip[int(rng.integers(stride)) :: stride]
        if self.turns:
            quarter, mirror = int(rng.integers(4)), bool(rng.integers(2))
            varied = np.rot90(varied[:, :, ::-1] if mirror else varied, quarter, axes=(1, 2))
        gain, lift = 1.0, 1.0
        if self.brightness:
            gain, lift = 1 + rng.uniform(-self.brightness, self.brightness, 2)
        whole = np.ascontiguousarray(varied)  # here, where several threads do it
        return Varied(whole, np.float32(gain), np.float32(255 * (lift - 1)))


def epoch_order(count: int, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the places 0 to ``count`` - 1 of an epoch, shuffled, batch by batch; the last may be short."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return [[int(index) for index in order[start : start + batch]] for start in range(0, count, batch)]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over clips, batch by batch."""

    clips: PixelSource
    """All of them are used."""
    batch: int
    """Clips a batch, of all processes together."""
    seed: int
    """Of order and augmentation."""
    number: int
    """From 0."""
    augmentation: Augmentation
    """What is varied. A clip is varied alike whichever process takes it."""
    share: tuple[int, int] = (0, 1)
    """Which process of how many. It gets every how-many-th clip of each batch, or the batch's first clip where none is
    left for it: the caller gives that one no weight."""

    def batches(self, readers: int = 0) -> Generator[Batch]:
        """Yield the batches in the order of ``epoch_order``.

        Args:
            readers: Threads that read ahead; 0: each batch is read when it is asked for. It does not change a bit.
                Close the iterator where it is left early: the threads end with it.
        """
        order = list(enumerate(epoch_order(len(self.clips), self.batch, self.seed, self.number)))
        if not readers:
            for number, whole in order:
                yield self._batch([self._varied(number, place, index) for place, index in self._mine(whole)], whole)
            return
        with ThreadPoolExecutor(readers, "clips") as pool:
            ahead: deque[tuple[list[Future[Varied]], list[int]]] = deque()
            try:
                for number, whole in order:
                    tasks = [pool.submit(self._varied, number, place, index) for place, index in self._mine(whole)]
                    ahead.append((tasks, whole))
                    if len(ahead) > BATCHES_AHEAD:
                        yield self._gathered(*ahead.popleft())
                while ahead:
                    yield self._gathered(*ahead.popleft())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _mine(self, whole: Sequence[int]) -> list[tuple[int, int]]:
        """Return this process' share of a batch: places in it, and indices of clips."""
        rank, processes = self.share
        return [(place, whole[place]) for place in range(rank, len(whole), processes) or range(1)]

    def _varied(self, number: int, place: int, index: int) -> Varied:
        rng = np.random.default_rng([self.seed, self.number, number * self.batch + place])
        return self.augmentation.apply(self.clips.pixels(index), rng)

    def _gathered(self, tasks: Sequence["Future[Varied]"], whole: Sequence[int]) -> Batch:
        return self._batch([task.result() for task in tasks], whole)

    def _batch(self, varied: Sequence[Varied], whole: Sequence[int]) -> Batch:
        pixels = np.stack([one.pixels for one in varied])
        light = np.array([(one.gain, one.lift) for one in varied], np.float32)
        return Batch([index for _, index in self._mine(whole)], pixels, light)


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
