"""The command line of the station: options to a Config and a few choices about this run.

Options win over the configuration file. Anything unusable is an InputError; argparse's own complaints come out the
same way, so that every mistake is one line and exit code 2.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from station.config import REPLAY, Config, build_config, load_config
from station.errors import InputError

DESCRIPTION = """\
Follows the selected sperm in a live picture and shows, for each, how the RoSTFine network expects experts to grade it:
a distribution over five grades, A best to E worst. For research use only. Not for use in diagnostic procedures.
"""

EXAMPLES = """\
examples:
  python run_station.py                                        the simulated microscope, four sperm, on this terminal
  python run_station.py --source clip.mp4 --select 320,240     a video file, the sperm nearest to x 320, y 240 px
  python run_station.py --source clip.mp4 --speed max --headless --summary s.json
                                                               every frame of a file, as fast as the machine can
  python run_station.py --source basler:SERIAL                 a Basler camera (needs the extra basler)
  python run_station.py --source replay:SESSION                a recorded session again, at its own pace
  python run_station.py compare SESSION --model DIR            a recorded session's grades beside another model's
  python run_station.py verify SESSION                         check a recorded session; exit code 1: not as recorded
  python run_station.py tables SESSION                         write the tables of a session that was cut off
  python run_station.py doctor                                 check this machine and its cameras; exit code 1: unfit

while it runs:  q quits, as do Ctrl-C and SIGTERM; a releases the lost sperm and selects others by the automatic rule;
                k keeps the last 30 s
exit code:      0 ended as asked   1 a stage died or hung   2 something that was given cannot be used
"""


COMPARE = """Replays a recorded session with another model, as fast as the machine can, and writes the recorded and the
new grade distribution of each window side by side: FILE, and beside it .parquet (the same) and .json (a summary)."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    config: Config
    headless: bool
    summary: Path | None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; `python {self.prog} --help` lists the options")


def parse_options(argv: Sequence[str]) -> Options:
    """Return the options of a command line (without the program's name). Raises InputError."""
    arguments = _parser().parse_args(_join_values(argv))
    config = load_config(arguments.config) if arguments.config else Config()
    data = config.model_dump()
    if arguments.source is not None:
        data["source"]["kind"] = arguments.source
    if arguments.model is not None:
        data["engine"]["model"] = arguments.model
    if arguments.runtime is not None:
        data["engine"]["runtime"] = arguments.runtime
    if arguments.speed is not None:
        data["speed"] = arguments.speed
    if arguments.duration is not None:
        data["duration_s"] = arguments.duration
    if arguments.session is not None:
        data["record"]["folder"] = arguments.session
    if arguments.record is not None:
        data["record"]["mode"] = arguments.record
    if arguments.select:
        data.update(parse_selection(arguments.select))
    if arguments.comparison is not None:
        data["replay"]["comparison"] = str(arguments.comparison)
    config = build_config(data, "command line")
    if config.replay_of is not None:
        config = _replayed(config, arguments)
    elif arguments.comparison is not None:
        raise InputError(
            "--comparison: compares a replay's grades with the recorded ones; give --source replay:SESSION"
        )
    return Options(config, arguments.headless, arguments.summary)


def _replayed(config: Config, arguments: argparse.Namespace) -> Config:
    """Return the configuration of a replay, made of what was given and what was recorded. Raises InputError."""
    from station.session.playback import as_recorded

    if arguments.select:
        raise InputError("--select: a replay repeats what was selected in the recording; leave it out")
    if arguments.record is None:  # it is there already
        config = config.model_copy(update={"record": config.record.model_copy(update={"mode": "off"})})
    return as_recorded(config)


def comparison_options(argv: Sequence[str]) -> list[str]:
    """Return the options of ``compare SESSION ...`` as those of an ordinary run. Raises InputError."""
    parser = _Parser(prog="run_station.py compare", description=COMPARE, allow_abbrev=False)
    parser.add_argument("session", metavar="SESSION", help="folder of a recorded session")
    parser.add_argument("--model", metavar="DIR", required=True, help="folder of the other model's artifact")
    parser.add_argument("--out", metavar="FILE", default="comparison.csv", help="CSV table (default comparison.csv)")
    given = parser.parse_args(argv)
    options = ["--source", f"{REPLAY}{given.session}", "--speed", "max", "--headless"]
    return [*options, "--model", given.model, "--comparison", given.out]


def parse_selection(values: Sequence[str]) -> dict[str, Any]:
    """Return the configuration keys for the --select values: one auto[:N], or points X,Y."""
    automatic = [value for value in values if value.split(":")[0] == "auto"]
    if automatic:
        if len(values) > 1:
            raise InputError(f"--select: auto stands alone, got {' and '.join(values)}; give auto[:N] or points X,Y")
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


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="run_station.py",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--config", type=Path, metavar="FILE", help="TOML file with the settings (docs/configuration.md lists them)")
    add(
        "--source",
        metavar="simulated|PATH|basler[:SERIAL]|replay:SESSION",
        help="where frames come from: the simulated microscope (default), a video file, a TIFF stack, a folder of "
        "pictures, a Basler camera, or a recorded session",
    )
    add(
        "--select",
        action="append",
        metavar="auto[:N]|X,Y",
        help="sperm to follow: the N best candidates (default auto:4), or the one nearest to a point in px of the "
        "first frame, x right, y down; a point may be given several times",
    )
    add("--model", metavar="DIR", help="folder of the model artifact (default models/demo)")
    add(
        "--runtime",
        metavar="auto|NAME",
        help="what runs the network: onnxruntime, or tensorrt_rtx or tensorrt on a GPU (default auto: the fastest "
        "there is)",
    )
    add(
        "--speed",
        metavar="live|max",
        help="live (default): at the source's own pace, late data is dropped and counted; max: offline, as fast as "
        "the machine can and nothing dropped",
    )
    add(
        "--comparison",
        type=Path,
        metavar="FILE",
        help="with a replay: write the recorded and the new grades side by side to FILE (CSV); with another model than "
        "the recorded one that is done in any case",
    )
    add("--duration", type=float, metavar="S", help="end after S seconds of the source's time")
    add(
        "--session",
        metavar="DIR",
        help="folder that holds the recorded sessions, a new one for each run (default: in the user's data folder)",
    )
    add(
        "--record",
        metavar="all|keep|off",
        help="all (default): every frame; keep: numbers always, frames only where the key k saves the last seconds; "
        "off: nothing",
    )
    add("--no-record", action="store_const", const="off", dest="record", help="the same as --record off")
    add("--headless", action="store_true", help="no dashboard; a few lines on standard output instead")
    add("--summary", type=Path, metavar="FILE", help="write one JSON document about the run to FILE at its end")
    if sys.version_info >= (3, 14):
        parser.color = False  # type: ignore[attr-defined]
    return parser
