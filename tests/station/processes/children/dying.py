"""A process that is killed from outside, as the system does when memory runs out."""

import os
import signal

from station.processes.process import ProcessContext


def run(_context: ProcessContext) -> None:
    os.write(2, b"the last thing it printed\n")
    os.kill(os.getpid(), signal.SIGKILL)
