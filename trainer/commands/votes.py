"""``python -m trainer votes DATA --votes FILE``: give the clips of a folder the votes of the experts.

Clips are cut first and labelled later, by people who see nothing but clips. What a table of votes may look like:
``trainer.data.votes``.
"""

import argparse
from pathlib import Path
from typing import Final

from station.files import sha256_of
from station.output import say
from trainer.data.dataset import open_clips, read_hashes, write_table
from trainer.data.votes import join, read_votes

EPILOG: Final = """\
Votes are joined by the id in clips.csv; clips that FILE does not name keep what they have. Training and scoring want
votes for every clip in the folder.

examples:
  python -m trainer votes DATA --votes votes.csv
  python -m trainer votes DATA --votes votes.csv --leave-out

next: python -m trainer check DATA"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of clips, made by prepare or import-clips")
    parser.add_argument(
        "--votes",
        type=Path,
        required=True,
        metavar="FILE",
        help="CSV with one row per clip, id,A,B,C,D,E (how many raters chose each grade), or one row per vote, "
        "id,rater,grade (raters by pseudonym)",
    )
    parser.add_argument("--replace", action="store_true", help="also replace votes that clips have already")
    parser.add_argument(
        "--leave-out", action="store_true", help="take the clips that are left without votes out of clips.csv"
    )


def run(args: argparse.Namespace) -> int:
    """Join the votes by id."""
    clips = open_clips(args.data, unlabelled=True)
    votes = read_votes(args.votes).of([row.id for row in clips.rows])
    for notice in votes.notices:
        say(notice)
    joined = join(clips, votes, replace=args.replace, leave_out=args.leave_out)
    waiting = sum(not row.votes for row in joined.rows)
    digest = sha256_of(args.votes)
    made = dict(joined.made) | {"votes": {"file": args.votes.name, "sha256": digest, "clips": len(votes.counts)}}
    write_table(args.data, joined.rows, read_hashes(args.data), joined.shape, made)
    left_out = len(clips) - len(joined)
    say(
        f"{len(votes.counts)} clips got votes, {left_out} were left out, {waiting} of {len(joined)} have none yet"
        + (" (--leave-out takes them out)" if waiting else "")
    )
    return 0
