"""One run of the station: its processes are started, monitored and ended, and what they find is shown.

It knows them by the modules that it is given; what each does is their own business.
"""

import errno
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

import zmq

from station.commands.going_back import begun_at
from station.commands.operator import Operator
from station.commands.registry import registered_if_possible
from station.commands.screen import ScreenRun
from station.commands.server import CommandServer
from station.config import Config
from station.dashboard.display import Display
from station.dashboard.headless import closing_report
from station.dashboard.key_handler import KeyHandler
from station.dashboard.monitor import Monitor
from station.dashboard.nonblocking_output import NonblockingOutput
from station.dashboard.snapshot import ScreenState
from station.dashboard.summary import SummaryFile, summarise
from station.errors import ProcessError, StationError
from station.options import Options
from station.processes.launch import Launch, reserve_ledgers
from station.processes.ledger import Ledger
from station.processes.process import ledger_path
from station.processes.signals import StopRequest
from station.processes.supervisor import Supervisor
from station.transport.control_messages import ProcessName
from station.transport.endpoints import private_endpoints

POLL_S = 0.02
UNREAD = (errno.EPIPE, errno.EIO)
"""Writing fails so where the reader of the output, or the terminal, has gone."""


@dataclass(frozen=True, slots=True)
class Take:
    """One run, or one of the times that a replay is begun anew to go back in it."""

    config: Config
    again: bool = False
    screen: ScreenState | None = None
    """What it showed before."""
    marked: frozenset[int] = frozenset()
    """Sperm that the reviewer has marked before."""
    view_note: bytes = b""
    """By which the live view keeps its link (``station.view.process``)."""


def run(
    options: Options,
    modules: dict[ProcessName, str],
    extras: Mapping[ProcessName, str],
    stop: StopRequest,
    first: Launch,
) -> int:
    """Run the station until the last process has ended. Raises StationError.

    ``modules``: what each process runs; without the ``extras`` a run goes on. ``first``: processes that have begun.
    """
    launch: Launch | None = first
    take: Take | None = Take(options.config)
    with NonblockingOutput(sys.stdout) as output, ExitStack() as terminal:
        display = Display(output, headless=options.headless, hz=options.config.dashboard.hz)
        while take is not None:
            take = _run_once(options, take, modules, extras, stop, display, terminal, launch)
            launch = None
    return 0


def _run_once(
    options: Options,
    take: Take,
    modules: dict[ProcessName, str],
    extras: Mapping[ProcessName, str],
    stop: StopRequest,
    display: Display,
    terminal: ExitStack,
    launch: Launch | None,
) -> Take | None:
    """Run from start to end; return what is to be begun in its place, where a replay goes back.

    ``launch`` None: its processes have not begun.
    """
    config, ended = take.config, "by a defect of the program"
    file = SummaryFile(options.summary) if options.summary is not None else None
    with ExitStack() as outer:
        if launch is None:
            launch = Launch(outer.enter_context(private_endpoints()))
            reserve_ledgers(launch.endpoints.folder)
        endpoints = launch.endpoints
        context = outer.enter_context(zmq.Context())
        monitor = outer.enter_context(Monitor(context, config, endpoints))
        supervisor = Supervisor(context, config, endpoints, modules, optional=extras, begun=launch.processes)
        outer.callback(supervisor.close)
        operator = Operator(config, supervisor, monitor)
        operator.marked |= take.marked
        registration = outer.enter_context(registered_if_possible(endpoints, options.name))
        server = outer.enter_context(CommandServer(context, endpoints, operator, registration))
        monitor.watched["commands"] = server
        if take.view_note:
            with Ledger(ledger_path(endpoints.folder, ProcessName.VIEW)) as ledger:
                ledger.write_note(take.view_note)
        try:
            with ExitStack() as inner:
                inner.enter_context(supervisor)
                stop.listen()
                if not take.again:
                    terminal.enter_context(display)
                stop.lend(display.borrowed)
                try:
                    keys = KeyHandler(ScreenRun(operator), asks=not display.headless, before=take.screen)
                    ended = monitor_run(config, supervisor, monitor, server, display, keys, stop)
                except StationError as error:
                    ended = f"by an error: {str(error).splitlines()[0]}"
                    raise
                finally:
                    supervisor.note_action("end", ended)
                    if operator.again is None:
                        terminal.close()
        finally:
            if operator.again is None:
                monitor.listen()
                summary = summarise(monitor.snapshot(supervisor), monitor.tracks, ended=ended)
                if summary.frames.captured or summary.recording is not None:
                    if file is not None:
                        file.write(summary)
                    display.say(closing_report(summary))
        if supervisor.broken:
            raise ProcessError("; ".join(supervisor.faults[name] for name in supervisor.broken))
        if operator.again is None:
            return None
        with Ledger(ledger_path(endpoints.folder, ProcessName.VIEW)) as ledger:
            note = ledger.note
        screen = replace(operator.screen, message=f"The replay begins again, up to {operator.again.t_s:.1f} s.")
        return Take(begun_at(config, operator.again), True, screen, frozenset(operator.marked), note)


def monitor_run(
    config: Config,
    supervisor: Supervisor,
    monitor: Monitor,
    server: CommandServer,
    display: Display,
    keys: KeyHandler,
    stop: StopRequest,
) -> str:
    """Show what the processes find and do what keys and requests ask, until something ends the run; return what did."""
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
        snapshot = monitor.snapshot(supervisor, keys.screen) if display.due else None
        try:
            display.show(snapshot)
        except OSError as error:
            if error.errno not in UNREAD:
                raise
            return "because nobody reads its output any more"
        if snapshot is not None:
            server.note(snapshot)
        if supervisor.finished:
            return "at the end of the source" + ("" if config.duration_s is None else ", or after the duration given")
        if monitor.overtime(supervisor):
            return "after the duration given, by the clock: the source is slower than its nominal frame rate"
    return "by a signal"
