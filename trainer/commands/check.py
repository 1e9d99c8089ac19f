"""``python -m trainer check DATA``: validate a folder of clips, every bad row and file named.

Every clip is opened and its hash compared. A folder whose clips wait for votes is whole, but not ready for training:
it says so. Exit code 0: nothing is wrong; 1: something is.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.table import Table

from capture.files.first_frames import is_dark
from station.console import Console
from station.transport.messages import GRADES
from trainer.data.dataset import Clips, find_problems, open_clips


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of clips (clips.csv, manifest.json, clips)")


def run(args: argparse.Namespace) -> int:
    """List every problem and return 1, or describe the folder and return 0."""
    console = Console(soft_wrap=True)
    problems = find_problems(args.data)
    if problems:
        for line in problems:
            console.print(line)
        console.print(f"{len(problems)} problem{'s' * (len(problems) > 1)} found in {args.data}")
        return 1
    clips = open_clips(args.data, verify=False, unlabelled=True)
    labelled = [row for row in clips.rows if row.votes]
    sources, fps = len(set(clips.sources)), clips.rows[0].fps
    table = Table(title=f"{len(clips)} clips of {sources} sources, {fps:g} frames a second")
    table.add_column("")
    for grade in GRADES:
        table.add_column(f"grade {grade}", justify="right")
    if labelled:
        votes = np.array([row.votes for row in labelled])
        most = np.bincount(votes.argmax(axis=1), minlength=len(GRADES))
        table.add_row("most voted (clips)", *(str(count) for count in most))
        shares = (votes / votes.sum(axis=1, keepdims=True)).mean(axis=0)
        table.add_row("mean share of votes", *(f"{share:.3f}" for share in shares))
        console.print(table)
    for note in _notes(clips, len(labelled)):
        console.print(note)
    console.print("no problems found")
    return 0


def _notes(clips: Clips, labelled: int) -> Iterator[str]:
    """Yield what is no mistake in itself but should be known before training."""
    frames, height, width = clips.shape
    yield f"{len(clips)} clips of {frames} frames, {width} x {height} px"
    if labelled < len(clips):
        yield (
            f"not ready for training: {len(clips) - labelled} of {len(clips)} clips have no votes yet; "
            f"add them with python -m trainer votes {clips.root} --votes FILE"
        )
    dark = [row.id for index, row in enumerate(clips.rows) if is_dark(clips.pixels(index))]
    if dark:
        yield (
            f"note: {len(dark)} of {len(clips)} clips are dark, such as {dark[0]}: they use less than an eighth of the "
            "grey levels; if their video has more than 8 bits, cut it again with --bits (12 for 12 bits in 16)"
        )
    scales = [row.um_per_px for row in clips.rows]
    if max(scales) > 1.05 * min(scales):
        yield f"note: scales differ, {min(scales):g} to {max(scales):g} um/px: the network sees px, not um"
