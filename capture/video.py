"""A video file as a source, read with OpenCV.

Colour becomes grey as 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601 luma). It knows files and their times; not the pace.
"""

import math
from pathlib import Path
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.codecs import PICTURE_ENDINGS, shown_name, silence
from capture.source import Frame
from station.clock import NS_PER_S
from station.errors import InputError
from station.messages import SourceInfo

SNIFFED_BYTES = 4096


class VideoFile:
    """A Source (see ``capture.source``).

    Times are those of the container, counted from the first frame; where they fail to rise, and where a frame rate
    is given by hand, the frame rate tells the time. Raises InputError where the file is no video.
    """

    def __init__(self, path: Path, *, fps: float | None = None, um_per_px: float | None = None) -> None:
        silence()
        self._path = path
        _refuse_other_kinds(path)
        self._video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        self._ahead = self._decode()
        if self._ahead is None:
            self.close()
            raise InputError(
                f"source {path}: expected a video, but it cannot be read as one (cut short, damaged or something "
                "else); give a video file that FFmpeg can read"
            )
        stated = float(self._video.get(cv2.CAP_PROP_FPS))
        self._by_container = fps is None
        if fps is None:
            if not (math.isfinite(stated) and stated > 0):
                self.close()
                raise InputError(f"source {path}: the video states no frame rate; set [source] fps")
            fps = stated
        self._first_ms = float(self._video.get(cv2.CAP_PROP_POS_MSEC))
        self._interval_ns = round(NS_PER_S / fps)
        self._fps = fps
        self._count = 0
        self._last_ns = -1
        height, width = self._ahead.shape
        self.info: Final = SourceInfo(name=shown_name(path), height=height, width=width, fps=fps, um_per_px=um_per_px)

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end of the video."""
        if self._ahead is not None:
            pixels, self._ahead = self._ahead, None
        else:
            decoded = self._decode()
            if decoded is None:
                return None
            pixels = decoded
        if pixels.shape != (self.info.height, self.info.width):
            height, width = pixels.shape
            raise InputError(
                f"source {self._path}: frame {self._count} is {width} x {height} px, the first was "
                f"{self.info.width} x {self.info.height}; give a video of one size"
            )
        self._last_ns = self._time_ns()
        self._count += 1
        return Frame(pixels=pixels, t_source_ns=self._last_ns)

    def close(self) -> None:
        """Close the file; may be called more than once."""
        self._video.release()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def _decode(self) -> NDArray[np.uint8] | None:
        if not self._video.isOpened():
            return None
        decoded, picture = self._video.read()
        if not decoded:
            return None
        grey = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture, np.uint8)
        grey.flags.writeable = False
        return grey

    def _time_ns(self) -> int:
        """Return the source time of the frame decoded last."""
        if not self._by_container:
            return round(self._count * NS_PER_S / self._fps)
        t_ns = round((float(self._video.get(cv2.CAP_PROP_POS_MSEC)) - self._first_ms) * 1e6)
        if self._count == 0:
            return 0
        return t_ns if t_ns > self._last_ns else self._last_ns + self._interval_ns


def _refuse_other_kinds(path: Path) -> None:
    """Raise InputError for files that FFmpeg would show as a "video": a picture, or text as drawn characters."""
    if path.suffix.lower() in PICTURE_ENDINGS:
        raise InputError(f"source {path}: expected a video, got a picture; to read pictures give their folder")
    try:
        with path.open("rb") as file:
            head = file.read(SNIFFED_BYTES)
    except OSError as error:
        raise InputError(f"source {path}: cannot be read ({error.strerror}); give a readable video file") from error
    if b"\0" not in head:
        what = "text or something else" if head else "an empty file"
        raise InputError(f"source {path}: expected a video, got {what}; give a video file that FFmpeg can read")
