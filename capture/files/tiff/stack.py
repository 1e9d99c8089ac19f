"""A TIFF or OME-TIFF stack as a source: one frame per page, read with tifffile.

Times are the file's own where it has them for each frame, else its frame rate, else the rate that is given, else 15/s,
which is said. Depth and colour by ``capture.files.grayscale``; the bits really used are those that are given, else
those that the file states, else all. Which pages are frames is in ``capture.files.tiff.layout``, what the file says
about them in ``capture.files.tiff.metadata``, how a page becomes grey in ``capture.files.tiff.pixels``. It knows files
and their times, not the pace.
"""

import dataclasses
from collections.abc import Generator
from pathlib import Path
from typing import Final, Self

import tifffile

from capture.files.damage import Damage
from capture.files.first_frames import FirstFrames
from capture.files.grayscale import upper_8
from capture.files.names import DEFAULT_FPS, assumed_rate, shown_name, silence
from capture.files.tiff.directories import complaints
from capture.files.tiff.layout import find_layout
from capture.files.tiff.metadata import read_metadata
from capture.files.tiff.pixels import read_at, read_page
from capture.source import Condition, Frame
from station.clock import NS_PER_S
from station.errors import InputError
from station.files import open_regular, require_regular
from station.transport.control_messages import SourceInfo

MAGICS: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Classic and Big TIFF, little and big endian."""


def is_tiff(path: Path) -> bool:
    """Return whether the file begins as TIFF files do."""
    try:
        with open_regular(path) as file:
            return file.read(4) in MAGICS
    except OSError:
        return False


def is_stack(path: Path) -> bool:
    """Return whether a TIFF file holds more than one page."""
    try:
        require_regular(path)
        with complaints(), tifffile.TiffFile(path) as file:
            return len(file.pages) > 1
    except Exception:  # what tifffile throws at damaged files is of any kind
        return False


class TiffStack:
    """A Source (see ``capture.source``). Raises InputError where the file is no stack of grey or RGB images."""

    def __init__(
        self, path: Path, *, fps: float | None = None, um_per_px: float | None = None, bits: int | None = None
    ) -> None:
        silence()
        self._path = path
        self._damage = Damage(shown_name(path))
        self._first = FirstFrames(shown_name(path))
        if not is_tiff(path):
            raise InputError(f"source {path}: expected TIFF, the file does not begin as one; give a TIFF or video file")
        try:
            with complaints():
                self._file = tifffile.TiffFile(path)
            layout = find_layout(self._file)
            self._metadata = read_metadata(self._file, layout)
        except InputError:
            self.close()
            raise
        except Exception as error:
            self.close()
            raise _damaged(path, error) from error
        self._bits = bits or self._metadata.bits or layout.form.grey_bits
        self._form = dataclasses.replace(layout.form, used_bits=self._bits)
        self._layout = layout
        self._rate_given = fps is not None
        known = fps or self._metadata.fps
        self._fps = known or DEFAULT_FPS
        self._fps_assumed = known is None
        self._notices = tuple(f"{self._damage.name}: {notice}" for notice in layout.notices)
        if known is None:
            self._notices = (*self._notices, assumed_rate(self._damage.name, self._fps))
        self._frames = self._decode()
        self._ahead = next(self._frames, None)
        if self._ahead is None:
            self.close()
            raise InputError(
                f"source {path}: none of its {layout.announced} images can be read; copy the file again from its origin"
            )
        height, width = self._ahead.pixels.shape
        self.info: Final = SourceInfo(
            name=shown_name(path),
            height=height,
            width=width,
            fps=self._fps,
            um_per_px=um_per_px or self._metadata.um_per_px,
        )

    @property
    def condition(self) -> Condition:
        """How the file is read, what is left out, and what could not be read so far."""
        damage = self._damage.notices
        notices = (*self._notices, *self._first.cautions, *damage)
        return Condition(notices, fps_assumed=self._fps_assumed, damage=damage)

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
        last_ns, form = -1, self._form
        for number, place in enumerate(self._layout.places):
            if place is None:
                self._damage.missing()
                continue
            try:
                with complaints():
                    is_offset = isinstance(place, int)
                    values = read_at(self._file, place, form) if is_offset else read_page(place, form)
            except Exception:  # each decoder has its own kinds
                self._damage.unreadable()
                continue
            pixels = upper_8(values, self._bits)
            stored = (2**self._bits - 1) - values if form.inverted else values
            self._first.look(stored, pixels, form.grey_bits, self._bits)
            pixels.flags.writeable = False
            last_ns = max(self._time_ns(number), last_ns + 1)
            yield Frame(pixels, last_ns, lost_before=self._damage.readable(last_ns))
        if self._layout.damaged and self._layout.announced == len(self._layout.places):
            self._damage.broke_off("the file's directory is damaged there, more may be missing")
        else:
            self._damage.finish(self._layout.announced)

    def _time_ns(self, number: int) -> int:
        times = self._metadata.times_s
        if self._rate_given or not times:
            return round(number * NS_PER_S / self._fps)
        if number < len(times):
            return round(times[number] * NS_PER_S)
        return round((times[-1] + (number - len(times) + 1) / self._fps) * NS_PER_S)


def _damaged(path: Path, error: Exception) -> InputError:
    what = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"source {path}: the TIFF file is damaged ({what}); copy it again from its origin")
