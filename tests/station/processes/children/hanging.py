"""A process that runs and then hangs in mid-round, ignoring everything."""

import signal
import time

from station.processes.process import ProcessContext
from station.transport.control_messages import ProcessState


def run(context: ProcessContext) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    context.control.patience_s = 0.5
    context.control.report(ProcessState.RUNNING)
    time.sleep(60)
