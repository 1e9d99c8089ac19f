"""A tiny network on tiny clips, shared by the tests of training."""

from pathlib import Path
from typing import Any

import numpy as np

from trainer.data.clip_files import write_clip
from trainer.data.clip_table import ClipRow
from trainer.data.dataset import write_table

NETWORK = ("frames=2", "clip_px=20", "image_px=20", "patch_px=10", "width=16", "depth=2", "heads=2", "selected=2",
           "branch_depth=1", "branch_heads=2")  # fmt: skip
SHAPE = (4, 20, 20)


def make_clips(root: Path, count: int = 40, *, labelled: bool = True) -> None:
    """Make a folder of clips, four per source, whose brightness determines their grade."""
    (root / "clips").mkdir()
    rng = np.random.default_rng(0)
    rows, hashes = [], {}
    for index in range(count):
        grade = index % 5
        clip = np.clip(rng.normal(50 + 35 * grade, 5, SHAPE), 0, 255).astype(np.uint8)
        file = f"clips/{index}.npz"
        hashes[file] = write_clip(root / file, clip)
        votes = tuple(30 if grade == k else 2 for k in range(5)) if labelled else ()
        rows.append(ClipRow(f"c{index}", file, f"video{index // 4}", 0.25, 15.0, votes))
    write_table(root, rows, hashes, SHAPE, {})


def command(name: str, data: Path, out: Path, *options: str) -> list[str]:
    """Return the command line of a short ``train`` or ``crossval`` of the tiny network."""
    network = [word for change in NETWORK for word in ("--network", change)]
    return [name, "--data", str(data), "--out", str(out), "--batch", "6", "--threads", "1", *network, *options]


def resume(name: str, data: Path, out: Path) -> list[str]:
    """Return the command line that resumes it."""
    return [name, "--data", str(data), "--out", str(out), "--threads", "1", "--resume"]


def checkpoint(path: Path) -> dict[str, Any]:
    """Return the contents of a checkpoint's file."""
    import torch

    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


def furthest(one: Path, other: Path) -> float:
    """Return the largest difference between the weights of two checkpoints."""
    a, b = (checkpoint(path)["model"] for path in (one, other))
    assert a.keys() == b.keys()
    return max((a[name] - b[name]).abs().max().item() for name in a)
