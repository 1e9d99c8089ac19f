"""A process with a defect."""

from station.processes.process import ProcessContext


def run(_context: ProcessContext) -> None:
    raise KeyError("a defect")
