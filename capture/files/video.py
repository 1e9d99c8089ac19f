"""A video file as a source, read with FFmpeg through PyAV.

Grey is the video's own luma, of limited range expanded to 0..255; what is stored as RGB or with a palette becomes luma
by ``capture.files.grayscale``. Times are the container's own, frame by frame, so a variable frame rate is respected.
Frames are turned as the file says they are to be shown. Frames that cannot be decoded, or that the decoder had to make
up in part, are left out and counted: a made-up frame must not be graded. It knows files and their times, not the pace.
"""

import contextlib
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final, Self

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from capture.files.damage import Damage
from capture.files.first_frames import FirstFrames
from capture.files.foreign import refuse_foreign, unreadable
from capture.files.grayscale import expand_limited, upper_8
from capture.files.names import assumed_rate, shown_name
from capture.files.orientation import UPRIGHT
from capture.files.video_container import open_container, probe
from capture.files.video_frame import is_full_range, luma_of, orientation_of
from capture.files.video_rate import VideoRate
from capture.source import Condition, Frame
from station.clock import NS_PER_S
from station.errors import InputError
from station.transport.control_messages import SourceInfo

MISSING_SHARE: Final = 0.9
"""Of a frame interval: a file whose frames end so much before its stated duration has lost its end. Less is rounding,
or an edit list that cuts within a frame."""


class VideoFile:
    """A Source (see ``capture.source``).

    Times are those of the container, counted from the first frame; where they fail to rise, and where a frame rate is
    given by hand, the frame rate tells the time. ``bits``: those really used, of frames of more than 8. Raises
    InputError where the file is no video.
    """

    def __init__(
        self, path: Path, *, fps: float | None = None, um_per_px: float | None = None, bits: int | None = None
    ) -> None:
        self._path = path
        refuse_foreign(path)
        name = shown_name(path)
        self._damage = Damage(name)
        self._first = FirstFrames(name)
        number, rate = probe(path)
        self._container, films = open_container(path)
        self._stream = films[number]
        self._frames = self._decode()
        try:
            self._by_container = fps is None
            self._fps = fps or _required(path, rate)
            self._notices = _notices(name, films, self._stream, rate if fps is None else VideoRate(fps))
            self._fps_assumed = fps is None and rate.assumed
            self._interval_ns = max(1, round(NS_PER_S / self._fps))
            self._frame_ns = round(NS_PER_S / rate.fps) if rate.fps else self._interval_ns
            self._bits = bits
            self._tilted = False
            self._is_even = "avi" in self._container.format.name
            self._first_pts: int | None = None
            self._last_ns = -1
            self._stamp_ns = -1
            self._end_ns = 0
            self._ahead = next(self._frames, None)
            if self._ahead is None:
                raise unreadable(path)
        except BaseException:
            self.close()
            raise
        height, width = self._ahead.pixels.shape
        self.info: Final = SourceInfo(name=name, height=height, width=width, fps=self._fps, um_per_px=um_per_px)

    @property
    def condition(self) -> Condition:
        """How the file is read, and what could not be read so far."""
        damage = self._damage.notices
        tilted = (f"{self._damage.name}: is to be shown rotated by no multiple of 90 degrees, which is not applied",)
        notices = (*self._notices, *(tilted if self._tilted else ()), *self._first.cautions, *damage)
        return Condition(notices, fps_assumed=self._fps_assumed, damage=damage)

    def read(self) -> Frame | None:
        """Return the next frame that can be read, or None at the end."""
        frame, self._ahead = self._ahead, None
        return frame if frame is not None else next(self._frames, None)

    def close(self) -> None:
        """Close the file; may be called more than once."""
        self._frames.close()
        self._container.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def _decode(self) -> Generator[Frame, None, None]:
        """Yield the frames that can be read; note the others."""
        size: tuple[int, int] | None = None
        for decoded in self._decoded():
            size = size or (decoded.height, decoded.width)
            if decoded.is_corrupt or (decoded.height, decoded.width) != size:
                self._damage.unreadable()
                continue
            pixels = self._grey(decoded)
            pixels.flags.writeable = False
            self._last_ns = self._time_ns(decoded)
            yield Frame(pixels, self._last_ns, lost_before=self._damage.readable(self._last_ns))

    def _grey(self, decoded: VideoFrame) -> NDArray[np.uint8]:
        """Return (H, W) uint8 as shown, in memory of its own."""
        values, stored_bits = luma_of(decoded)
        bits = min(self._bits or stored_bits, stored_bits)
        pixels = upper_8(values, bits)
        if not is_full_range(decoded):
            pixels = expand_limited(pixels)
        if decoded.interlaced_frame:
            self._first.flag_interlaced()
        self._first.look(values, pixels, stored_bits, bits)
        orientation = orientation_of(decoded)
        self._tilted |= orientation is None
        return (orientation or UPRIGHT).apply(pixels)

    def _decoded(self) -> Iterator[VideoFrame]:
        """Yield what the decoder gives; go on after packets that it refuses, as far as the container can be read."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, ValueError) as error:
                with contextlib.suppress(av.FFmpegError, ValueError, MemoryError):
                    yield from self._stream.decode(None)  # what the decoder still holds
                self._damage.broke_off(_short(error))
                return
            if packet is None:
                self._damage.finish(self._announced())
                return
            try:
                yield from packet.decode()
            except (av.FFmpegError, ValueError, MemoryError):
                if not packet.is_discard:
                    self._damage.unreadable()

    def _announced(self) -> int | None:
        """Return how many frames the file says to have, if more than were seen; None if it does not say.

        A count of frames alone proves nothing: it may be of fields, or of frames that an edit list leaves out. So the
        stated duration must have a gap at its end as well.
        """
        count, seen = self._stream.frames, self._damage.seen
        stated_ns = self._stated_ns()
        if stated_ns is None:
            return count or None
        missing = (stated_ns - self._end_ns) / self._frame_ns
        if missing < MISSING_SHARE:
            return None
        by_duration = seen + max(1, round(missing))
        return min(count, by_duration) if count else by_duration

    def _stated_ns(self) -> int | None:
        """Return the duration that the file's header states, ns; None where FFmpeg tells it from what is left."""
        stream, container = self._stream, self._container
        if "avi" in container.format.name and stream.frames and stream.time_base is not None:
            # AVI counts in ticks of its time base, for H.264 two a frame; its duration FFmpeg tells from what is left.
            return round(Fraction(stream.frames) * stream.time_base * NS_PER_S)
        if stream.frames and stream.duration and stream.time_base is not None:
            return round(Fraction(stream.duration) * stream.time_base * NS_PER_S)
        if container.duration is None or "matroska" not in container.format.name:
            return None
        if len(container.streams) > 1:
            return None  # the longest stream counts, and that may be the sound
        return (container.duration - (container.start_time or 0)) * NS_PER_S // av.time_base

    def _time_ns(self, decoded: VideoFrame) -> int:
        """Return the source time of a frame, and keep where the frame ends by the container's time.

        AVI has whole frame intervals alone, but FFmpeg stamps the last frame of a stream of fields half of one early.
        """
        before_ns = self._stamp_ns
        if decoded.pts is None or decoded.time_base is None:
            self._stamp_ns = before_ns + self._frame_ns if before_ns >= 0 else 0
        else:
            self._first_pts = decoded.pts if self._first_pts is None else self._first_pts
            t_ns = round(Fraction(decoded.pts - self._first_pts) * decoded.time_base * NS_PER_S)
            rises = t_ns > before_ns + (self._frame_ns // 2 + 1 if self._is_even and before_ns >= 0 else 0)
            self._stamp_ns = t_ns if rises else before_ns + self._frame_ns
        self._end_ns = self._stamp_ns + max(self._frame_ns, _duration_ns(decoded))
        if self._by_container:
            return self._stamp_ns
        return round(self._damage.good * NS_PER_S / self._fps)


def _duration_ns(decoded: VideoFrame) -> int:
    """Return how long the container says that a frame is shown; 0 where it does not."""
    if decoded.duration and decoded.time_base is not None:
        return round(Fraction(decoded.duration) * decoded.time_base * NS_PER_S)
    return 0


def _required(path: Path, rate: VideoRate) -> float:
    if rate.fps is None:
        what = "no frame rate" if rate.stated is None else f"a frame rate of {rate.stated:g}/s"
        raise InputError(f"source {path}: the video states {what}; set [source] fps")
    return rate.fps


def _notices(name: str, films: list[VideoStream], film: VideoStream, rate: VideoRate) -> tuple[str, ...]:
    """Return what people should know about how a file is read."""
    lines = []
    if rate.assumed and rate.fps is not None:
        lines.append(assumed_rate(name, rate.fps))
    if rate.header_fps is not None:
        lines.append(
            f"{name}: its time stamps give {rate.fps:g} frames/s and are used, its stream states "
            f"{rate.header_fps:g}; if that is right, set [source] fps"
        )
    if len(films) > 1:
        which = "the first" if film is films[0] else f"number {films.index(film) + 1}, the first with several frames,"
        lines.append(f"{name}: of its {len(films)} videos only {which} is used")
    aspect = film.sample_aspect_ratio
    if aspect and aspect != 1:
        lines.append(
            f"{name}: its pixels are not square ({aspect}); positions count stored pixels, shapes are distorted"
        )
    return tuple(lines)


def _short(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
