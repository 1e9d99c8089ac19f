"""What a recorder does whose session has ended before the run: it listens, so that nobody waits for it."""

import time
from typing import Final

from station.processes.process import ProcessContext
from station.session.continuation import EndedSession
from station.session.recorder_links import Links
from station.transport.control_messages import ProcessState

LOOK_S: Final = 0.02
ENDED: Final = "the session had been ended when the recorder was started again"


def only_listen(context: ProcessContext, links: Links, ended: EndedSession) -> None:
    """Take in all that comes, keep nothing, and report the session as it was left, until all links have ended."""
    control, account = context.control, context.control.account
    account.recording = ended.recording
    account.counters = ended.counters
    control.report(ProcessState.RUNNING)
    while context.carry_on() and not links.ended:
        control.reports.clear()
        for name, link in links.all.items():
            while link.receive(0) is not None:
                if name == "frames" and not account.recording.stopped:
                    account.recording = ended.recording.model_copy(update={"stopped": ENDED})
                control.beat()
        time.sleep(LOOK_S)
