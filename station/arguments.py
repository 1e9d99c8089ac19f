"""The command line of a run as it is typed: its options and their help, and no more.

What the words mean is in ``station.options``. This module needs the standard library alone, so that ``--help`` and a
misspelt option are answered before any package is imported.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from station.command_line import Command, Parser, invocation, list_commands
from station.notice import NOTICE

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


def read_arguments(argv: Sequence[str], commands: Mapping[str, Command] | None = None) -> argparse.Namespace:
    """Return what a command line (without the program's name) holds; the help lists ``commands``.

    Raises InputError.
    """
    return _parser(commands or {}).parse_args(_join_values(argv))


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
