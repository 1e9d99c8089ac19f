"""The rolling window of one sperm: the crops that the network will see, complete or nothing.

A window is T crops of S x S px, one every ``stride`` frames of the source. It never spans a hole: a lost frame, a frame
in which the sperm was not locked or a frame of another exposure setting empties it, and it counts from the start again.
Where only one in k frames comes, every (stride / k)-th of those enters it; another k empties it. A crop that reaches
over the frame's edge is filled with the mean of the frame's edge pixels and the window says so.

This module knows pixels and numbers; it does not know how the position was found.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from station.crop import crop_into
from station.errors import InputError


@dataclass(frozen=True, slots=True)
class WindowShape:
    """What the network wants, resolved: ``frames`` crops of ``size`` px, every ``stride``-th frame."""

    frames: int = 16
    size: int = 150
    stride: int = 1
    spread: bool = False
    """Live: the windows of several sperm take their crops from frames of different phases (number modulo stride).

    Windows that became complete with the same frame would wait for each other at the network.
    """

    def __post_init__(self) -> None:
        """Raise InputError for a window that cannot be."""
        if min(self.frames, self.size, self.stride) < 1:
            raise InputError(
                "window: expected frames, size and stride of at least 1, got"
                f" {self.frames}, {self.size}, {self.stride}; fix [window]"
            )


def free_phase(taken: Iterable[int | None], stride: int) -> int:
    """Return the phase, from 0 to ``stride`` - 1, that the fewest of the windows have whose phases are ``taken``."""
    counts = Counter(taken)
    return min(range(stride), key=lambda phase: counts[phase])


class RollingWindow:
    """The last T crops of one sperm, kept so that a complete window is one contiguous view.

    The buffer holds 2 T crops. Crops are appended; when the end is reached the newest T - 1 move to the start, so that
    a frame costs one crop written and, on average, less than one moved, and handing out a window costs nothing.
    """

    def __init__(self, shape: WindowShape, phase: int | None = None) -> None:
        """Allocate the buffer: 2 T x S x S bytes.

        Crops are taken of frames whose number is ``phase`` modulo stride; None: beginning with the first frame.
        """
        self._shape = shape
        self.phase = phase
        self._first = phase
        self._pixels = np.empty((2 * shape.frames, shape.size, shape.size), np.uint8)
        self._end = 0
        self._seqs: list[int] = []
        self._times_ns: list[int] = []
        self._padded: list[bool] = []
        self._exposure_id = -1
        self._last_seq = -1
        self._thinned = (1, 1)

    @property
    def filled(self) -> int:
        """Frames in the window so far, at most T."""
        return len(self._seqs)

    @property
    def frame_seqs(self) -> tuple[int, ...]:
        """(filled,) frame numbers, oldest first."""
        return tuple(self._seqs)

    @property
    def t_source_ns(self) -> tuple[int, ...]:
        """(filled,) source times, oldest first."""
        return tuple(self._times_ns)

    @property
    def padded(self) -> bool:
        """True where at least one crop in the window reached over the frame's edge."""
        return any(self._padded)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(filled, S, S) view of the crops, oldest first; valid until the next ``add`` or ``clear``."""
        return self._pixels[self._end - len(self._seqs) : self._end]

    def clear(self) -> None:
        """Empty the window: what was seen so far does not count."""
        self._end = 0
        self._first = self.phase
        self._seqs.clear()
        self._times_ns.clear()
        self._padded.clear()
        self._last_seq = -1

    def add(
        self,
        frame: NDArray[np.uint8],
        x: float,
        y: float,
        *,
        frame_seq: int,
        t_source_ns: int,
        exposure_id: int,
        every: int = 1,
        of_sent: int = 1,
    ) -> bool:
        """Take the next frame's crop round (x, y). Return True where a complete window ends with this frame.

        A frame number that does not follow the last one, or another ``exposure_id``, empties the window first. So does
        another thinning: one in ``every`` frames of the source comes, and numbers are ``of_sent`` apart. Where that
        does not divide the stride, crops could not be a stride apart, and the window stays empty.
        """
        follows = frame_seq == self._last_seq + of_sent and (every, of_sent) == self._thinned
        if self._last_seq >= 0 and not (follows and exposure_id == self._exposure_id):
            self.clear()
        self._last_seq, self._exposure_id, self._thinned = frame_seq, exposure_id, (every, of_sent)
        number = frame_seq // of_sent
        if self._first is None:
            self._first = number
        if self._shape.stride % every or (number - self._first) % (self._shape.stride // every):
            return False
        keep = self._shape.frames - 1
        if self._end == len(self._pixels):
            self._pixels[:keep] = self._pixels[self._end - keep : self._end]
            self._end = keep
        padded = crop_into(self._pixels[self._end], frame, x, y)
        self._end += 1
        self._seqs.append(frame_seq)
        self._times_ns.append(t_source_ns)
        self._padded.append(padded)
        if len(self._seqs) > self._shape.frames:
            del self._seqs[0], self._times_ns[0], self._padded[0]
        return len(self._seqs) == self._shape.frames
