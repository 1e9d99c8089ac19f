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
from station.endpoints import private_endpoints
from station.errors import InputError, StageError, StationError
from station.headless import HeadlessReport, closing_report
from station.keyboard import Keyboard
from station.messages import StageName
from station.output import discard_output, make_output_forgiving
from station.screen import Screen
from station.session import commands
from station.snapshot import Snapshot
from station.stopping import StopRequest
from station.summary import SummaryFile, summarise
from station.supervisor import Supervisor
from station.watch import Watch

STAGES = {StageName.CAPTURE: "capture.stage", StageName.TRACKER: "tracker.stage", StageName.ENGINE: "engine.stage"}
"""The processes, by the module whose ``run`` each carries out."""
RECORDER = {StageName.RECORDER: "station.session.stage"}  # without it the run goes on
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
    from capture.basler_search import list_cameras
    from station.doctor import examine, exit_code, parse_folder, render
    from station.doctor_checks import all_checks

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
        watch = outer.enter_context(Watch(context, config, endpoints))
        stages = STAGES if config.record.mode == "off" else STAGES | RECORDER
        supervisor = Supervisor(context, config, endpoints, stages, optional=RECORDER)
        try:
            with ExitStack() as inner:
                inner.enter_context(supervisor)
                stop.listen()
                keyboard = inner.enter_context(Keyboard())
                show = HeadlessReport().show if options.headless else inner.enter_context(Screen()).show
                try:
                    ended = attend(config, supervisor, watch, keyboard, show, stop)
                except StationError as error:
                    supervisor.note_action("end", f"by a fault: {str(error).splitlines()[0]}")
                    raise
                supervisor.note_action("end", ended)
        except StationError as error:
            ended = f"by a fault: {str(error).splitlines()[0]}"
            raise
        finally:
            watch.listen()
            document = summarise(watch.snapshot(supervisor), watch.tracks, ended=ended)
            if summary is not None and document["frames"]["captured"]:
                summary.write(document)
        print(closing_report(document))


def attend(
    config: Config, supervisor: Supervisor, watch: Watch, keyboard: Keyboard, show: Show, stop: StopRequest
) -> str:
    """Watch over the stages and show what they find, until something asks for the end; return what did."""
    next_show = 0.0
    while True:
        try:
            supervisor.poll(POLL_S)
        except StageError:
            if stop.made:  # whoever ends the whole group ends the stages as well
                return "by a signal"
            raise
        watch.listen()
        if time.monotonic() >= next_show:
            next_show = time.monotonic() + 1 / config.dashboard.hz
            show(watch.snapshot(supervisor))
        if stop.made:
            return "by a signal"
        keys = {key.lower() for key in keyboard.poll()}
        for key in sorted(keys & {"a", "k", "q"}):
            supervisor.note_action(f"key {key}")
        if "a" in keys and config.replay_of is None:  # a replay repeats what was selected then
            supervisor.replace_lost(watch.current, len(config.select) or config.select_auto)
        if "q" in keys:
            return "by the key q"
        if supervisor.finished:
            return "with the source" if config.duration_s is None else "with the source or the duration asked for"
        if watch.overtime(supervisor):
            return "by the clock: the source was slower than the duration asked for"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
