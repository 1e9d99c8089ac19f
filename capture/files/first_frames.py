"""What the first frames reveal about a file: frames too dark to be graded, or interlaced frames.

Grades of either would mean little, so a caution names the cure. Dark: most often 10, 12 or 14 bits stored in 16, of
which the upper 8 are nearly black. Interlaced: odd and even rows were exposed at different times, so moving sperm show
comb edges. No pixel is changed. This module knows arrays, no format.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

FIRST: Final = 16
"""Frames that are looked at."""
DARK_LEVELS: Final = 32
"""Of 256: an eighth of the range. Frames whose brightest parts stay below it are dark."""
BRIGHTEST: Final = 0.999
"""Quantile that counts as "the brightest parts", so that a hot pixel does not count."""
UNUSED_BITS: Final = 2
"""This many unused upper bits in a 16-bit file mean that it holds a camera's fewer bits."""
CAMERA_BITS: Final = (8, 10, 12, 14, 16)
MOVED: Final = 24
"""Grey levels by which a pixel changes from frame to frame where something moves; noise stays below."""
LEAST_MOVED: Final = 150
"""Pixels that must have moved for a frame to be judged."""
LEAST_JUDGED: Final = 3
"""Frames that must have been judged."""
COMBED: Final = 1.04
"""Where something moves in woven frames, neighbouring rows differ at least this many times as much as rows two apart.
Measured medians: whole frames 0.56 to 0.95, pure noise 1.00, woven frames of VISEM and the simulator 1.08 to 2.3."""


class FirstFrames:
    """Looks at the first frames of a file. ``name``: as shown to people."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._level = 0
        self._largest = 0
        self._stored_bits = 8
        self._bits = 8
        self._before: NDArray[np.uint8] | None = None
        self._combs: list[float] = []
        self._combed = False
        self._flagged = False

    def look(
        self, values: NDArray[np.uint8] | NDArray[np.uint16], pixels: NDArray[np.uint8], stored_bits: int, bits: int
    ) -> None:
        """Look at a frame, if it is one of the first.

        Args:
            values: (H, W), grey as stored.
            pixels: (H, W), the frame that is made of it; kept until the next one.
            stored_bits: Bits that the file has for each value.
            bits: Bits that are taken to be in use.
        """
        if self._count == FIRST:
            return
        self._count += 1
        self._level = max(self._level, brightest_level(pixels))
        self._largest = max(self._largest, int(values.max()))
        self._stored_bits, self._bits = stored_bits, bits
        if self._before is not None and (comb := combing(self._before, pixels)) is not None:
            self._combs.append(comb)
            self._combed = len(self._combs) >= LEAST_JUDGED and float(np.median(self._combs)) > COMBED
        self._before = pixels if self._count < FIRST else None

    def flag_interlaced(self) -> None:
        """Note that the file marks a frame as interlaced."""
        self._flagged = True

    @property
    def cautions(self) -> tuple[str, ...]:
        """What people should know, one line each."""
        lines = (self._darkness(), self._interlacing())
        return tuple(f"{self._name} {line}" for line in lines if line)

    def _darkness(self) -> str:
        if not self._count:
            return ""
        used = self._largest.bit_length()
        fewer = self._stored_bits == self._bits == 16 and used <= self._bits - UNUSED_BITS
        if self._level >= DARK_LEVELS and not fewer:
            return ""
        bits = next(depth for depth in CAMERA_BITS if depth >= used)
        if fewer or (self._stored_bits == 16 and bits < self._bits):
            return (
                f"is dark: its first frames use {used} of {self._bits} bits; if the camera has {bits} bits, "
                f"set [source] bits = {bits}"
            )
        return (
            f"is dark: its first frames use {self._level + 1} of 256 grey levels; grades of such frames mean little: "
            "record it again with more light, exposure or gain"
        )

    def _interlacing(self) -> str:
        if not self._flagged and not self._combed:
            return ""
        how = "is marked as interlaced" if self._flagged else "looks interlaced"
        return (
            f"{how}: odd and even rows show different moments, so moving sperm are torn; record progressive frames, or "
            "deinterlace the file first (such as: ffmpeg -i IN -vf bwdif=send_frame -c:v ffv1 OUT.mkv)"
        )


def is_dark(pixels: NDArray[np.uint8]) -> bool:
    """Return whether the brightest parts of frames, uint8 of any shape, stay below an eighth of the range."""
    return brightest_level(pixels) < DARK_LEVELS


def brightest_level(pixels: NDArray[np.uint8]) -> int:
    """Return the grey level below which all but the brightest thousandth of the pixels lie; any shape."""
    counts = np.cumsum(np.bincount(pixels.reshape(-1), minlength=256))
    return int(np.searchsorted(counts, BRIGHTEST * counts[-1]))


def combing(before: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> float | None:
    """Return how much more neighbouring rows differ than rows two apart, where two (H, W) frames differ.

    None where too little moves. In a whole frame rows differ the more the farther apart they are; in two woven half
    frames, rows two apart are of one moment and neighbouring ones are not.
    """
    if before.shape != pixels.shape or len(pixels) < 4:
        return None
    frame = pixels[:, ::2].astype(np.int16)
    moved = np.abs(frame - before[:, ::2]) > MOVED
    where = moved[:-2]
    if np.count_nonzero(where) < LEAST_MOVED:
        return None
    next_row = np.abs(frame[:-2] - frame[1:-1])[where].sum(dtype=np.int64)
    second_row = np.abs(frame[:-2] - frame[2:])[where].sum(dtype=np.int64)
    return float(next_row / max(1, second_row))
