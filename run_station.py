"""The station: starts capture, tracker, engine and recorder, watches them, and shows what they find.

``python run_station.py --help`` says what it can be asked for; ``docs/architecture.md`` how the parts work together.
"""

import errno
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import zmq

from station.command_line import Options, comparison_options, parse_options
from station.config import Config
from station.dashboard.headless import HeadlessReport, closing_report
from station.dashboard.keyboard import Keyboard
from station.dashboard.monitor import Monitor
from station.dashboard.output import discard_output, make_output_forgiving
from station.dashboard.screen import Screen
from station.dashboard.snapshot import Snapshot
from station.dashboard.summary import SummaryFile, summarise
from station.errors import InputError, ProcessError, StationError
from station.processes.signals import StopRequest
from station.processes.supervisor import Supervisor
from station.session import commands
from station.transport.endpoints import private_endpoints
from station.transport.messages import ProcessName

STAGES = {
    ProcessName.CAPTURE: "capture.process",
    ProcessName.TRACKER: "tracker.process",
    ProcessName.ENGINE: "engine.process",
}
"""The processes, by the module whose ``run`` each carries out."""
RECORDER = {ProcessName.RECORDER: "station.session.recorder"}  # without it the run goes on
POLL_S = 0.02
Show = Callable[[Snapshot], None]


def main(argv: Sequence[str]) -> int:
    """Run the station as the command line asks; return the exit code."""
    make_output_forgiving()
    try:
        if argv and argv[0] in COMMANDS:
            return COMMANDS[argv[0]](argv[1:])
        run(parse_options(argv))
    except InputError as error:
        print(f"rostfine: {error}", file=sys.stderr)
        return 2
    except StationError as error:
        print(f"rostfine: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        discard_output()  # whoever read our output, or the terminal, has gone; everything is ended by now
    return 0


def diagnose(argv: Sequence[str]) -> int:
    """Check this machine (``doctor``); return the exit code."""
    from capture.camera.basler_discovery import list_cameras
    from station.doctor.checks import all_checks
    from station.doctor.report import examine, exit_code, parse_folder, render

    def providers() -> list[str]:
        from engine.onnx_runtime import available_providers

        return available_providers()

    findings = examine(all_checks(parse_folder(argv), list_cameras, providers))
    print(render(findings))
    return exit_code(findings)


def compare(argv: Sequence[str]) -> int:
    """Replay a session with another model (``compare``); return the exit code."""
    run(parse_options(comparison_options(argv)))
    return 0


COMMANDS = {"doctor": diagnose, "compare": compare, "verify": commands.verify, "tables": commands.tables}
"""What can be asked for instead of a run, by the first word of the command line."""


def run(options: Options) -> None:
    """Run from the first process started to the last one ended. Raises StationError."""
    config, ended = options.config, ""
    summary = SummaryFile(options.summary) if options.summary is not None else None
    stop = StopRequest()
    with ExitStack() as outer:
        endpoints = outer.enter_context(private_endpoints())
        context = outer.enter_context(zmq.Context())
        monitor = outer.enter_context(Monitor(context, config, endpoints))
        stages = STAGES if config.record.mode == "off" else STAGES | RECORDER
        supervisor = Supervisor(context, config, endpoints, stages, optional=RECORDER)
        try:
            with ExitStack() as inner:
                inner.enter_context(supervisor)
                stop.listen()
                keyboard = inner.enter_context(Keyboard())
                show = HeadlessReport().show if options.headless else inner.enter_context(Screen()).show
                try:
                    ended = monitor_run(config, supervisor, monitor, keyboard, show, stop)
                except StationError as error:
                    supervisor.note_action("end", f"by a fault: {str(error).splitlines()[0]}")
                    raise
                supervisor.note_action("end", ended)
        except StationError as error:
            ended = f"by a fault: {str(error).splitlines()[0]}"
            raise
        finally:
            monitor.listen()
            document = summarise(monitor.snapshot(supervisor), monitor.tracks, ended=ended)
            if summary is not None and document["frames"]["captured"]:
                summary.write(document)
        print(closing_report(document))


def monitor_run(
    config: Config, supervisor: Supervisor, monitor: Monitor, keyboard: Keyboard, show: Show, stop: StopRequest
) -> str:
    """Monitor over the stages and show what they find, until something asks for the end; return what did."""
    next_show = 0.0
    while True:
        try:
            supervisor.poll(POLL_S)
        except ProcessError:
            if stop.made:  # whoever ends the whole group ends the stages as well
                return "by a signal"
            raise
        monitor.listen()
        if time.monotonic() >= next_show:
            next_show = time.monotonic() + 1 / config.dashboard.hz
            show(monitor.snapshot(supervisor))
        if stop.made:
            return "by a signal"
        keys = {key.lower() for key in keyboard.poll()}
        for key in sorted(keys & {"a", "k", "q"}):
            supervisor.note_action(f"key {key}")
        if "a" in keys and config.replay_of is None:  # a replay repeats what was selected then
            supervisor.replace_lost(monitor.current, len(config.select) or config.select_auto)
        if "q" in keys:
            return "by the key q"
        if supervisor.finished:
            return "with the source" if config.duration_s is None else "with the source or the duration asked for"
        if monitor.overtime(supervisor):
            return "by the clock: the source was slower than the duration asked for"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
