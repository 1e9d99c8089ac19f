"""A TIFF or OME-TIFF stack as a source: one frame per page, read with tifffile.

Times are the file's own where it has them for each frame (OME DeltaT), else its frame interval, else the rate that is
given, else 15/s. Depth and colour by ``capture.files.grayscale``; the bits really used are those that are given, else
those that the file states, else all. Which pages are frames says ``capture.files.tiff_layout``. It knows files and
their times; not the pace.
"""

from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, Self

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from capture.files.codecs import shown_name, silence
from capture.files.damage import Damage
from capture.files.grayscale import luma, upper_8
from capture.files.image_folder import DEFAULT_FPS
from capture.files.tiff_layout import complaints, find_frames, salvage_frames
from capture.files.tiff_metadata import Metadata, read_metadata
from capture.source import Condition, Frame
from station.clock import NS_PER_S
from station.errors import InputError
from station.transport.messages import SourceInfo

MAGICS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Classic and Big TIFF, little and big endian."""
MOST_PIECES: Final = 2**16
"""Strips or tiles of one image; there are seldom more than rows."""


def is_tiff(path: Path) -> bool:
    """Return whether the file begins as TIFF files do."""
    try:
        with path.open("rb") as file:
            return file.read(4) in MAGICS
    except OSError:
        return False


class TiffStack:
    """A Source (see ``capture.source``). Raises InputError where the file is no stack of grey or RGB images."""

    def __init__(
        self, path: Path, *, fps: float | None = None, um_per_px: float | None = None, bits: int | None = None
    ) -> None:
        silence()
        self._path = path
        self._damage = Damage(shown_name(path))
        if not is_tiff(path):
            raise InputError(f"source {path}: expected TIFF, the file does not begin as one; give a TIFF or video file")
        try:
            with complaints() as heard:
                self._file = tifffile.TiffFile(path)
                try:
                    self._metadata = read_metadata(self._file)
                    self._layout = find_frames(self._file)
                except InputError:
                    raise
                except Exception:  # what tifffile throws at damaged files is of any kind
                    heard.append("no directory")
                if heard:
                    self._metadata = Metadata()
                    self._layout = salvage_frames(self._file)
        except InputError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise _damaged(path, error) from error
        self._bits = bits or self._metadata.bits or self._layout.dtype.itemsize * 8
        self._rate_given = fps is not None
        self._fps = fps or self._metadata.fps or DEFAULT_FPS
        self._frames = self._decode()
        self._ahead = next(self._frames, None)
        if self._ahead is None:
            self.close()
            count = self._layout.announced
            raise InputError(f"source {path}: none of its {count} images can be read; take the file from where it came")
        height, width = self._layout.shape[:2]
        self.info: Final = SourceInfo(
            name=shown_name(path),
            height=height,
            width=width,
            fps=self._fps,
            um_per_px=um_per_px or self._metadata.um_per_px,
        )

    @property
    def condition(self) -> Condition:
        """What is left out, and what could not be read so far."""
        return Condition((*self._layout.notices, *self._damage.notices))

    def read(self) -> Frame | None:
        """Return the next frame that can be read, or None at the end."""
        frame, self._ahead = self._ahead, None
        return frame if frame is not None else next(self._frames, None)

    def close(self) -> None:
        """Close the file; may be called more than once."""
        if hasattr(self, "_file"):
            self._file.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def _decode(self) -> Generator[Frame, None, None]:
        """Yield the frames that can be read; note the others."""
        last_ns = -1
        for number, place in enumerate(self._layout.places):
            try:
                with complaints():
                    pixels = self._grey(place)
            except Exception:  # each decoder has its own kinds
                self._damage.unreadable()
                continue
            pixels.flags.writeable = False
            last_ns = max(self._time_ns(number), last_ns + 1)
            yield Frame(pixels, last_ns, lost_before=self._damage.readable(last_ns))
        if self._layout.damaged and self._layout.announced == len(self._layout.places):
            self._damage.broke_off("the file's directory is damaged there, more may be missing")
        else:
            self._damage.finish(self._layout.announced)

    def _grey(self, place: Any) -> NDArray[np.uint8]:
        """Return (H, W) uint8 of one frame. Raises anything where it is damaged."""
        layout = self._layout
        if isinstance(place, int):
            size = int(np.prod(layout.shape)) * layout.dtype.itemsize
            self._file.filehandle.seek(place)
            data = self._file.filehandle.read(size)
            if len(data) != size:
                raise ValueError("cut short")
            stored = layout.dtype.newbyteorder(self._file.byteorder)
            return upper_8(luma(np.frombuffer(data, stored).reshape(layout.shape).astype(layout.dtype)), self._bits)
        if np.prod(place.shape) != np.prod(layout.shape) or len(place.dataoffsets) > MOST_PIECES:
            raise ValueError("of another size")  # a damaged entry can announce images that take minutes
        try:
            image, bgr = np.asarray(place.asarray()), False
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            image, bgr = self._by_opencv(place.index), True
        if image.dtype == np.dtype(bool):
            image = image.astype(np.uint8) * np.uint8(255)
        if image.ndim == 3 and image.shape[1:] == layout.shape[:2]:
            image = np.ascontiguousarray(np.moveaxis(image, 0, 2))  # one plane per colour
        if image.shape[:2] != layout.shape[:2] or image.dtype.itemsize != layout.dtype.itemsize:
            raise ValueError("of another size or type")
        return upper_8(luma(image, bgr=bgr), self._bits)

    def _by_opencv(self, index: int) -> NDArray[Any]:
        """Return a page whose compression tifffile leaves to another package (LZW, JPEG). Raises ValueError."""
        read, images = cv2.imreadmulti(str(self._path), index, 1, flags=cv2.IMREAD_UNCHANGED)
        if not read or not images:
            raise ValueError("cannot be decoded")
        return np.asarray(images[0])

    def _time_ns(self, number: int) -> int:
        times = self._metadata.times_s
        if not self._rate_given and len(times) == self._layout.announced:
            return round((times[number] - times[0]) * NS_PER_S)
        return round(number * NS_PER_S / self._fps)


def _damaged(path: Path, error: Exception) -> InputError:
    what = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"source {path}: the TIFF file is damaged ({what}); take it again from where it came")
