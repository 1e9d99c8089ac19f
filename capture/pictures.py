"""A folder of pictures as a source: one frame each, in natural order of their names (2 before 10).

Colour becomes grey as OpenCV's decoders do it (BT.601 luma); of 16 bits the upper 8 are taken.
"""

import re
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

DEFAULT_FPS: Final = 15.0


class PictureFolder:
    """A Source (see ``capture.source``). Raises InputError where the folder holds no picture."""

    def __init__(self, folder: Path, *, fps: float | None = None, um_per_px: float | None = None) -> None:
        silence()
        self._paths = list_pictures(folder)
        if not self._paths:
            endings = ", ".join(ending[1:] for ending in PICTURE_ENDINGS)
            raise InputError(f"source {folder}: expected pictures ({endings}), found none; give a folder that has some")
        self._fps = DEFAULT_FPS if fps is None else fps
        self._next = 0
        height, width = _load(self._paths[0]).shape
        self.info: Final = SourceInfo(
            name=shown_name(folder), height=height, width=width, fps=self._fps, um_per_px=um_per_px
        )

    def read(self) -> Frame | None:
        """Return the next picture, or None after the last. Raises InputError where it is of another size."""
        number = self._next
        if number >= len(self._paths):
            return None
        path = self._paths[number]
        pixels = _load(path)
        if pixels.shape != (self.info.height, self.info.width):
            height, width = pixels.shape
            raise InputError(
                f"pictures of different sizes: {self._paths[0].name} is {self.info.width} x {self.info.height} px, "
                f"{path.name} is {width} x {height}; keep pictures of one size in {path.parent}"
            )
        self._next += 1
        return Frame(pixels=pixels, t_source_ns=round(number * NS_PER_S / self._fps))

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures in a folder, in natural order; hidden files are left out."""
    try:
        paths = [p for p in folder.iterdir() if p.suffix.lower() in PICTURE_ENDINGS and not p.name.startswith(".")]
    except OSError as error:
        raise InputError(f"source {folder}: cannot be read ({error.strerror}); give a readable folder") from error
    return sorted(paths, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a key by which numbers inside names count as numbers."""
    parts = re.findall(r"\d+|\D+", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts] + [(-2, path.name)]


def _load(path: Path) -> NDArray[np.uint8]:
    """Return one picture, (H, W) uint8, read-only."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise InputError(f"picture {path}: cannot be read ({error.strerror}); mend or remove it") from error
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None
    if picture is None:
        raise InputError(f"picture {path}: expected {path.suffix[1:]} data, cannot be decoded; mend or remove it")
    pixels = np.asarray(picture, np.uint8)
    pixels.flags.writeable = False
    return pixels
