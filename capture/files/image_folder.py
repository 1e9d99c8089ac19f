"""A folder of images as a source: one frame each, in natural order of their names (2 before 10).

Depth and colour by ``capture.files.grayscale``; more than 8 bits count as 16 unless the bits really used are given.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.files.codecs import IMAGE_ENDINGS, shown_name, silence
from capture.files.damage import Damage
from capture.files.grayscale import luma, upper_8
from capture.source import Condition, Frame
from station.clock import NS_PER_S
from station.errors import InputError
from station.transport.messages import SourceInfo

DEFAULT_FPS: Final = 15.0


class ImageFolder:
    """A Source (see ``capture.source``). Raises InputError where the folder holds no image.

    An image that cannot be decoded is left out, and its place in time stays empty.
    """

    def __init__(
        self, folder: Path, *, fps: float | None = None, um_per_px: float | None = None, bits: int | None = None
    ) -> None:
        silence()
        self._paths = list_images(folder)
        if not self._paths:
            endings = ", ".join(ending[1:] for ending in IMAGE_ENDINGS)
            raise InputError(f"source {folder}: expected images ({endings}), found none; give a folder that has some")
        self._fps = DEFAULT_FPS if fps is None else fps
        self._bits = bits
        self._damage = Damage(shown_name(folder))
        self._frames = self._decode()
        self._ahead = next(self._frames, None)
        if self._ahead is None:
            raise InputError(
                f"source {folder}: none of its {len(self._paths)} images can be decoded, the first is "
                f"{self._paths[0].name}; mend or remove them"
            )
        height, width = self._ahead.pixels.shape
        self.info: Final = SourceInfo(
            name=shown_name(folder), height=height, width=width, fps=self._fps, um_per_px=um_per_px
        )

    @property
    def condition(self) -> Condition:
        """What could not be read so far."""
        return Condition(self._damage.notices)

    def read(self) -> Frame | None:
        """Return the next image, or None after the last. Raises InputError where it is of another size."""
        frame, self._ahead = self._ahead, None
        return frame if frame is not None else next(self._frames, None)

    def _decode(self) -> Iterator[Frame]:
        """Yield the images that can be decoded; note the others."""
        first: tuple[Path, tuple[int, ...]] | None = None
        for number, path in enumerate(self._paths):
            pixels = _load(path, self._bits)
            if pixels is None:
                self._damage.unreadable(path.name)
                continue
            first = first or (path, pixels.shape)
            if pixels.shape != first[1]:
                raise InputError(
                    f"images of different sizes: {first[0].name} is {first[1][1]} x {first[1][0]} px, "
                    f"{path.name} is {pixels.shape[1]} x {pixels.shape[0]}; keep images of one size in {path.parent}"
                )
            t_ns = round(number * NS_PER_S / self._fps)
            yield Frame(pixels, t_ns, lost_before=self._damage.readable(t_ns))
        self._damage.finish()

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()


def list_images(folder: Path) -> list[Path]:
    """Return the images in a folder, in natural order; hidden files are left out."""
    try:
        paths = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_ENDINGS and not p.name.startswith(".")]
    except OSError as error:
        raise InputError(f"source {folder}: cannot be read ({error.strerror}); give a readable folder") from error
    return sorted(paths, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a key by which numbers inside names count as numbers."""
    parts = re.findall(r"\d+|\D+", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts] + [(-2, path.name)]


def _load(path: Path, bits: int | None) -> NDArray[np.uint8] | None:
    """Return one image, (H, W) uint8, read-only; None where it cannot be decoded."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except (OSError, cv2.error):
        return None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        return None
    values: NDArray[Any] = np.asarray(image)
    pixels = upper_8(luma(values, bgr=True), bits or values.dtype.itemsize * 8)
    pixels.flags.writeable = False
    return pixels
