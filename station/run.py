"""One run of the station: its processes are started, monitored and ended, and what they find is shown.

It knows them by the modules that it is given; what each does is their own business.
"""

import errno
from collections.abc import Mapping
from contextlib import ExitStack

import zmq

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
from station.options import Options
from station.output import say
from station.processes.signals import StopRequest
from station.processes.supervisor import Supervisor
from station.transport.control_messages import ProcessName
from station.transport.endpoints import private_endpoints

POLL_S = 0.02
UNREAD = (errno.EPIPE, errno.EIO)
"""Writing fails so where the reader of the output, or the terminal, has gone."""


def run(options: Options, processes: Mapping[str, str], optional: Mapping[str, str]) -> int:
    """Run the station, from the start of the first process to the end of the last. Raises StationError.

    ``processes``, ``optional``: the module that each runs, by its name; a run goes on without the optional ones.
    """
    config, ended = options.config, "by a defect of the program"
    file = SummaryFile(options.summary) if options.summary is not None else None
    stop = StopRequest()
    with ExitStack() as outer:
        endpoints = outer.enter_context(private_endpoints())
        context = outer.enter_context(zmq.Context())
        monitor = outer.enter_context(Monitor(context, config, endpoints))
        modules = {ProcessName(name): module for name, module in processes.items()}
        extras = {ProcessName(name): module for name, module in optional.items()}
        modules |= {name: extras[name] for name in extras if name.value in config.extras}
        supervisor = Supervisor(context, config, endpoints, modules, optional=extras)
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
