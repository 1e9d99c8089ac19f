"""Clips from the simulated microscope with the votes of simulated raters.

Each clip depends on the seed and its own number alone, so that the folder is the same whatever the number of workers.
Beside the clip format (``trainer.data.dataset``) the folder holds ``truth.csv`` (every criterion of every sperm) and
``second_panel.csv`` (the votes of forty other raters on the same sperm: the difference between the two shows how far
raters agree at all). The files know the truth; the network never sees them.
"""

import hashlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from rich.progress import track

from capture.simulator.clips import render_clip
from capture.simulator.sperm import Sperm, sample_sperm
from station.files import write_atomically
from station.transport.messages import GRADES
from trainer.data.clip_files import write_clip
from trainer.data.clip_ids import PREFIX
from trainer.data.clip_table import ClipRow
from trainer.data.dataset import write_table
from trainer.data.ground_truth import TRUTH, truth_table
from trainer.data.raters import TABLE_1, Panel, make_panel
from trainer.data.tables import table

FRAMES: Final = 16
SIZE_PX: Final = 150
FPS: Final = 15.0
UM_PER_PX: Final = 0.25
PANEL_SEED: Final = 1
"""The panel is the same for every folder, as one laboratory's raters would be."""
SECOND_PANEL_SEED: Final = 2
SECOND_PANEL = "second_panel.csv"

_table_1 = np.array(TABLE_1) / sum(TABLE_1)
SHARES: Final = {
    "table1": _table_1,
    "mixed": (_table_1 + 1 / len(GRADES)) / 2,
}
"""Shares of the most-voted grades, A to E: the paper's, and half-way from there to equal ones. A network hardly learns
the rare grades D and E from the paper's shares; what the raters say of a given sperm is the same in both."""


@dataclass(frozen=True, slots=True)
class SimulatedClip:
    """One clip on disk and what the tables say of it."""

    row: ClipRow
    sha256: str
    sperm: Sperm
    second: tuple[int, ...]
    """(C,) votes of the second panel."""


def simulate(root: Path, count: int, seed: int, shares: str, workers: int = 1) -> None:
    """Make a folder of ``count`` clips; see the module for what is in it."""
    (root / "clips").mkdir(parents=True)
    work = partial(make_clip, root=root, seed=seed, shares=shares, panels=_panels())
    clips = list(track(_map(work, count, workers), description="simulating", total=count))
    hashes = {clip.row.file: clip.sha256 for clip in clips}
    hashes[TRUTH] = _write(root / TRUTH, truth_table((clip.row.id, clip.sperm) for clip in clips))
    second = table(("id", *GRADES), [(clip.row.id, *clip.second) for clip in clips])
    hashes[SECOND_PANEL] = _write(root / SECOND_PANEL, second)
    settings = {
        "command": "simulate",
        "seed": seed,
        "shares": shares,
        "panel_seed": PANEL_SEED,
        "second_panel_seed": SECOND_PANEL_SEED,
    }
    write_table(root, [clip.row for clip in clips], hashes, (FRAMES, SIZE_PX, SIZE_PX), settings)


def make_clip(index: int, *, root: Path, seed: int, shares: str, panels: tuple[Panel, Panel]) -> SimulatedClip:
    """Draw a sperm whose most-voted grade is as the shares ask, film it and write the clip."""
    cv2.setNumThreads(1)  # every worker has a core of its own
    rng = np.random.default_rng([seed, index])
    sperm, votes = draw_sperm(rng, shares, panels[0])
    second = panels[1].vote(sperm, rng)
    clip = render_clip(sperm, rng, frames=FRAMES, size=SIZE_PX, fps=FPS, um_per_px=UM_PER_PX)
    name = f"{PREFIX}{index:06d}"  # a spreadsheet would make 0 of 000000
    file = f"clips/{name}.npz"
    row = ClipRow(name, file, f"simulated:{seed}:{index}", UM_PER_PX, FPS, votes)
    return SimulatedClip(row, write_clip(root / file, clip), sperm, second)


def draw_sperm(rng: np.random.Generator, shares: str, panel: Panel) -> tuple[Sperm, tuple[int, ...]]:
    """Draw a sperm whose most-voted grade is as the shares ask, and return it with the panel's votes (C,)."""
    wanted = int(rng.choice(len(GRADES), p=SHARES[shares]))
    while True:
        sperm = sample_sperm(rng)
        votes = panel.vote(sperm, rng)
        if int(np.argmax(votes)) == wanted:
            return sperm, votes


def _panels() -> tuple[Panel, Panel]:
    return make_panel(PANEL_SEED), make_panel(SECOND_PANEL_SEED)


def _map(work: partial[SimulatedClip], count: int, workers: int) -> Iterator[SimulatedClip]:
    """Yield the clips in order, made here or by worker processes."""
    if workers == 1:
        yield from map(work, range(count))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(work, range(count), chunksize=16)


def _write(path: Path, content: bytes) -> str:
    """Write a file and return its SHA-256."""
    write_atomically(path, content)
    return hashlib.sha256(content).hexdigest()
