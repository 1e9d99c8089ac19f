"""The options of a run: a command line to a Config and a few choices about this run.

Options win over the configuration file. Whatever cannot be used is an InputError: one line, exit code 2.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from station.command_line import Command, Parser, invocation, list_commands
from station.config import REPLAY, Config, build_config, load_config, require_used_settings
from station.errors import InputError
from station.model_window import model_window
from station.notice import NOTICE
from station.objectives import all_objectives, calibration_path, known
from station.output import printable

DESCRIPTION = f"""\
Tracks the selected sperm in a live picture and predicts, for each, how experts
would grade it: the RoSTFine network's distribution over five grades, A best to
E worst. {NOTICE}
"""

COMMANDS = """\
Without a command it runs the station. Commands, each with its own --help:
{commands}

"""

EXAMPLES = """\
examples:
  {program}
      simulated microscope, four sperm, dashboard in this terminal
  {program} --source clip.mp4 --select 320,240
      a video file, the sperm nearest to x 320, y 240 px
  {program} --source clip.mp4 --speed max --headless
      every frame of a file, as fast as this machine can
  {program} --source basler:SERIAL
      a Basler camera (needs the extra basler)
  {program} --source replay:SESSION
      a recorded session again, at its own pace

keys:       q quit (so do Ctrl-C and SIGTERM)  a replace lost sperm
            k keep the last 30 s
exit code:  0 ended as asked  1 a process failed or hung
            2 something given cannot be used
"""

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
    arguments = _parser(commands or {}).parse_args(_join_values(argv))
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
        if colon and not (count.isdecimal() and 1 <= int(count) <= 64):
            raise InputError(f"--select {automatic[0]}: expected auto:N with N from 1 to 64")
        return {"select": ()} | ({"select_auto": int(count)} if colon else {})
    return {"select": tuple(_point(value) for value in values)}


def _point(text: str) -> tuple[float, float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--select {text}: expected auto, auto:N or a point X,Y in px, such as 320,240") from None
    return x, y


def _join_values(argv: Sequence[str]) -> list[str]:
    """Join ``--select -5,10`` to one word: argparse takes a value that begins with a minus for an option."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] == "--select":
            joined[-1] = f"--select={word}"
        else:
            joined.append(word)
    return joined


def _parser(commands: Mapping[str, Command]) -> Parser:
    program = invocation()
    listed = COMMANDS.format(commands=list_commands(commands)) if commands else ""
    parser = Parser(
        prog=program,
        usage=f"{program} [OPTIONS]\n       {program} COMMAND ...",
        description=DESCRIPTION,
        epilog=listed + EXAMPLES.format(program=program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    parser.add_version()
    add("--config", type=Path, metavar="FILE", help="TOML file with settings (docs/configuration.md)")
    add(
        "--source",
        metavar="simulated|PATH|basler[:SERIAL]|replay:SESSION|tcp://HOST:PORT",
        help="where frames come from: the simulated microscope (default), a video file, a TIFF stack, a folder of "
        "images, a Basler camera, a recorded session, or a microscope at another machine",
    )
    add(
        "--objective",
        metavar="NAME",
        help="the objective in use, by its name under [objectives] or as it was calibrated: it says the scale",
    )
    add(
        "--select",
        action="append",
        metavar="auto[:N]|X,Y",
        help="sperm to track: the N best candidates (default auto:4), or the one nearest to a point in px of the "
        "first frame, x to the right, y down; repeat it for several points",
    )
    add("--model", metavar="DIR", help="folder of the model (default: models/demo)")
    add(
        "--runtime",
        metavar="auto|NAME",
        help="what runs the network: onnxruntime, openvino, or on a GPU tensorrt_rtx, tensorrt or torch (default "
        "auto: the fastest available)",
    )
    add(
        "--precision",
        metavar="auto|NAME",
        help="what the network is computed in: float32, float16, bfloat16 or int8 (default auto: the fastest that the "
        "model was proven for and that holds here; engine info says which)",
    )
    add(
        "--force-model",
        action="store_true",
        help="grade even where the model was made for another scale or frame rate than the source's; every grade says "
        "so",
    )
    add(
        "--speed",
        metavar="live|max",
        help="live (default): at the source's own pace, late data is dropped and counted; max: offline, as fast as "
        "this machine can, nothing dropped",
    )
    add("--duration", type=float, metavar="S", help="end after S seconds of source time")
    add(
        "--record",
        metavar="all|keep|off",
        help="all (default): every frame; keep: tracks and grades throughout, frames only where the key k keeps the "
        "last seconds; off: nothing",
    )
    add("--no-record", action="store_const", const="off", dest="record", help="the same as --record off")
    add(
        "--session",
        metavar="DIR",
        help="folder for recorded sessions; each run makes its own folder in it (default: in the user's data folder)",
    )
    add("--operator", metavar="CODE", help="pseudonym of who operates, for studies (letters and digits); never a name")
    add("--label", metavar="TEXT", help="what the recorded session is called in lists and reports; no names of persons")
    add(
        "--comparison",
        type=Path,
        metavar="FILE",
        help="in a replay: write recorded and new grades side by side to FILE (CSV); always done when the model is not "
        "the recorded one",
    )
    add(
        "--blind",
        action="store_true",
        help="study mode: no grade is shown, sent or written before the operator has marked a choice; the recording "
        "then has both, with their times",
    )
    add("--from", dest="from_s", type=float, metavar="S", help="in a replay: go to S seconds from its beginning first")
    add("--view", action="store_true", help="live view in a browser on this machine; the link is shown at the start")
    add("--headless", action="store_true", help="no dashboard, only a few lines on standard output")
    add("--summary", type=Path, metavar="FILE", help="at the end, write a summary of the run to FILE (JSON)")
    add("--name", metavar="NAME", help="by which commands find this run (default: station)")
    return parser
