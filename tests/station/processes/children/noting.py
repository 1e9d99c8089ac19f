"""A recorder that says what it heard was done, and has written the marks alone."""

import os
import signal

from station.processes.process import ProcessContext
from station.transport.control_messages import ActionHeader, ProcessState
from station.transport.messages import CommandName


def run(context: ProcessContext) -> None:
    control = context.control
    control.report(ProcessState.READY)
    if context.wait_for(CommandName.START) is None:
        return
    control.report(ProcessState.RUNNING)
    dies_at_the_end = False
    while True:
        carries_on = context.carry_on()
        while control.reports:
            header = control.reports.popleft()
            if isinstance(header, ActionHeader):
                control.account.notices.append(f"{header.seq} {header.name}")
                if header.name == "mark":
                    control.account.acted = header.seq + 1
                if header.name == "die" and not control.ledger.resumed:
                    dies_at_the_end = True
        if not carries_on:
            if dies_at_the_end:
                os.kill(os.getpid(), signal.SIGKILL)
            break
    context.finish()
