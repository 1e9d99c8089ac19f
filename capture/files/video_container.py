"""Opening a video: the container, its films, which of them is read, and its frame rate."""

import contextlib
import itertools
from collections import Counter
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from capture.files.foreign import unreadable
from capture.files.video_rate import VideoRate, frame_rate

MOST_PX: Final = 2**26
"""A damaged header that announces more is refused before memory is taken for it."""
DECODER_OPTIONS: Final = {"err_detect": "crccheck", "max_pixels": str(MOST_PX)}
PROBED_PACKETS: Final = 500
READ_LIMIT_S: Final = 20.0
"""No single read of a file may take longer."""
STILL: Final = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image


def probe(path: Path) -> tuple[int, VideoRate]:
    """Return which of a file's films is read, and its frame rate."""
    number = 0
    container, films = open_container(path)
    with contextlib.closing(container):
        if len(films) > 1:  # a still image may come first
            packets = Counter({film.index: 0 for film in films})
            with contextlib.suppress(av.FFmpegError, ValueError):
                packets.update(
                    p.stream.index for p in itertools.islice(container.demux(films), PROBED_PACKETS) if p.size
                )
            number = max(range(len(films)), key=lambda k: (packets[films[k].index] > 1, -k))
    container, films = open_container(path)
    with contextlib.closing(container):
        return number, frame_rate(container, films[number])


def _films(container: InputContainer) -> list[VideoStream]:
    """Return the films of a container: no cover images, and none without a decoder (a damaged header)."""
    films = [stream for stream in container.streams.video if stream.codec_context is not None]
    return [stream for stream in films if not stream.disposition & STILL] or films


def open_container(path: Path) -> tuple[InputContainer, list[VideoStream]]:
    """Return the container and its films. Raises InputError."""
    av.logging.set_level(None)  # what is wrong with a file is said once, by a notice or an InputError
    try:
        # "file:" because a name such as 2024-05-01T10:30:00.mp4 would be taken for a protocol.
        container = av.open(f"file:{path}", timeout=READ_LIMIT_S, options={"protocol_whitelist": "file"})
    except (av.FFmpegError, ValueError, OSError, MemoryError) as error:
        raise unreadable(path) from error
    try:
        streams = _films(container)
        if container.format.name.endswith("_pipe") or not streams:
            raise unreadable(path)
        for stream in streams:
            stream.codec_context.thread_count = 1
            stream.codec_context.options = DECODER_OPTIONS
    except BaseException as error:
        container.close()
        if isinstance(error, (av.FFmpegError, ValueError)):
            raise unreadable(path) from error
        raise
    return container, streams
