"""A process that refuses what the user gave."""

from station.errors import InputError
from station.processes.process import ProcessContext


def run(_context: ProcessContext) -> None:
    raise InputError("clip.mp4: expected a video, got a poem; give another file")
