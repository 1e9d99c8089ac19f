"""The station: starts capture, tracker, engine and recorder, monitors them, and shows what they find.

``python run_station.py --help`` lists what it can do; ``docs/architecture.md`` says how the parts fit together.
"""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while the rest is imported, Ctrl-C ends it without a word

import errno
import importlib
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from station.startup import guarded_imports

with guarded_imports():
    import zmq

    from station.command_line import Command, exit_code_of, find_command
    from station.commands import shell
    from station.commands.operator import Operator
    from station.commands.registry import registered_if_possible
    from station.commands.screen import ScreenRun
    from station.commands.server import CommandServer
    from station.config import Config
    from station.dashboard.display import Display
    from station.dashboard.headless import closing_report
    from station.dashboard.key_handler import KeyHandler
    from station.dashboard.monitor import Monitor
    from station.dashboard.summary import SummaryFile, summarise
    from station.errors import ProcessError, StationError
    from station.machines import KEYS
    from station.options import Options, parse_comparison, parse_options
    from station.output import say
    from station.processes.signals import StopRequest
    from station.processes.supervisor import Supervisor
    from station.programs import ARCHIVE, PROGRAMS
    from station.transport.control_messages import PIPELINE, ProcessName
    from station.transport.endpoints import private_endpoints

PROCESSES = {name: f"{name.value}.process" for name in PIPELINE}  # capture.process, tracker.process, engine.process
OPTIONAL = {ProcessName.RECORDER: "station.session.recorder", ProcessName.VIEW: "station.view.process"}
"""What each process runs: ``run(context)`` of a module. A run goes on without the optional ones."""
POLL_S = 0.02
UNREAD = (errno.EPIPE, errno.EIO)
"""Writing fails so where the reader of the output, or the terminal, has gone."""


def main(argv: Sequence[str]) -> int:
    """Carry out the command line; return the exit code."""
    if argv and not argv[0].startswith("-"):
        return find_command(COMMANDS, argv[0]).run(argv[1:])
    return run(parse_options(argv, COMMANDS))


def run(options: Options) -> int:
    """Run the station, from the start of the first process to the end of the last. Raises StationError."""
    config, ended = options.config, "by a defect of the program"
    file = SummaryFile(options.summary) if options.summary is not None else None
    stop = StopRequest()
    with ExitStack() as outer:
        endpoints = outer.enter_context(private_endpoints())
        context = outer.enter_context(zmq.Context())
        monitor = outer.enter_context(Monitor(context, config, endpoints))
        modules = PROCESSES | {name: OPTIONAL[name] for name in OPTIONAL if name.value in config.extras}
        supervisor = Supervisor(context, config, endpoints, modules, optional=OPTIONAL)
        operator = Operator(config, supervisor, monitor)
        registration = outer.enter_context(registered_if_possible(endpoints, options.name))
        server = outer.enter_context(CommandServer(context, endpoints, operator, registration))
        monitor.watched["commands"] = server
        try:
            with ExitStack() as inner:
                inner.enter_context(supervisor)
                stop.listen()
                display = inner.enter_context(Display(headless=options.headless, hz=config.dashboard.hz))
                stop.lend(display.borrowed)
                try:
                    ended = monitor_run(config, supervisor, monitor, server, display, stop)
                except StationError as error:
                    ended = f"by an error: {str(error).splitlines()[0]}"
                    raise
                finally:
                    supervisor.note_action("end", ended)
        finally:
            monitor.listen()
            summary = summarise(monitor.snapshot(supervisor), monitor.tracks, ended=ended)
            if summary.frames.captured or summary.recording is not None:
                if file is not None:
                    file.write(summary)
                say(closing_report(summary))
        if supervisor.broken:
            raise ProcessError("; ".join(supervisor.faults[name] for name in supervisor.broken))
    return 0


def monitor_run(
    config: Config, supervisor: Supervisor, monitor: Monitor, server: CommandServer, display: Display, stop: StopRequest
) -> str:
    """Show what the processes find and do what keys and requests ask, until something ends the run; return what did."""
    keys = KeyHandler(ScreenRun(server.operator), asks=not display.headless)
    while not stop.made:
        try:
            supervisor.poll(POLL_S)
        except ProcessError:
            if stop.made:  # what ends this process from outside often ends the others as well
                break
            raise
        stop.attend()
        monitor.listen()
        if keys.press(display.keys()):
            supervisor.note_action("key q", asked_by="screen")
            return "by key q"
        server.poll()
        if server.operator.ended:
            return server.operator.ended
        if display.due:
            snapshot = monitor.snapshot(supervisor, keys.screen)
            try:
                display.show(snapshot)
            except OSError as error:
                if error.errno not in UNREAD:
                    raise
                return "because nobody reads its output any more"
            server.note(snapshot)
        if supervisor.finished:
            return "at the end of the source" + ("" if config.duration_s is None else ", or after the duration given")
        if monitor.overtime(supervisor):
            return "after the duration given, by the clock: the source is slower than its nominal frame rate"
    return "by a signal"


def check_machine(argv: Sequence[str]) -> int:
    """Check this machine (``doctor``)."""
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
    "compare": Command(lambda argv: run(parse_comparison(argv)), "SESSION --model DIR", "grade it with another model"),
    **shell.COMMANDS,
    "keys": KEYS,
    **PROGRAMS,
}

if __name__ == "__main__":
    sys.exit(exit_code_of(main, sys.argv[1:]))
