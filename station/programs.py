"""What ``rostfine`` leads to beside a run: what is done with recorded sessions, and trainer, engine, bench.

All are known by name and imported only when they are asked for: a station starts without what they need.
"""

import importlib
from types import ModuleType
from typing import Final

from station.command_line import Command, Main
from station.startup import guarded_imports


def imported(name: str) -> ModuleType:
    """Return a module. A package that is not installed ends the program with one line that says how to install it."""
    with guarded_imports():
        return importlib.import_module(name)


def _program(package: str, *words: str) -> Main:
    """Return the main function of a package, called with ``words`` before those of the command line."""
    return lambda argv: int(imported(f"{package}.__main__").main([*words, *argv]))


def _function(module: str, name: str) -> Main:
    """Return a function of a module, which is imported when it is called."""
    return lambda argv: int(getattr(imported(module), name)(argv))


ARCHIVE: Final = {
    "sessions": Command(
        _function("station.archive.sessions_command", "sessions"), "", "list the recorded sessions",
        "show label note remove",
    ),
    "report": Command(
        _function("station.report.command", "report"), "SESSION", "write the report of a session: one page, HTML"
    ),
    "export": Command(
        lambda argv: int(
            imported("station.export.command").export(argv, clips=_program("trainer", "prepare"))
        ),
        "SESSION --to FORMAT", "write a session for other programs",
    ),
    "agreement": Command(
        _function("station.archive.agreement_command", "agreement"), "[SESSION...]",
        "compare what was chosen with the model's order",
    ),
    "grade": Command(
        _function("station.batch.command", "grade"), "FILES --model DIR --out FILE",
        "grade videos and sessions",
    ),
    "verify": Command(
        _function("station.archive.record_commands", "verify"), "SESSION", "check that a recorded session is unchanged"
    ),
    "tables": Command(
        _function("station.archive.record_commands", "tables"), "SESSION",
        "write the tables of a session that was cut off",
    ),
}  # fmt: skip
TRAINER_DATA: Final = "simulate prepare import-clips rate votes check"
TRAINER: Final = f"{TRAINER_DATA} pretrain train crossval tables fit-heads evaluate export import predict rollout"
BENCHES: Final = (
    "all compare transport end-to-end capture camera chaos fuzz tracking pictures record curve engine gpu rating "
    "training labels loop view"
)
PROGRAMS: Final = {
    "train": Command(_program("trainer", "train"), "--data DIR --out RUN", "train a network (trainer train)"),
    "trainer": Command(_program("trainer"), "COMMAND", "make a model", TRAINER),
    "capture": Command(
        _function("capture.remote.server", "serve"),
        "--bind ADDRESS",
        "send frames to another machine",
    ),
    "engine": Command(_program("engine"), "COMMAND", "look after a model", "info verify compile"),
    "bench": Command(_program("bench"), "NAME", "measure speed and robustness", BENCHES),
}
KEYS: Final = Command(
    _function("station.machines", "keys"), "COMMAND", "keys for a link between two machines",
    "make list authorise remove",
)  # fmt: skip
