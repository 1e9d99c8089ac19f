"""What the command lines of all our programs share: one name before every error, one meaning of each exit code.

Exit codes: 0 done as asked; 1 a fault, or a check that found something; 2 something given cannot be used; 130 Ctrl-C.
This module knows no program's options: those of a run are in ``station.options``.
"""

import argparse
import difflib
import errno
import itertools
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from station.build_info import git_commit, version
from station.errors import NO_MEMORY, InputError, StationError
from station.output import complain, discard_output, make_output_forgiving, say
from station.startup import INTERRUPTED

PROGRAM = "rostfine"
HELP_WIDTH, HELP_INDENT = 80, 32
MOST_SAID = 2000
"""Characters of a complaint."""
NO_THREAD = "can't start new thread"
LOOP = "Symlink loop"
"""What Python 3.11 and 3.12 say of a path of links in a circle; later ones follow it as far as it leads."""
"""What Python says where there is no memory for one."""

Main = Callable[[Sequence[str]], int]
"""Carries out a command line (without the program's name); returns the exit code."""


def invocation() -> str:
    """Return how this program was started, so that examples and advice can be copied as they stand."""
    return PROGRAM if Path(sys.argv[0]).stem == PROGRAM else "python run_station.py"


def as_invoked(text: str) -> str:
    """Return text with the commands in it as they are typed here: as in a clone, or as installed."""
    if invocation() != PROGRAM:
        return text
    text = re.sub(r"python -m (engine|trainer|bench)\b", rf"{PROGRAM} \1", text)
    return re.sub(r"(python )?run_station\.py", PROGRAM, text)


@dataclass(frozen=True, slots=True)
class Command:
    """What can be asked for by the first word of the command line."""

    run: Main
    arguments: str
    summary: str
    words: str = ""
    """Its own commands, separated by spaces."""

    @property
    def subcommands(self) -> list[str]:
        """Its own commands."""
        return self.words.split()


def find_command(commands: Mapping[str, Command], name: str) -> Command:
    """Return a command by its name. Raises InputError with the nearest name."""
    if name not in commands:
        known = {sub: f"{word} {sub}" for word, command in commands.items() for sub in command.subcommands}
        known |= {word: word for word in commands}
        near = suggestion(name, known, known)
        raise InputError(f"unknown command {name!r}{near}; the commands are {', '.join(commands)}")
    return commands[name]


def list_commands(commands: Mapping[str, Command]) -> str:
    """Return the commands as they stand in the help, one line each."""
    lines: list[str] = []
    for name, command in commands.items():
        summary = ": ".join(
            [command.summary, ", ".join(command.subcommands)] if command.subcommands else [command.summary]
        )
        first, *rest = textwrap.wrap(summary, HELP_WIDTH - HELP_INDENT, break_on_hyphens=False)
        usage = f"  {name} {command.arguments}"
        if len(usage) < HELP_INDENT:
            lines.append(f"{usage:{HELP_INDENT}}{first}")
        else:
            lines += [usage, " " * HELP_INDENT + first]
        lines += [" " * HELP_INDENT + line for line in rest]
    return "\n".join(lines)


class _PrintVersion(argparse.Action):
    """Looks the version up when it is asked for: git takes its time."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        commit = git_commit()
        say(f"{PROGRAM} {version()}" + (f", commit {commit[:12]}{commit[40:]}" if commit else ""))
        parser.exit()


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are InputErrors: one line, with the nearest valid word."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})
        if sys.version_info >= (3, 14):
            self.color = False  # type: ignore[attr-defined]

    def add_version(self) -> None:
        """Add ``--version``."""
        self.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version and exit")

    def format_help(self) -> str:
        """Return the help with its commands as they are typed here."""
        return as_invoked(super().format_help())

    def error(self, message: str) -> NoReturn:
        """Raise the complaint as an InputError."""
        choice = re.search(r"invalid choice: '?([^' ]+)", message)
        if choice:
            valid = [str(word) for action in self._actions for word in action.choices or ()]
            message += suggestion(choice.group(1), valid)
        raise InputError(f"{message}; `{self.prog} --help` lists the options")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, and refuse what is not known here already: a subcommand's parser knows its own options best."""
        words = list(sys.argv[1:] if args is None else args)
        if not any(isinstance(action.choices, dict) for action in self._actions):  # no subcommands
            for word in itertools.takewhile(lambda word: word != "--", words):
                self._refuse_unknown(word)  # before argparse complains of the option that was misspelt as missing
        parsed, unknown = super().parse_known_args(words, namespace)
        if unknown:
            self._refuse_unknown(unknown[0])
            self.error(f"unexpected argument {unknown[0]!r}")
        return parsed, []

    def _refuse_unknown(self, word: str) -> None:
        option = word.split("=")[0]
        if option.startswith("--") and option not in self._option_string_actions:
            self.error(f"unknown option {option}{suggestion(option, self._option_string_actions)}")


def suggestion(word: str, valid: Iterable[str], spelled: Mapping[str, str] | None = None) -> str:
    """Return ", did you mean ...?" with the valid word nearest to a misspelt one; empty where none is near.

    ``spelled`` says what to write for a word, where that is more than the word.
    """
    near = difflib.get_close_matches(word, list(valid), n=1, cutoff=0.6)
    return f", did you mean {(spelled or {}).get(near[0], near[0])}?" if near else ""


def _one_line(text: str) -> str:
    """Return a complaint as one line that can be read: a name in it may hold line breaks, or have no end."""
    line = " ".join(text.splitlines())
    return line if len(line) <= MOST_SAID else f"{line[: MOST_SAID // 2]} [...] {line[-MOST_SAID // 2 :]}"


def exit_code_of(main: Main, argv: Sequence[str], *, interrupted: str = "") -> int:
    """Carry out a command line; print what went wrong in one line, and return the exit code.

    ``interrupted`` is said after Ctrl-C, by programs that stop half-way through their work.
    """
    make_output_forgiving()
    try:
        return main(argv)
    except StationError as error:
        mistake = isinstance(error, InputError)
        text = _one_line(str(error)) if mistake else str(error)
        complain(f"{PROGRAM}: {as_invoked(text)}")
        return 2 if mistake else 1
    except KeyboardInterrupt:
        if interrupted:
            complain(f"{PROGRAM}: {interrupted}")
        return INTERRUPTED
    except (MemoryError, RuntimeError) as error:
        if str(error).startswith(LOOP):
            complain(f"{PROGRAM}: {error}: links that lead in a circle; give a path that leads to a file or folder")
            return 2
        if isinstance(error, RuntimeError) and str(error) != NO_THREAD:
            raise
        complain(f"{PROGRAM}: {NO_MEMORY}")
        return 1
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.EIO):
            discard_output()  # the reader of our output, or the terminal, has gone
            return 0
        if error.errno in (errno.ENOSPC, errno.EDQUOT):  # often without the file's name
            complain(f"{PROGRAM}: {error.filename or 'writing'}: {error.strerror}; free some space")
            return 2
        if error.filename is None:
            raise
        complain(f"{PROGRAM}: {error.filename}: {error.strerror}; give a path that can be used")
        return 2
