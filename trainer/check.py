"""``python -m trainer check DATA``: validate a folder of clips, every bad row and file named."""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from station.messages import GRADES
from trainer.data import find_problems, open_clips


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of clips (clips.csv, manifest.json, clips)")


def run(args: argparse.Namespace) -> int:
    """List every problem and return 1, or describe the folder and return 0."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    problems = find_problems(args.data)
    if problems:
        for line in problems:
            console.print(line)
        console.print(f"{len(problems)} problem{'s' * (len(problems) > 1)} found in {args.data}")
        return 1
    clips = open_clips(args.data, verify=False)
    votes = clips.votes
    table = Table(
        title=f"{len(clips)} clips of {len(set(clips.sources))} sources, {clips.rows[0].fps:g} frames a second"
    )
    table.add_column("")
    for grade in GRADES:
        table.add_column(f"grade {grade}", justify="right")
    most = np.bincount(votes.argmax(axis=1), minlength=len(GRADES))
    table.add_row("most voted (clips)", *(str(count) for count in most))
    table.add_row("mean share of votes", *(f"{share:.3f}" for share in clips.distributions.mean(axis=0)))
    console.print(table)
    console.print("no problems found")
    return 0
