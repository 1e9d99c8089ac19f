"""A video file as a source, read with FFmpeg through PyAV.

Grey is the video's own luma, of limited range expanded to 0..255; what is stored as RGB becomes luma by
``capture.files.grayscale``. Times are the container's own, frame by frame, so a variable frame rate is respected.
Frames that cannot be decoded, or that the decoder had to make up in part, are left out and counted: a made-up image
must not be graded. It knows files and their times; not the pace.
"""

import contextlib
import math
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Self

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from capture.files.codecs import IMAGE_ENDINGS, shown_name
from capture.files.damage import Damage
from capture.files.grayscale import expand_limited, luma, upper_8
from capture.source import Condition, Frame
from station.clock import NS_PER_S
from station.errors import InputError
from station.transport.messages import SourceInfo

SNIFFED_BYTES = 4096
MOST_PX: Final = 2**26
"""A damaged header that announces more is refused before memory is taken for it."""
MOST_FPS: Final = 100_000
"""A damaged header that states more is not believed: frame times could not be told apart."""
DECODER_OPTIONS: Final = {"err_detect": "crccheck", "max_pixels": str(MOST_PX)}
FULL_RANGE: Final = 2
"""FFmpeg's AVCOL_RANGE_JPEG."""
MISSING_SHARE: Final = 0.6
"""Of a frame interval: a file whose frames end so much before its stated duration has lost its end."""
READ_LIMIT_S: Final = 20.0
"""No single read of a file may take longer."""


class VideoFile:
    """A Source (see ``capture.source``).

    Times are those of the container, counted from the first frame; where they fail to rise, and where a frame rate
    is given by hand, the frame rate tells the time. Raises InputError where the file is no video.
    """

    def __init__(self, path: Path, *, fps: float | None = None, um_per_px: float | None = None) -> None:
        self._path = path
        _refuse_other_kinds(path)
        self._damage = Damage(shown_name(path))
        self._container, self._stream = _open(path)
        self._frames = self._decode()
        try:
            stated = self._stream.average_rate or self._stream.guessed_rate
            self._by_container = fps is None
            if fps is None:
                if not stated or not math.isfinite(stated) or not 0 < stated <= MOST_FPS:
                    what = f"a frame rate of {float(stated):g}/s" if stated else "no frame rate"
                    raise InputError(f"source {path}: the video states {what}; set [source] fps")
                fps = float(stated)
            self._fps = fps
            self._first_pts: int | None = None
            self._interval_ns = max(1, round(NS_PER_S / fps))
            self._last_ns = -1
            self._last_end_ns = 0
            self._ahead = next(self._frames, None)
            if self._ahead is None:
                raise _no_video(path)
        except BaseException:
            self.close()
            raise
        height, width = self._ahead.pixels.shape
        self.info: Final = SourceInfo(name=shown_name(path), height=height, width=width, fps=fps, um_per_px=um_per_px)

    @property
    def condition(self) -> Condition:
        """What could not be read so far."""
        return Condition(self._damage.notices)

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
        for image in self._images():
            size = size or (image.height, image.width)
            if image.is_corrupt or (image.height, image.width) != size:
                self._damage.unreadable()
                continue
            pixels = grey_of(image)
            pixels.flags.writeable = False
            self._last_ns = self._time_ns(image)
            self._last_end_ns = self._last_ns + _duration_ns(image, self._interval_ns)
            yield Frame(pixels, self._last_ns, lost_before=self._damage.readable(self._last_ns))

    def _images(self) -> Iterator[VideoFrame]:
        """Yield what the decoder gives; go on behind packets that it refuses, as far as the container can be read."""
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
                self._damage.unreadable()

    def _announced(self) -> int | None:
        """Return how many frames the file says to have, by its count or else its duration; None where it does not."""
        if self._stream.frames:
            return self._stream.frames
        container = self._container
        if container.duration is None or "matroska" not in container.format.name or not self._by_container:
            return None  # other containers without a count state no duration either: FFmpeg tells it from what is left
        if len(container.streams) > 1:
            return None  # the longest stream counts, and that may be the sound
        end_ns = (container.duration - (container.start_time or 0)) * NS_PER_S // av.time_base
        missing = (end_ns - self._last_end_ns) * self._fps / NS_PER_S
        return self._damage.seen + max(1, round(missing)) if missing > MISSING_SHARE else None

    def _time_ns(self, image: VideoFrame) -> int:
        """Return the source time of a frame."""
        if not self._by_container:
            return round(self._damage.good * NS_PER_S / self._fps)
        if image.pts is None or image.time_base is None:
            return self._last_ns + self._interval_ns if self._last_ns >= 0 else 0
        if self._first_pts is None:
            self._first_pts = image.pts
        t_ns = round(Fraction(image.pts - self._first_pts) * image.time_base * NS_PER_S)
        return t_ns if t_ns > self._last_ns else self._last_ns + self._interval_ns


def grey_of(image: VideoFrame) -> NDArray[np.uint8]:
    """Return (H, W) uint8 in memory of its own."""
    name = image.format.name
    if not name.startswith(("yuv", "gray", "nv12", "nv21")) or name in ("yuyv422", "yuvy422"):
        return upper_8(luma(np.asarray(image.to_ndarray(format="rgb24"), np.uint8)), 8)
    bits = image.format.components[0].bits
    dtype = np.dtype(np.uint8) if bits <= 8 else np.dtype(">u2" if name.endswith("be") else "<u2")
    plane: Any = image.planes[0]  # a buffer, though its stubs do not say so
    rows: NDArray[Any] = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
    values = upper_8(rows[: image.height, : image.width].astype(dtype.newbyteorder("="), copy=False), bits)
    full = name.startswith(("yuvj", "gray")) or image.color_range == FULL_RANGE
    return values if full else expand_limited(values)


def _duration_ns(image: VideoFrame, interval_ns: int) -> int:
    """Return how long a frame is shown: as the container says, else one interval."""
    if image.duration and image.time_base is not None:
        return round(Fraction(image.duration) * image.time_base * NS_PER_S)
    return interval_ns


def _open(path: Path) -> tuple[InputContainer, VideoStream]:
    """Return the container and its first video stream. Raises InputError."""
    av.logging.set_level(None)  # what is wrong with a file is said once, by a notice or an InputError
    try:
        container = av.open(str(path), timeout=READ_LIMIT_S, options={"protocol_whitelist": "file"})
    except (av.FFmpegError, ValueError, OSError, MemoryError) as error:
        raise _no_video(path) from error
    try:
        # A damaged header can name a codec that there is not: then the stream has no decoder.
        streams = [stream for stream in container.streams.video if stream.codec_context is not None]
        if container.format.name.endswith("_pipe") or not streams:
            raise _no_video(path)
        stream = streams[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.options = DECODER_OPTIONS
    except BaseException as error:
        container.close()
        if isinstance(error, (av.FFmpegError, ValueError)):
            raise _no_video(path) from error
        raise
    return container, stream


def _no_video(path: Path) -> InputError:
    return InputError(
        f"source {path}: expected a video, but it cannot be read as one (cut short, damaged or something else); give a "
        "video file that FFmpeg can read"
    )


def _refuse_other_kinds(path: Path) -> None:
    """Raise InputError for files that FFmpeg would show as a "video": an image, or text as drawn characters."""
    if path.suffix.lower() in IMAGE_ENDINGS:
        raise InputError(f"source {path}: expected a video, got an image; to read images give their folder")
    try:
        with path.open("rb") as file:
            head = file.read(SNIFFED_BYTES)
    except OSError as error:
        raise InputError(f"source {path}: cannot be read ({error.strerror}); give a readable video file") from error
    if b"\0" not in head:
        what = "text or something else" if head else "an empty file"
        raise InputError(f"source {path}: expected a video, got {what}; give a video file that FFmpeg can read")


def _short(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
