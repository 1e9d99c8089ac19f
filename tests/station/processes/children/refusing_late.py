"""A process that finds a user's mistake late, when all others are ready."""

import time

from station.errors import InputError
from station.processes.process import ProcessContext


def run(_context: ProcessContext) -> None:
    time.sleep(1.5)
    raise InputError("clip.mp4: expected a video, got a poem; give another file")
