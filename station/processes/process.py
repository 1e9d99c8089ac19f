"""What every process has in common: its start, its control link, its signals, its last word.

``run_process`` is what the supervisor spawns. It knows nothing of what the processes do: it imports the
module it is named and calls its ``run(context)``.
"""

import faulthandler
import gc
import importlib
import os
import shutil
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import zmq
from numpy.typing import NDArray

from station.clock import AwakeClock
from station.config import Config
from station.errors import NO_MEMORY, InputError
from station.processes.control import ProcessControl, orphaned
from station.processes.ledger import Ledger
from station.processes.memory import keep_freed_memory
from station.transport.bus import Publisher
from station.transport.control_messages import Command, ProcessName, ProcessState
from station.transport.endpoints import Endpoints
from station.transport.messages import CommandName, EndHeader, Header

IDLE_S = 0.02
END_REPEAT_S = 0.1
STANDSTILL_S = 3.0
READERS_BACK_S = 0.5
"""ZeroMQ connects anew after a tenth of a second."""


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """What a process gets to work with."""

    config: Config
    endpoints: Endpoints
    control: ProcessControl
    zmq: zmq.Context[zmq.Socket[bytes]]

    @property
    def lossless(self) -> bool:
        """True where nothing may be dropped and senders wait: offline (``speed = "max"``), and in a replay."""
        return self.config.lossless

    def finish(self, *links: Publisher) -> None:
        """Report the end, and say it on the process's links, again and again until told to stop.

        Repeated, because a live link may lose any single message. A process that somebody ended by SIGTERM, and the
        supervisor did not, says nothing: it is started again, and more is to come.
        """
        if self.control.told_by_signal and not self.control.told_to_stop:
            return
        self.control.report(ProcessState.ENDED)
        while True:
            for link in links:
                link.send(EndHeader(seq=link.next_seq))
            if self.control.stopped:
                return
            self.nap(END_REPEAT_S)

    def await_readers(self, link: Publisher, start: Command) -> bool:
        """Wait until those read ``link`` that must not miss its first message; False: told to stop meanwhile.

        A process that was started again waits for a moment only: readers that are there come back by themselves.
        """
        if not self.control.ledger.resumed:
            return link.wait_for_readers(start.readers or 1, self.carry_on)
        clock = AwakeClock()
        link.wait_for_readers(start.readers or 1, lambda: self.carry_on() and clock.seconds() < READERS_BACK_S)
        return not self.control.stopped

    def send(self, link: Publisher, name: str, header: Header, pixels: NDArray[np.uint8]) -> bool:
        """Send on a link whose readers may be waited for; where that takes long, people are told.

        False: told to stop meanwhile.
        """
        clock = AwakeClock()

        def keep_waiting() -> bool:
            if clock.seconds() > STANDSTILL_S:
                self.control.standstill = (
                    f"STANDSTILL: a reader of the {name} has taken nothing for more than {STANDSTILL_S:g} s, and "
                    "offline it is waited for; where that is another program, let it read, or end it"
                )
            return self.carry_on()

        sent = link.send(header, pixels, keep_waiting)
        self.control.standstill = ""
        return sent

    def carry_on(self) -> bool:
        """Beat, and say whether to go on; for loops that wait."""
        self.control.beat()
        return not self.control.stopped

    def nap(self, seconds: float) -> None:
        """Beat and sleep a little."""
        self.control.beat()
        time.sleep(seconds)

    def wait_for(self, name: CommandName) -> Command | None:
        """Wait for a command, beating; None where the process is told to stop instead."""
        while not self.control.stopped:
            while self.control.commands:
                command = self.control.commands.popleft()
                if command.name is name:
                    return command
            self.control.await_command(IDLE_S)
            self.control.beat()
        return None


def log_path(folder: Path, name: ProcessName) -> Path:
    """Return where a process's standard output and error go: they would tear the dashboard."""
    return folder / f"{name.value}.log"


def ledger_path(folder: Path, name: ProcessName) -> Path:
    """Return where a process keeps what its successor must know."""
    return folder / f"{name.value}.ledger"


def run_process(name: ProcessName, module: str, config: Config, endpoints: Endpoints) -> None:
    """Run one process to its end, in the process that the supervisor spawned for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    _redirect_output(log_path(endpoints.folder, name))
    keep_freed_memory()
    ledger = Ledger(ledger_path(endpoints.folder, name))
    with zmq.Context() as context, ProcessControl(context, endpoints.control, name, ledger) as control:

        def on_sigterm(_signum: int, _frame: FrameType | None) -> None:
            control.told_by_signal = True
            control.stop()

        def on_sigcont(_signum: int, _frame: FrameType | None) -> None:
            control.resumptions += 1

        signal.signal(signal.SIGTERM, on_sigterm)
        if hasattr(signal, "SIGCONT"):  # not on Windows
            signal.signal(signal.SIGCONT, on_sigcont)
        ledger.begin()
        try:
            control.report(ProcessState.STARTING)
            gc.disable()
            run = importlib.import_module(module).run
            gc.freeze()  # it stays for good: a collection that looks through it again would hold a frame for 8 ms
            gc.enable()
            run(ProcessContext(config, endpoints, control, context))
        except InputError as error:
            control.report(ProcessState.FAILED, error=str(error), user_error=True)
            sys.exit(2)
        except MemoryError:
            control.report(ProcessState.FAILED, error=NO_MEMORY)
            sys.exit(1)
        except Exception as error:
            summary = f"{type(error).__name__}: {error}".splitlines()[0]
            control.report(ProcessState.FAILED, error=summary, details=traceback.format_exc())
            sys.exit(1)
        finally:
            if orphaned():
                shutil.rmtree(endpoints.folder, ignore_errors=True)


def _redirect_output(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    faulthandler.enable(2)
