"""A process that runs on request, counts its rounds, and hangs in its second when its note says so."""

import time

from station.processes.process import ProcessContext
from station.transport.control_messages import ModelInfo, ProcessState, SourceInfo
from station.transport.counters import EngineCounters
from station.transport.messages import CommandName


def run(context: ProcessContext) -> None:
    control = context.control
    account, ledger = control.account, control.ledger
    account.source = SourceInfo(name="test", height=10, width=10, fps=30.0)
    account.model = ModelInfo(name="test", sha256="", runtime="none", demonstration=True, fps=15.0)
    counters = EngineCounters(grades=0)
    account.counters = counters
    control.report(ProcessState.READY)
    if context.wait_for(CommandName.START) is None:
        return
    control.patience_s = 0.6
    control.report(ProcessState.RUNNING)
    account.notices = [f"resumed {ledger.resumed}", f"note {ledger.note.decode()}"]
    ledger.write_note(b"was here")
    while context.carry_on():
        counters.grades += 1
        while control.commands:
            control.commands.popleft()
            time.sleep(60)
        time.sleep(0.005)
    context.finish()
