"""Number and moment of exposure in the lowest bits of a picture, all over it: any small piece says which it is of.

A change of one grey level is below the camera's noise, so tracking and grades are as they would be. What is read is
right or nothing: a magic word finds the place, a checksum proves the rest.
"""

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

TILE_PX: Final = 16
"""Side of the square that is repeated; a piece of this size at any place holds all."""
MAGIC: Final = b"RoST"
BODY: Final = slice(4, 20)
CHECK: Final = slice(20, 24)
BYTES: Final = TILE_PX * TILE_PX // 8


def _every_shift() -> NDArray[np.intp]:
    """Return (256, 256): for each shift of the tile, where its bits lie in a piece."""
    places = np.arange(TILE_PX * TILE_PX).reshape(TILE_PX, TILE_PX)
    shifts = [np.roll(places, (-down, -right), (0, 1)).ravel() for down in range(TILE_PX) for right in range(TILE_PX)]
    return np.stack(shifts)


_SHIFTS: Final = _every_shift()


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which picture it is."""

    number: int
    """From 0 on, of all exposures, those that were lost included."""
    t_exposure_ns: int
    """On the station clock, by the camera."""


def stamped(pixels: NDArray[np.uint8], stamp: Stamp) -> NDArray[np.uint8]:
    """Return a copy of a frame (H, W), whose lowest bits are 0, with the stamp in them."""
    body = stamp.number.to_bytes(8, "little") + stamp.t_exposure_ns.to_bytes(8, "little")
    data = (MAGIC + body + zlib.crc32(body).to_bytes(4, "little")).ljust(BYTES, b"\0")
    height, width = pixels.shape
    bits = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(TILE_PX, TILE_PX)
    row = np.tile(bits, (1, -(-width // TILE_PX)))[:, :width]
    out = np.empty_like(pixels)
    for top in range(0, height, TILE_PX):
        below = min(top + TILE_PX, height)
        np.bitwise_or(pixels[top:below], row[: below - top], out=out[top:below])
    return out


def piece_of(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the middle of a crop (S, S), or of each of many (..., S, S): (..., 16, 16), enough to read the stamp."""
    first = crop.shape[-1] // 2 - TILE_PX // 2
    return crop[..., first : first + TILE_PX, first : first + TILE_PX] & np.uint8(1)


def read_stamp(piece: NDArray[np.uint8]) -> Stamp | None:
    """Return the stamp of a piece (16, 16) of lowest bits; None where there is none."""
    for found in np.packbits(piece.ravel()[_SHIFTS], axis=1):
        data = found.tobytes()
        if data.startswith(MAGIC) and zlib.crc32(data[BODY]).to_bytes(4, "little") == data[CHECK]:
            return Stamp(int.from_bytes(data[4:12], "little"), int.from_bytes(data[12:20], "little"))
    return None
