"""``python -m trainer votes DATA --votes FILE``: give the clips of a folder the votes of the experts.

Clips are cut first and labelled later, by people who see nothing but clips. What a table of votes may look like:
``trainer.data.votes``.
"""

import argparse
from pathlib import Path
from typing import Final

from station.output import say
from trainer.data.votes import give_votes

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
    given = give_votes(args.data, args.votes, replace=args.replace, leave_out=args.leave_out)
    for notice in given.notices:
        say(notice)
    say(
        f"{given.clips} clips got votes, {given.left_out} were left out, {given.waiting} of {given.kept} have none yet"
        + (" (--leave-out takes them out)" if given.waiting else "")
    )
    return 0
