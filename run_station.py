"""The station: starts capture, tracker, engine and recorder, monitors them, and shows what they find.

``python run_station.py --help`` lists what it can do; ``docs/architecture.md`` says how the parts fit together.
"""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # from here on Ctrl-C ends it without a word

import importlib
import sys
from collections.abc import Sequence

from station.startup import guarded_imports, keep_to_one_thread

with guarded_imports():
    from station.arguments import read_arguments
    from station.command_line import Command, exit_code_of, find_command
    from station.commands.shell_help import SHELL
    from station.output import say
    from station.programs import ARCHIVE, KEYS, PROGRAMS

PROCESSES = {name: f"{name}.process" for name in ("capture", "tracker", "engine")}
OPTIONAL = {"recorder": "station.session.recorder", "view": "station.view.process"}
"""What each process runs: ``run(context)`` of a module. A run goes on without the optional ones."""


def main(argv: Sequence[str]) -> int:
    """Carry out the command line; return the exit code."""
    if argv and not argv[0].startswith("-"):
        return find_command(COMMANDS, argv[0]).run(argv[1:])
    given = read_arguments(argv, COMMANDS)  # --help ends here: before anything is imported that takes its time
    keep_to_one_thread()
    with guarded_imports():
        from station.launch import launch
        from station.options import options_of
    return launch(options_of(given), PROCESSES, OPTIONAL)


def compare(argv: Sequence[str]) -> int:
    """Grade a session anew with another model (``compare``)."""
    keep_to_one_thread()
    with guarded_imports():
        from station.launch import launch
        from station.options import parse_comparison
    return launch(parse_comparison(argv), PROCESSES, OPTIONAL)


def check_machine(argv: Sequence[str]) -> int:
    """Check this machine (``doctor``)."""
    with guarded_imports():
        from capture.camera.basler_discovery import list_cameras
        from station.doctor.checks import all_checks
        from station.doctor.report import examine, exit_code, parse_folder, render

    def providers() -> list[str]:  # imported by the check: a broken runtime is for it to report
        return list(importlib.import_module("engine.onnx_runtime").available_providers())

    findings = examine(all_checks(parse_folder(argv), list_cameras, providers))
    say(render(findings))
    return exit_code(findings)


COMMANDS = {
    "doctor": Command(check_machine, "", "check this machine and its cameras"),
    **ARCHIVE,
    "compare": Command(compare, "SESSION --model DIR", "grade it with another model"),
    **SHELL,
    "keys": KEYS,
    **PROGRAMS,
}

if __name__ == "__main__":
    sys.exit(exit_code_of(main, sys.argv[1:]))
