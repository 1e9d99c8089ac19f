"""A stage that runs and then stops in mid-round, deaf to everything."""

import signal
import time

from station.messages import StageState
from station.stage import StageContext


def run(context: StageContext) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    context.control.patience_s = 0.5
    context.control.report(StageState.RUNNING)
    time.sleep(60)
