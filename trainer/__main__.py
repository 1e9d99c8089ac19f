"""The trainer's command line: ``python -m trainer COMMAND``.

It knows the names of the commands and what each is for; a command's own module knows its options (``add_arguments``)
and its work (``run``) and is imported only when it is the one asked for, so that commands which need no torch start
without it.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from station.errors import MissingExtraError, StationError


class Command(Protocol):
    """What a command module offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's options."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work; return the exit code."""


class Entry(NamedTuple):
    """One command: its module and one line of help."""

    module: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "simulate": Entry("trainer.commands.simulate", "make clips of simulated sperm with the votes of simulated raters"),
    "prepare": Entry("trainer.commands.prepare", "cut clips from videos at tagged sperm, with the live tracker"),
    "import-clips": Entry("trainer.commands.import_clips", "take clips that came from elsewhere as a folder of clips"),
    "votes": Entry("trainer.commands.votes", "give the clips of a folder the votes of the experts"),
    "check": Entry("trainer.commands.check", "validate a folder of clips, every bad row named"),
    "pretrain": Entry("trainer.commands.pretrain", "teach a fresh network to see, on films of simulated sperm"),
    "train": Entry("trainer.commands.train", "train a network on a folder of clips, or resume"),
    "crossval": Entry("trainer.commands.crossval", "train and score once for every fold of the data"),
    "fit-heads": Entry("trainer.commands.fit_heads", "grow a network to more frames and fit its grade heads"),
    "evaluate": Entry("trainer.commands.evaluate", "score a training run or an exported model on a folder of clips"),
    "export": Entry("trainer.commands.export", "write a trained network as an artifact that the station runs"),
    "import": Entry("trainer.commands.import_weights", "bring in weights that other programs wrote"),
    "predict": Entry("trainer.commands.predict", "run a network in torch on clips in a file"),
    "rollout": Entry("trainer.commands.rollout", "show where a grade comes from, by attention rollout"),
}

EPILOG = """\
from nothing to a running model:
  python -m trainer simulate --clips 6000 --seed 1 --out DATA
  python -m trainer simulate --clips 600 --seed 2 --shares table1 --out HELD_OUT
  python -m trainer check DATA
  python -m trainer train --data DATA --out RUN
  python -m trainer evaluate --run RUN --data HELD_OUT --reference DATA --out SCORES
  python -m trainer export --weights RUN/best.pt --metrics SCORES/figures.json --clips HELD_OUT --out MODEL
  python -m engine verify MODEL
  python run_station.py --model MODEL

from recorded video (tags.csv: video,id,x,y; votes.csv: id,A,B,C,D,E), in place of simulate:
  python -m trainer prepare VIDEOS --tags tags.csv --um-per-px 0.25 --out DATA
  python -m trainer votes DATA --votes votes.csv
  python -m trainer check DATA
  python -m trainer crossval --data DATA --folds 5 --out CV
  python -m trainer evaluate --crossval CV --data DATA --out SCORES

docs/training.md is the whole way, docs/clip-format.md what the files are.

For research use only. Not for use in diagnostic procedures."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake ends with one line on stderr and exit code 2."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Makes the models that the station runs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    # Only the chosen command's module is loaded; the others are listed by name.
    chosen = next((word for word in arguments if word in COMMANDS), None)
    modules: dict[str, Command] = {}
    try:
        for name, entry in COMMANDS.items():
            sub = commands.add_parser(name, help=entry.summary, description=f"{entry.summary.capitalize()}.")
            if name == chosen:
                try:
                    modules[name] = importlib.import_module(entry.module)
                except ImportError as error:
                    raise MissingExtraError(f'{name}: {error}; install it with pip install ".[train]"') from error
                modules[name].add_arguments(sub)
        args = parser.parse_args(arguments)
        return modules[args.command].run(args)
    except StationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}; give another path", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
