"""A stage with a defect."""

from station.stage import StageContext


def run(_context: StageContext) -> None:
    raise KeyError("a defect")
