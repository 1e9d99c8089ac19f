"""A process that runs in short rounds and is given half a second for each."""

from station.processes.process import ProcessContext
from station.transport.control_messages import ModelInfo, ProcessState, SourceInfo


def run(context: ProcessContext) -> None:
    account = context.control.account
    account.source = SourceInfo(name="test", height=10, width=10, fps=30.0)
    account.model = ModelInfo(name="test", sha256="", runtime="none", demonstration=True, fps=15.0)
    context.control.patience_s = 0.5
    context.control.report(ProcessState.RUNNING)
    while context.carry_on():
        context.nap(0.005)
        account.notices = [f"resumed {context.control.resumptions}"]
    context.finish()
