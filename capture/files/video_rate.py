"""The frame rate of a video: the stream's own, measured from its time stamps, and whether it is stated at all.

The rate that a container states is often something else: H.264 in AVI is counted in fields, an average includes gaps,
and for bare streams FFmpeg fills in 25. So the interval between the first packets' time stamps decides; because stamps
may be rounded to milliseconds, the stated rate that agrees with it is used. A bare stream has no time stamps, but its
own header may state the rate. This module knows packets, no pixels.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from capture.files.intervals import frame_interval

MOST_FPS: Final = 100_000
"""A damaged header that states more is not believed: frame times would coincide."""
NO_TIME_STAMPS: Final = 0x80
"""FFmpeg's AVFMT_NOTIMESTAMPS: a bare stream."""
MEASURED_PACKETS: Final = 300
ENOUGH_PACKETS: Final = 24
MEASURED_BYTES: Final = 32 << 20
"""After so many bytes, ``ENOUGH_PACKETS`` do: uncompressed video would cost seconds otherwise."""
SAME_RATE: Final = 0.005
OTHER_RATE: Final = 0.02
"""A stream header that differs by more from the time stamps is mentioned."""
HEADERS_WITH_RATE: Final = ("h264", "hevc", "mpeg1video", "mpeg2video")
FIELD_FACTORS: Final = (1.0, 2.0, 0.5)
"""Stream headers may count fields."""


@dataclass(frozen=True, slots=True)
class VideoRate:
    """What is known of a video's frame rate."""

    fps: float | None
    """None: no plausible rate is stated."""
    stated: float | None = None
    """If ``fps`` is None: the implausible rate that the file states."""
    assumed: bool = False
    """The rate is not stated: ``fps`` is FFmpeg's 25, which players use."""
    header_fps: float | None = None
    """The rate in the stream's header, if it contradicts the time stamps."""


def frame_rate(container: InputContainer, stream: VideoStream) -> VideoRate:
    """Return the rate; reads the first packets, so the container cannot be read from its beginning afterwards."""
    header = _valid(stream.codec_context.framerate)
    stated = [rate for rate in (stream.guessed_rate, header, stream.base_rate, stream.average_rate) if rate]
    if container.format.flags & NO_TIME_STAMPS:
        return VideoRate(float(header or stated[0]), assumed=header is None) if stated else VideoRate(None)
    measured = _measured(container, stream)
    possible = [rate for rate in map(_valid, stated) if rate is not None]
    if measured is None:
        return VideoRate(float(possible[0])) if possible else VideoRate(None, float(stated[0]) if stated else None)
    if measured > MOST_FPS:
        return VideoRate(None, measured)
    agreeing = [rate for rate in possible if abs(float(rate) / measured - 1) < SAME_RATE]
    fps = float(agreeing[0]) if agreeing else measured
    contradicts = (
        header is not None
        and stream.codec_context.name in HEADERS_WITH_RATE
        and all(abs(float(header) * factor / fps - 1) > OTHER_RATE for factor in FIELD_FACTORS)
    )
    return VideoRate(fps, header_fps=float(header) if contradicts and header is not None else None)


def _valid(rate: Fraction | None) -> Fraction | None:
    return rate if rate and math.isfinite(rate) and 0 < rate <= MOST_FPS else None


def _measured(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the frame rate by the time stamps of the first packets, gaps left out; None if there are too few."""
    stamps = np.unique(np.fromiter(itertools.islice(_stamps(container, stream), MEASURED_PACKETS), np.int64))
    ticks = frame_interval(np.diff(stamps).astype(np.float64), tick=1)
    return None if ticks is None or stream.time_base is None else 1 / (ticks * float(stream.time_base))


def _stamps(container: InputContainer, stream: VideoStream) -> Iterator[int]:
    """Yield the presentation times of the packets that are shown, in ticks, as far as they can be read."""
    read_bytes = 0
    try:
        for number, packet in enumerate(container.demux(stream)):
            read_bytes += packet.size
            if number >= ENOUGH_PACKETS and read_bytes > MEASURED_BYTES:
                return
            stamp = packet.dts if packet.pts is None else packet.pts
            if packet.size and stamp is not None and not packet.is_discard:
                yield stamp
    except (av.FFmpegError, ValueError):
        return
