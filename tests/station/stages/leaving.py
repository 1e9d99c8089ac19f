"""A stage that runs and is then ended from outside, as by ``kill``."""

import os
import signal

from station.messages import StageState
from station.stage import StageContext


def run(context: StageContext) -> None:
    context.control.report(StageState.RUNNING)
    os.kill(os.getpid(), signal.SIGTERM)
    while context.carry_on():
        context.nap(0.005)
    context.finish()
