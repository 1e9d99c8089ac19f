"""From a page of a TIFF file to grey values: packed bits, palettes, inverted and rotated images.

What viewers apply is applied here: a page with white stored as 0 is inverted, palette colours are looked up, and the
tag Orientation is honoured. This module knows one page at a time; which pages are frames is decided in
``capture.files.tiff.layout``.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from capture.files.grayscale import luma
from capture.files.orientation import BY_TAG, UPRIGHT, Orientation

MIN_IS_WHITE, PALETTE = 0, 3
ORIENTATION_TAG: Final = 274
MOST_PIECES: Final = 2**16
"""Strips or tiles of one image; there are seldom more than rows."""
DECODED_BITS: Final = (1, 8, 16)
OPENCV_FLAGS: Final = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the pages of a file store their pixels."""

    shape: tuple[int, ...]
    """(H, W) or (H, W, channels) as stored."""
    dtype: "np.dtype[Any]"
    """uint8, uint16 or bool, in the machine's byte order."""
    bits: int
    """Of each stored value: 1 to 16."""
    inverted: bool = False
    """0 is white."""
    colours: NDArray[np.uint16] | None = None
    """(256 or 65536, 3): the palette."""
    orientation: Orientation = UPRIGHT
    used_bits: int | None = None
    """Bits of the grey values that are really used; None: all."""

    @property
    def size_bytes(self) -> int:
        """Bytes of an uncompressed image whose bits are not packed."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def grey_bits(self) -> int:
        """Bits of the grey values: 16 for a palette, and at least 8."""
        return 16 if self.colours is not None else max(8, self.bits)


def pixel_format(page: Any, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> PixelFormat:
    """Return the format of a page (a TiffPage) with checked shape and type."""
    tag = page.tags.get(ORIENTATION_TAG)
    colours = np.asarray(page.colormap).T if page.photometric == PALETTE and page.colormap is not None else None
    return PixelFormat(
        shape,
        dtype,
        int(page.bitspersample),
        inverted=page.photometric == MIN_IS_WHITE,
        colours=colours,
        orientation=BY_TAG.get(int(tag.value), UPRIGHT) if tag is not None and isinstance(tag.value, int) else UPRIGHT,
    )


def read_at(file: tifffile.TiffFile, offset: int, form: PixelFormat) -> NDArray[Any]:
    """Return (H, W) grey values of an uncompressed image that begins at a byte. Raises ValueError if cut short."""
    file.filehandle.seek(offset)
    data = file.filehandle.read(form.size_bytes)
    if len(data) != form.size_bytes:
        raise ValueError("cut short")
    stored = np.frombuffer(data, form.dtype.newbyteorder(file.byteorder)).reshape(form.shape).astype(form.dtype)
    return grey_values(stored, form)


def read_page(page: Any, form: PixelFormat) -> NDArray[Any]:
    """Return (H, W) grey values of a page. A damaged page can raise anything: each decoder has its own errors."""
    if np.prod(page.shape) != np.prod(form.shape) or len(page.dataoffsets) > MOST_PIECES:
        raise ValueError("of another size")  # a damaged entry can announce an image that would take minutes
    handle = page.parent.filehandle
    with contextlib.ExitStack() as stack:
        if handle.closed:  # tifffile closes the further files of a set
            handle.open()
            stack.callback(handle.close)
        return _read_open_page(page, form, Path(handle.path))


def _read_open_page(page: Any, form: PixelFormat, path: Path) -> NDArray[Any]:
    bgr = done = False
    if form.bits not in DECODED_BITS and page.compression == 1:
        image = _unpacked(page, form)
    else:
        try:
            image = np.asarray(page.asarray())
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            image, bgr = _by_opencv(path, page.index), True
            done = image.dtype == np.uint8  # OpenCV inverts 8-bit images with white stored as 0 itself
    if image.ndim == 3 and image.shape[1:] == form.shape[:2]:
        image = np.ascontiguousarray(np.moveaxis(image, 0, 2))  # one plane per colour
    if image.shape[:2] != form.shape[:2] or image.dtype.itemsize != form.dtype.itemsize:
        raise ValueError("of another size or type")
    return grey_values(image, form, bgr=bgr, inverted=form.inverted and not done)


def grey_values(
    image: NDArray[Any], form: PixelFormat, *, bgr: bool = False, inverted: bool | None = None
) -> NDArray[Any]:
    """Return (H, W) uint8 or uint16 of ``form.grey_bits`` bits, as shown by a viewer."""
    if image.dtype == np.dtype(bool):
        image = image.astype(np.uint8) * np.uint8(255)
    elif form.bits < 8:
        image = (image * (255 / (2**form.bits - 1)) + 0.5).astype(np.uint8)
    if form.colours is not None and image.ndim == 2:
        image = form.colours[np.minimum(image, len(form.colours) - 1)]
    elif form.colours is not None:
        image = image.astype(np.uint16) * np.uint16(257)  # OpenCV has already looked up the colours, in 8 bits
    grey = luma(image, bgr=bgr)
    if form.inverted if inverted is None else inverted:
        white = 2 ** (form.used_bits or form.grey_bits) - 1
        grey = np.asarray(white - np.minimum(grey, white), grey.dtype)
    return form.orientation.apply(grey)


def _unpacked(page: Any, form: PixelFormat) -> NDArray[Any]:
    """Return the pixels of a page with 2 to 15 packed bits per value, each row starting at a whole byte."""
    pieces = zip(page.dataoffsets, page.databytecounts, strict=True)
    data = b"".join(_read(page.parent.filehandle, start, count) for start, count in pieces)
    height, values = form.shape[0], int(np.prod(form.shape[1:]))
    row_bytes = -(-values * form.bits // 8)
    if len(data) < height * row_bytes or page.keyframe.is_tiled:
        raise ValueError("cut short, or in tiles")
    rows = np.frombuffer(data, np.uint8, height * row_bytes).reshape(height, row_bytes)
    bits = np.unpackbits(rows, axis=1, count=values * form.bits).reshape(height, values, form.bits)
    weights = (1 << np.arange(form.bits - 1, -1, -1)).astype(np.float32)
    return (bits @ weights).astype(form.dtype).reshape(form.shape)


def _read(handle: Any, start: int, count: int) -> bytes:
    handle.seek(start)
    return bytes(handle.read(count))


def _by_opencv(path: Path, index: int) -> NDArray[Any]:
    """Return a page whose compression tifffile leaves to another package (LZW, JPEG). Raises ValueError."""
    read, images = cv2.imreadmulti(str(path), index, 1, flags=OPENCV_FLAGS)
    if not read or not images:
        raise ValueError("cannot be decoded")
    return np.asarray(images[0])
