"""A process that withholds grades and lets them go as the engine does, but takes its time over it."""

from station.processes.process import ProcessContext
from station.transport.control_messages import ModelInfo, ProcessState
from station.transport.messages import CommandName

SLOW_S = 0.3


def run(context: ProcessContext) -> None:
    account = context.control.account
    account.model = ModelInfo(name="test", sha256="", runtime="none", demonstration=True, fps=15.0)
    context.control.report(ProcessState.READY)
    start = context.wait_for(CommandName.START)
    account.obeyed = None if start is None else start.seq
    context.control.report(ProcessState.RUNNING)
    while context.carry_on():
        context.nap(0.005)
        while context.control.commands:
            command = context.control.commands.popleft()
            if command.name is CommandName.BLIND:
                context.nap(SLOW_S)
                account.withheld, account.obeyed = 0 if command.blind else None, command.seq
    context.finish()
