"""A stage that cannot use what the user gave."""

from station.errors import InputError
from station.stage import StageContext


def run(_context: StageContext) -> None:
    raise InputError("clip.mp4: expected a video, got a poem; give another file")
