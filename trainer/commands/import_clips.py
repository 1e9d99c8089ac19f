"""``python -m trainer import-clips DATA``: make clips that came from elsewhere a folder that the trainer takes.

For a lab that has clips (npz, or FFV1 in Matroska) and no manifest. A ``clips.csv`` that lies beside them is taken as
it is, else one without votes is written. Every clip is opened; only if nothing is wrong the manifest is written. Clips
are not changed. It does not know where the clips come from.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Final

from rich.progress import track

from station.console import Console
from station.errors import InputError
from station.files import sha256_of
from station.output import say
from trainer.data.clip_files import read_clip
from trainer.data.clip_table import TABLE, list_clips, read_rows
from trainer.data.dataset import MANIFEST, write_table
from trainer.data.ground_truth import TRUTH
from trainer.data.synthetic import SECOND_PANEL
from trainer.data.votes import read_votes

EPILOG: Final = """\
Without a clips.csv the id of a clip is its path without the ending, and its source is its subfolder (the clip itself
where there is none): put the clips of one donor or video into one subfolder. docs/clip-format.md has the table.

examples:
  python -m trainer import-clips FOLDER --um-per-px 0.25 --fps 15 --votes votes.csv
  python -m trainer import-clips FOLDER                 with a clips.csv of your own in it"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("data", type=Path, metavar="DATA", help="folder with clips (.npz, .mkv), in subfolders or not")
    parser.add_argument("--um-per-px", type=float, help="scale of the clips, where there is no clips.csv")
    parser.add_argument("--fps", type=float, help="frames a second of the clips, where there is no clips.csv")
    parser.add_argument("--votes", type=Path, metavar="FILE", help="votes, as for python -m trainer votes")
    parser.add_argument("--origin", default="", metavar="TEXT", help="where the clips come from, in words")


def run(args: argparse.Namespace) -> int:
    """Check every clip and write the manifest; list what is wrong and return 1 where that is anything."""
    root: Path = args.data
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder that holds the clips")
    if (root / MANIFEST).exists():
        raise InputError(f"{root}: has a {MANIFEST} already; remove it first if its files were changed on purpose")
    if (root / TABLE).exists():
        if args.um_per_px is not None or args.fps is not None:
            raise InputError(f"{root / TABLE} says the scale and the frame rate; leave out --um-per-px and --fps")
        numbered, problems = read_rows(root)
    else:
        numbered, problems = dict(enumerate(list_clips(root, args.um_per_px, args.fps), start=2)), []
    if args.votes:
        votes = read_votes(args.votes).of([row.id for row in numbered.values()])
        for notice in votes.notices:
            say(notice)
        counts = votes.counts
        numbered = {n: dataclasses.replace(row, votes=counts.get(row.id, row.votes)) for n, row in numbered.items()}
    shapes: dict[tuple[int, ...], int] = {}
    hashes = {}
    for line, row in track(numbered.items(), description="reading", transient=True):
        try:
            clip = read_clip(root / row.file)
        except InputError as error:
            problems.append(f"{root / TABLE}, line {line}: {error}")
            continue
        shapes.setdefault(clip.shape, line)
        if len(shapes) > 1 and clip.shape != next(iter(shapes)):
            problems.append(f"{root / TABLE}, line {line}: shape {clip.shape}, the first clip has {next(iter(shapes))}")
        hashes[row.file] = sha256_of(root / row.file)
    if problems:
        console = Console(soft_wrap=True)
        for problem in problems:
            console.print(problem)
        console.print(f"{len(problems)} problem{'s' * (len(problems) > 1)} found; nothing was written")
        return 1
    shape = next(iter(shapes))
    for further in (TRUTH, SECOND_PANEL):
        if (root / further).is_file():
            hashes[further] = sha256_of(root / further)
    write_table(root, list(numbered.values()), hashes, shape, {"command": "import-clips", "origin": args.origin})
    waiting = sum(not row.votes for row in numbered.values())
    say(f"{len(numbered)} clips of {' x '.join(map(str, shape))} imported, {waiting} of them without votes yet")
    return 0
