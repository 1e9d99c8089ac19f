"""Batches of freshly filmed clips with their votes and dense targets, made by worker processes.

No clip is seen twice and none is kept: filming is many times cheaper than learning. A batch follows from the seed and
its own number, whatever the number of workers. This module knows no torch.
"""

import multiprocessing
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.simulator.clips import film
from trainer.data.raters import defect_scores, make_panel
from trainer.data.synthetic import FPS, FRAMES, PANEL_SEED, SIZE_PX, UM_PER_PX, draw_sperm
from trainer.pretraining.targets import dense_targets

BATCH: Final = 16
"""Clips of one batch."""
AHEAD: Final = 8
"""Batches a worker may be ahead of the network."""


@dataclass(frozen=True, slots=True)
class SyntheticBatch:
    """One batch: N clips of T frames of H x W px."""

    clips: NDArray[np.uint8]
    """(N, T, H, W)."""
    cells: NDArray[np.uint8]
    """(N, T, 2, H / cell, W / cell), see ``trainer.pretraining.targets.DenseTargets``."""
    middle: NDArray[np.float32]
    """(N, T, M)."""
    defect_scores: NDArray[np.float32]
    """(N, criteria), scaled as in ``middle``."""
    votes: NDArray[np.float32]
    """(N, C) distributions."""

    def turned(self, quarters: int, mirrored: bool) -> "SyntheticBatch":
        """Return the same batch with every frame mirrored left to right and then turned anticlockwise."""
        x, y = self.middle[..., 0], self.middle[..., 1]  # of the heading; y points down
        if mirrored:
            x = -x
        for _ in range(quarters % 4):
            x, y = y, -x
        middle = self.middle.copy()
        middle[..., 0], middle[..., 1] = x, y
        clips, cells = (
            np.ascontiguousarray(np.rot90(part[..., ::-1] if mirrored else part, quarters, axes=(-2, -1)))
            for part in (self.clips, self.cells)
        )
        return replace(self, clips=clips, cells=cells, middle=middle)


def make_batch(seed: int, number: int, frames: int, shares: str) -> SyntheticBatch:
    """Film one batch; ``frames`` divides the 16 of a clip and they are spread over the same second."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, 0x1E55, number])
    panel = make_panel(PANEL_SEED)
    clips, targets, judged, votes = [], [], [], []
    for _ in range(BATCH):
        sperm, given = draw_sperm(rng, shares, panel)
        made = film(sperm, rng, frames=frames, size=SIZE_PX, fps=FPS * frames / FRAMES, um_per_px=UM_PER_PX)
        clips.append(made.clip)
        targets.append(dense_targets(made, UM_PER_PX))
        judged.append(targets[-1].middle[0, -len(defect_scores(sperm)) :])
        votes.append(np.array(given, np.float32) / sum(given))
    return SyntheticBatch(
        clips=np.stack(clips),
        cells=np.stack([one.cells for one in targets]),
        middle=np.stack([one.middle for one in targets]),
        defect_scores=np.stack(judged),
        votes=np.stack(votes),
    )


def synthetic_batches(seed: int, frames: int, shares: str, workers: int) -> Generator[SyntheticBatch, None, None]:
    """Yield batches without end, in their order. With no worker they are made here, when asked for."""
    if workers == 0:
        number = 0
        while True:
            yield make_batch(seed, number, frames, shares)
            number += 1
    waiting: deque[Future[SyntheticBatch]] = deque()
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        number = 0
        while True:
            while len(waiting) < AHEAD * workers:
                waiting.append(pool.submit(make_batch, seed, number, frames, shares))
                number += 1
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
