"""A folder of images as a source: one frame each, in natural order of their names (2 before 10).

Depth and colour by ``capture.files.grayscale``; more than 8 bits count as 16 unless the bits really used are given or
stated. Images are turned and coloured as viewers show them. A folder knows no time: the frame rate is given, or assumed
and said.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.files.damage import Damage
from capture.files.first_frames import FirstFrames
from capture.files.grayscale import luma, upper_8
from capture.files.image_size import announced_px, bare_png, is_tiff
from capture.files.names import DEFAULT_FPS, IMAGE_ENDINGS, TIFF_ENDINGS, assumed_rate, shown_name, silence
from capture.files.tiff.image import TiffImage, read_tiff_image
from capture.files.tiff.layout import MOST_PX
from capture.files.tiff.metadata import Metadata
from capture.source import Condition, Frame
from station.clock import NS_PER_S
from station.errors import InputError
from station.files import read_bounded
from station.transport.control_messages import SourceInfo

AS_SHOWN: Final = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
"""Full depth, turned as EXIF says, without transparency."""
MAX_IMAGE_BYTES: Final = 1 << 30
"""Size of an image file."""


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
        name = shown_name(folder)
        self._metadata = _metadata_of(self._paths[0])
        known = fps or self._metadata.fps
        self._fps = known or DEFAULT_FPS
        self._fps_assumed = known is None
        self._bits = bits or self._metadata.bits
        self._damage = Damage(name)
        self._first = FirstFrames(name)
        self._stacks: list[str] = []
        self._others = 0
        self._notices = () if known else (assumed_rate(name, self._fps),)
        self._frames = self._decode()
        self._ahead = next(self._frames, None)
        if self._ahead is None:
            raise InputError(
                f"source {folder}: none of its {len(self._paths)} images can be decoded, the first is "
                f"{self._paths[0].name}; fix or remove them"
            )
        height, width = self._ahead.pixels.shape
        scale = um_per_px or self._metadata.um_per_px
        self.info: Final = SourceInfo(name=name, height=height, width=width, fps=self._fps, um_per_px=scale)

    @property
    def condition(self) -> Condition:
        """How the folder is read, what is left out, and what could not be read so far."""
        damage, notices = self._damage.notices, list(self._notices)
        if self._stacks:
            notices.append(
                f"{self._damage.name}: {len(self._stacks)} of its files hold more than one image, of which only the "
                f"first is used; give such a file itself as the source: {self._stacks[0]}"
            )
        if self._others:
            notices.append(
                f"{self._damage.name}: only the first channel and focal plane is used; {self._others} images of others "
                "are left out"
            )
        return Condition((*notices, *self._first.cautions, *damage), fps_assumed=self._fps_assumed, damage=damage)

    def read(self) -> Frame | None:
        """Return the next image, or None after the last. Raises InputError where it is of another size."""
        frame, self._ahead = self._ahead, None
        return frame if frame is not None else next(self._frames, None)

    def _decode(self) -> Iterator[Frame]:
        """Yield the images that can be decoded; note the others."""
        first: tuple[Path, tuple[int, ...], TiffImage] | None = None
        number = 0
        for path in self._paths:
            image = _load(path, self._bits)
            if image is None:
                self._damage.unreadable(path.name)
                number += 1
                continue
            first = first or (path, image.values.shape, image)
            if image.series != first[2].series:
                self._others += 1
                continue
            if image.values.shape != first[1]:
                height, width = image.values.shape
                raise InputError(
                    f"images of different sizes: {first[0].name} is {first[1][1]} x {first[1][0]} px, "
                    f"{path.name} is {width} x {height} px; keep images of one size in {path.parent}"
                )
            if image.is_stack:
                self._stacks.append(path.name)
            t_ns = round(number * NS_PER_S / self._fps)
            number += 1
            yield Frame(self._grey(image), t_ns, lost_before=self._damage.readable(t_ns))
        self._damage.finish()

    def _grey(self, image: TiffImage) -> NDArray[np.uint8]:
        """Return (H, W) uint8, read-only."""
        bits = self._bits or image.bits
        pixels = upper_8(image.values, bits)
        self._first.look(image.values, pixels, image.bits, bits)
        pixels.flags.writeable = False
        return pixels

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


def _metadata_of(path: Path) -> Metadata:
    """Return what the first image says about all."""
    image = read_tiff_image(path) if path.suffix.lower() in TIFF_ENDINGS else None
    return (image.metadata if image is not None else None) or Metadata()


def _load(path: Path, bits: int | None) -> TiffImage | None:
    """Return one image; None where it cannot be decoded, or is larger than any camera's."""
    if path.suffix.lower() in TIFF_ENDINGS and (image := read_tiff_image(path, bits)) is not None:
        return image
    try:
        data = read_bounded(path, MAX_IMAGE_BYTES)
        if is_tiff(data):
            return None if path.suffix.lower() in TIFF_ENDINGS else read_tiff_image(path, bits)
        if not 0 < announced_px(data) <= MOST_PX:
            return None
        decoded = cv2.imdecode(np.frombuffer(bare_png(data), np.uint8), AS_SHOWN)
    except (OSError, cv2.error):
        return None
    if decoded is None or decoded.shape[0] * decoded.shape[1] > MOST_PX or decoded.dtype not in (np.uint8, np.uint16):
        return None
    pixels: NDArray[Any] = np.asarray(decoded)
    return TiffImage(luma(pixels, bgr=True), pixels.dtype.itemsize * 8)
