"""From the configuration to an open source. Knows which kinds there are, not how any of them works."""

from pathlib import Path

from capture.microscope import SimulatedMicroscope
from capture.pictures import PictureFolder
from capture.source import Source
from capture.video import VideoFile
from station.config import Config
from station.errors import InputError

SIMULATED = "simulated"


def open_source(config: Config) -> Source:
    """Open what ``[source] kind`` names: "simulated", a video file, or a folder of pictures.

    Raises InputError where it is missing or cannot be used.
    """
    settings = config.source
    if settings.kind == SIMULATED:
        return SimulatedMicroscope(config.simulated)
    path = Path(settings.kind).expanduser()
    if path.is_dir():
        return PictureFolder(path, fps=settings.fps, um_per_px=settings.um_per_px)
    if path.exists():
        return VideoFile(path, fps=settings.fps, um_per_px=settings.um_per_px)
    raise InputError(
        f"source {settings.kind!r}: no such file or folder; "
        f"give {SIMULATED!r}, the path of a video file, or that of a folder of pictures"
    )
