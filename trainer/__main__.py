"""The trainer's command line: ``python -m trainer COMMAND``.

It knows the names of the commands and what each is for; a command's own module knows its options (``add_arguments``)
and its work (``run``) and is imported only when it is the one asked for, so that commands which need no torch start
without it.
"""

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from station.command_line import Parser, exit_code_of
from station.errors import InputError, MissingExtraError
from station.notice import NOTICE


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


COMMANDS: Final[dict[str, Entry]] = {
    "simulate": Entry("trainer.commands.simulate", "make clips of simulated sperm with the votes of simulated raters"),
    "prepare": Entry("trainer.commands.prepare", "cut clips from videos at tagged sperm, with the live tracker"),
    "import-clips": Entry("trainer.commands.import_clips", "make a folder of clips from elsewhere usable here"),
    "rate": Entry("trainer.commands.rate", "let raters grade the clips of a folder in a browser"),
    "votes": Entry("trainer.commands.votes", "give the clips of a folder the votes of the experts"),
    "check": Entry("trainer.commands.check", "validate a folder of clips and name every bad row"),
    "pretrain": Entry(
        "trainer.commands.pretrain", "teach a new network to see, on your own clips without votes or on simulated films"
    ),
    "train": Entry("trainer.commands.train", "train a network on a folder of clips, or resume"),
    "crossval": Entry("trainer.commands.crossval", "cross-validate: train and score once for every fold"),
    "tables": Entry("trainer.commands.tables", "train all systems of a study on all folds and make the paper's tables"),
    "fit-heads": Entry("trainer.commands.fit_heads", "grow a network to more frames and fit its grade heads"),
    "evaluate": Entry("trainer.commands.evaluate", "score a training run or an exported model on a folder of clips"),
    "export": Entry("trainer.commands.export", "write a trained network as an artifact that the station runs"),
    "import": Entry("trainer.commands.import_weights", "convert weights that other programs wrote"),
    "predict": Entry("trainer.commands.predict", "run a network in torch on the clips of a file"),
    "rollout": Entry("trainer.commands.rollout", "show where in the picture a grade comes from (attention rollout)"),
}
FORMER_NAMES: Final = {"adopt": "import-clips", "heads": "fit-heads", "import-weights": "import"}
"""Names that commands had, or that their module has, and what they are called now."""

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

docs/training.md explains every step, docs/clip-format.md the files."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake ends with one line on stderr and exit code 2."""
    return exit_code_of(_run, sys.argv[1:] if argv is None else argv, interrupted="interrupted")


def _run(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="python -m trainer",
        description=f"Makes the models that the station runs: data, training, evaluation, export.\n{NOTICE}",
        epilog=EPILOG,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=18, width=100),
    )
    parser.add_version()
    commands = parser.add_subparsers(
        title="commands (COMMAND --help lists the options of one)",
        dest="command",
        metavar="COMMAND [OPTIONS]",
        required=True,
    )
    # Only the named command's module is loaded; of the others the list of names is enough.
    named = next((word for word in arguments if not word.startswith("-")), None)
    if named is not None and named not in COMMANDS:
        raise InputError(f"no command {named!r}; {_suggestion(named)}")
    modules: dict[str, Command] = {}
    for name, entry in COMMANDS.items():
        described = f"{entry.summary[0].upper()}{entry.summary[1:]}.\n{NOTICE}"
        sub = commands.add_parser(name, help=entry.summary, description=described)
        if name == named:
            modules[name] = _load(name)
            modules[name].add_arguments(sub)
    args = parser.parse_args(arguments)
    return modules[args.command].run(args)


def _load(name: str) -> Command:
    try:
        module: Command = importlib.import_module(COMMANDS[name].module)
    except ImportError as error:
        raise MissingExtraError(f'{name}: {error}; install it with pip install ".[train]"') from error
    return module


def _suggestion(word: str) -> str:
    """Return what to type instead of a word that is no command."""
    former = FORMER_NAMES.get(word.lower().replace("_", "-"))
    near = [former] if former else difflib.get_close_matches(word.lower().replace("_", "-"), COMMANDS, n=1)
    if near:
        return f"did you mean {near[0]}? `python -m trainer --help` lists the commands"
    return f"the commands are {', '.join(COMMANDS)}"


if __name__ == "__main__":
    sys.exit(main())
