"""A stage that is killed from outside, as by the system when memory runs out."""

import os
import signal

from station.stage import StageContext


def run(_context: StageContext) -> None:
    os.write(2, b"the last thing it printed\n")
    os.kill(os.getpid(), signal.SIGKILL)
