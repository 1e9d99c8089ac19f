"""A process that reports ready, runs on request, and ends on request."""

from station.processes.process import ProcessContext
from station.transport.control_messages import ModelInfo, ProcessState, SourceInfo
from station.transport.messages import CommandName


def run(context: ProcessContext) -> None:
    account = context.control.account
    account.source = SourceInfo(name="test", height=10, width=10, fps=30.0)
    account.model = ModelInfo(name="test", sha256="", runtime="none", demonstration=True, fps=15.0)
    context.control.report(ProcessState.READY)
    start = context.wait_for(CommandName.START)
    if start is not None:
        account.notices += [f"marked {start.marked}"] if start.marked else []
        account.notices += [f"stride {start.stride}", f"readers {start.readers}"]
        context.control.report(ProcessState.RUNNING)
    while context.carry_on():
        context.nap(0.005)
        while context.control.commands:
            command = context.control.commands.popleft()
            account.notices.append(f"{command.name} {command.sperm_id or command.count or ''}".strip())
    context.finish()
