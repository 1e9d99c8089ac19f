"""A process that runs and is then ended from outside, as by ``kill``."""

import os
import signal

from station.processes.process import ProcessContext
from station.transport.control_messages import ProcessState


def run(context: ProcessContext) -> None:
    context.control.report(ProcessState.RUNNING)
    os.kill(os.getpid(), signal.SIGTERM)
    while context.carry_on():
        context.nap(0.005)
    context.finish()
