"""From the configuration to an open source. It knows which kinds of source exist, not how they work.

A source is imported when it is opened: the first frame waits for nothing that another kind needs.
"""

from collections.abc import Callable
from pathlib import Path

from capture.camera.basler_discovery import PREFIX as BASLER
from capture.source import Source, possible_source
from station.config import REPLAY, Config
from station.errors import InputError
from station.session.layout import LOG

SIMULATED = "simulated"
TCP = "tcp://"


def open_source(config: Config, keep_going: Callable[[], object] = lambda: None) -> Source:
    """Open what ``[source] kind`` names: "simulated", "basler[:SERIAL]", "replay:SESSION", "tcp://HOST:PORT", a file or
    a folder.

    Raises InputError if it is missing or cannot be used.
    """
    settings = config.source
    if settings.kind == SIMULATED:
        from capture.simulator.microscope import SimulatedMicroscope

        return SimulatedMicroscope(config.simulated)
    if settings.kind.split(":")[0] == BASLER:
        if config.speed == "max":
            raise InputError(
                f"source {settings.kind}: a camera sets its own pace; --speed max is for files and simulations"
            )
        from capture.camera.basler import open_basler

        serial = settings.kind.partition(":")[2]
        with possible_source(settings.kind):
            return open_basler(serial, config.camera, fps=settings.fps, um_per_px=settings.um_per_px)
    if settings.kind.startswith(TCP):
        from capture.remote.source import RemoteMicroscope

        if config.lossless:
            raise InputError(f"source {settings.kind}: a microscope sets its own pace; --speed max is for files")
        return RemoteMicroscope(settings.kind)
    if config.replay_of is not None:
        from capture.replay import RecordedSession

        return RecordedSession(config.replay_of, keep_going)
    try:
        path = Path(settings.kind).expanduser()
        is_session = (path / LOG).is_file()
    except (OSError, RuntimeError) as error:  # a name too long, a folder closed to this user, an unknown user's home
        raise InputError(f"source {settings.kind}: cannot be read ({error}); give a path that can be") from error
    if is_session:
        raise InputError(
            f"source {settings.kind}: is a recorded session; to replay it give --source {REPLAY}{settings.kind}"
        )
    if path.exists():
        from capture.files.file_source import open_file

        return open_file(path, fps=settings.fps, um_per_px=settings.um_per_px, bits=settings.bits)
    raise InputError(
        f"source {settings.kind!r}: no such file or folder; "
        f"give {SIMULATED!r}, 'basler', 'replay:SESSION', or the path of a video file, a TIFF stack or a folder"
    )
