"""The station: starts capture, tracker and engine, watches them, and shows what they find.

``python run_station.py --help`` says what it can be asked for; ``docs/architecture.md`` how the parts work together.
"""

import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import FrameType

import zmq

from station.command_line import Options, parse_options
from station.config import Config
from station.endpoints import private_endpoints
from station.errors import InputError, StationError
from station.headless import HeadlessReport, closing_report
from station.keyboard import Keyboard
from station.messages import StageName
from station.screen import Screen
from station.snapshot import Snapshot
from station.summary import check_summary, summarise, write_summary
from station.supervisor import Supervisor
from station.watch import Watch

STAGES = {StageName.CAPTURE: "capture.stage", StageName.TRACKER: "tracker.stage", StageName.ENGINE: "engine.stage"}
"""The processes, by the module whose ``run`` each carries out."""
POLL_S = 0.02


class StopRequest:
    """Turns Ctrl-C, SIGTERM and a closed terminal into a flag, so that the run always ends through the same door."""

    def __init__(self) -> None:
        self.made = False

    def on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        """Note the request."""
        self.made = True


def main(argv: Sequence[str]) -> int:
    """Run the station as the command line asks; return the exit code."""
    try:
        run(parse_options(argv))
    except InputError as error:
        print(f"rostfine: {error}", file=sys.stderr)
        return 2
    except StationError as error:
        print(f"rostfine: {error}", file=sys.stderr)
        return 1
    return 0


def run(options: Options) -> None:
    """Run from the first process started to the last one ended. Raises StationError."""
    config = options.config
    check_summary(options.summary)
    stop = StopRequest()
    # The stages inherit "ignore": Ctrl-C reaches every process of the terminal, but only this one acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop.on_signal)
    if hasattr(signal, "SIGHUP"):  # the terminal's window was closed
        signal.signal(signal.SIGHUP, stop.on_signal)
    with ExitStack() as outer:
        endpoints = outer.enter_context(private_endpoints())
        context = outer.enter_context(zmq.Context())
        watch = outer.enter_context(Watch(context, config, endpoints))
        supervisor = Supervisor(context, config, endpoints, STAGES)
        try:
            with ExitStack() as inner:
                inner.enter_context(supervisor)
                signal.signal(signal.SIGINT, stop.on_signal)
                keyboard = inner.enter_context(Keyboard())
                show = HeadlessReport().show if options.headless else inner.enter_context(Screen()).show
                attend(config, supervisor, watch, keyboard, show, stop)
        finally:
            watch.listen()
            document = summarise(supervisor.statuses, watch.tracks, restarts=0)
            if options.summary is not None:
                write_summary(options.summary, document)
        print(closing_report(document))


def attend(
    config: Config,
    supervisor: Supervisor,
    watch: Watch,
    keyboard: Keyboard,
    show: Callable[[Snapshot], None],
    stop: StopRequest,
) -> None:
    """Watch over the stages and show what they find, until something asks for the end."""
    next_show = 0.0
    while not (stop.made or supervisor.finished or watch.overtime(supervisor)):
        supervisor.poll(POLL_S)
        watch.listen()
        if "q" in keyboard.poll():
            return
        if time.monotonic() >= next_show:
            next_show = time.monotonic() + 1 / config.dashboard.hz
            show(watch.snapshot(supervisor))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
