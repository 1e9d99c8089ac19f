"""The options of a run: what a command line says, as a Config and a few choices about this run.

Options win over the configuration file. Whatever cannot be used is an InputError: one line, exit code 2.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from station.arguments import read_arguments
from station.command_line import Command, Parser, invocation
from station.config import REPLAY, Config, build_config, load_config, require_used_settings
from station.errors import InputError
from station.model_window import model_window
from station.notice import NOTICE
from station.objectives import all_objectives, calibration_path, known
from station.output import printable
from station.session.layout import require_outside_sessions

COMPARE = """Replays a recorded session with another model, as fast as this machine can, and writes the recorded and the
new grade distribution of each window side by side: FILE (CSV), the same as .parquet, and a summary as .json."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    config: Config
    headless: bool
    summary: Path | None
    name: str | None
    """By which other programs find this run; None: the program chooses."""


def parse_options(argv: Sequence[str], commands: Mapping[str, Command] | None = None) -> Options:
    """Return the options of a command line (without the program's name); the help lists ``commands``.

    Raises InputError.
    """
    return options_of(read_arguments(argv, commands))


def options_of(arguments: argparse.Namespace) -> Options:
    """Return the options that a command line's words mean. Raises InputError."""
    config = load_config(arguments.config) if arguments.config else Config()
    data = config.model_dump()
    if arguments.source is not None:
        data["source"]["kind"] = arguments.source
    if arguments.model is not None:
        data["engine"]["model"] = arguments.model
    if arguments.runtime is not None:
        data["engine"]["runtime"] = arguments.runtime
    if arguments.force_model:
        data["engine"]["force_model"] = True
    if arguments.precision is not None:
        data["engine"]["precision"] = arguments.precision
    if arguments.speed is not None:
        data["speed"] = arguments.speed
    if arguments.duration is not None:
        data["duration_s"] = arguments.duration
    if arguments.session is not None:
        data["record"]["folder"] = arguments.session
    if arguments.record is not None:
        data["record"]["mode"] = arguments.record
    if arguments.from_s is not None:
        data["replay"]["from_s"] = arguments.from_s
    if arguments.operator is not None:
        data["operator"] = arguments.operator
    if arguments.label is not None:
        data["label"] = " ".join(printable(arguments.label).split())
    if arguments.blind:
        data["blind"] = True
    if arguments.view:
        data["view"]["enabled"] = True
    if arguments.select:
        data.update(parse_selection(arguments.select))
    if arguments.comparison is not None:
        require_outside_sessions(Path(arguments.comparison), "comparison")
        data["replay"]["comparison"] = str(arguments.comparison)
    if not config.window.model_fields_set & {"frames", "size"}:
        data["window"] |= model_window(Path(data["engine"]["model"]))
    if arguments.objective is not None:
        data["source"] |= {"objective": arguments.objective, "um_per_px": None}
    data["objectives"] = all_objectives(config.objectives, calibration_path())
    config = build_config(data, "command line")
    if config.source.objective is not None:
        known(config.source.objective, config.objectives)
    require_used_settings(config)
    _require_use_of_blindness(config)
    if config.replay_of is not None:
        config = _replayed(config, arguments)
    elif arguments.from_s is not None:
        raise InputError("--from goes to a moment of a recording; give --source replay:SESSION")
    elif arguments.comparison is not None:
        raise InputError("--comparison compares a replay with its recording; give --source replay:SESSION")
    return Options(config, arguments.headless, arguments.summary, arguments.name)


def _require_use_of_blindness(config: Config) -> None:
    """Raise InputError where a blind run makes no sense."""
    if config.blind and config.replay_of is not None:
        raise InputError("--blind: a replay's grades can be read in its recording; run blind live, or on a video")
    if config.blind and config.record.mode == "off":
        raise InputError("--blind: choice and grades are kept in the recording; leave --no-record (--record off) out")


def _replayed(config: Config, arguments: argparse.Namespace) -> Config:
    """Return the configuration of a replay, made of what was given and what was recorded. Raises InputError."""
    from station.session.playback import as_recorded

    if arguments.select:
        raise InputError("--select: a replay follows the sperm that were selected in the recording; leave --select out")
    if arguments.record is None:  # it is recorded already
        config = config.model_copy(update={"record": config.record.model_copy(update={"mode": "off"})})
    return as_recorded(config)


def parse_comparison(argv: Sequence[str]) -> Options:
    """Return the options of a run for those of ``compare``. Raises InputError."""
    parser = Parser(prog=f"{invocation()} compare", description=f"{COMPARE} {NOTICE}")
    parser.add_argument("session", metavar="SESSION", help="id of the recorded session, or its folder")
    parser.add_argument(
        "--session", dest="parent", metavar="DIR", help="folder that holds the sessions (default: the user's)"
    )
    parser.add_argument("--model", metavar="DIR", required=True, help="folder of the other model's artifact")
    parser.add_argument("--out", metavar="FILE", default="comparison.csv", help="CSV table (default comparison.csv)")
    given = parser.parse_args(argv)
    options = ["--source", f"{REPLAY}{given.session}", "--speed", "max", "--headless"]
    options += [] if given.parent is None else ["--session", given.parent]
    return parse_options([*options, "--model", given.model, "--comparison", given.out])


def parse_selection(values: Sequence[str]) -> dict[str, Any]:
    """Return the configuration keys for the --select values: one auto[:N], or points X,Y."""
    automatic = [value for value in values if value.split(":")[0] == "auto"]
    if automatic:
        if len(values) > 1:
            raise InputError(f"--select: got {' and '.join(values)}; give auto[:N] alone, or only points X,Y")
        _, colon, count = automatic[0].partition(":")
        if colon and not (count.isdecimal() and len(count) < 10 and 1 <= int(count) <= 64):
            raise InputError(f"--select {automatic[0]}: expected auto:N with N from 1 to 64")
        return {"select": ()} | ({"select_auto": int(count)} if colon else {})
    return {"select": tuple(_point(value) for value in values)}


def _point(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--select {text}: expected auto, auto:N or a point X,Y in px, such as 320,240") from None
    return x, y
