"""``python -m engine compile|verify|info``: compile, verify or describe a model on this machine.

It knows the options; the work is in ``engine.commands``, which is imported when there is some, so that the help comes
at once. A recorded session is verified by ``run_station.py verify``, not here.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from engine.names import KINDS, PLAN_PRECISIONS, PrecisionName, RuntimeName
from station.command_line import Parser, exit_code_of
from station.notice import NOTICE
from station.programs import imported


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake ends with one line on stderr and exit code 2."""
    return exit_code_of(_run, sys.argv[1:] if argv is None else argv, interrupted="interrupted")


def _run(argv: Sequence[str]) -> int:
    parser = Parser(prog="python -m engine", description=f"Compiles, verifies and describes a model. {NOTICE}")
    parser.add_version()
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in (
        ("compile", "build a TensorRT plan from a model, into the model's folder"),
        ("verify", "verify a model: run its golden clips here and compare with the outputs stored at export"),
        ("info", "print what a model is, which runtimes this machine has, and which one the station would use"),
    ):
        command = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.")
        command.add_argument("model", type=Path, nargs="?", metavar="DIR",
                             help="folder of the model (default: models/demo)")  # fmt: skip
        if name == "compile":
            command.add_argument("--runtime", choices=KINDS, default=KINDS[0],
                                 help="tensorrt_rtx builds anywhere, for every RTX GPU; tensorrt needs the target GPU "
                                      "(default: %(default)s)")  # fmt: skip
            command.add_argument("--precision", choices=PLAN_PRECISIONS, default="float16",
                                 help="precision the plan computes in (default: %(default)s)")  # fmt: skip
        if name == "verify":
            command.add_argument("--runtime", choices=get_args(RuntimeName), default="auto",
                                 help="runtime to verify on (default: the one the station would use)")  # fmt: skip
            command.add_argument("--precision", choices=get_args(PrecisionName), default="auto",
                                 help="precision to verify (default: the one the station would use)")  # fmt: skip
        if name in ("verify", "info"):
            command.add_argument("--threads", type=int, default=0, help="CPU threads (default: all cores but one)")
        if name == "info":
            command.add_argument("--measure", action="store_true",
                                 help="measure again which precision is the fastest here")  # fmt: skip
    args = parser.parse_args(argv)
    return int(imported("engine.commands").run(args))


if __name__ == "__main__":
    sys.exit(main())
