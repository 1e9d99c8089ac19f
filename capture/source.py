"""The Source protocol: where frames come from, whatever it is.

A source knows frames and their times; it knows nothing of sockets, trackers or the pace at which it is read. The
capture stage paces file-like sources itself (``live``) and lets cameras pace themselves.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from station.messages import SourceInfo


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as a source hands it over.

    ``pixels`` is (H, W) uint8, C-contiguous, memory of its own that the source does not write to again: it is sent
    without a copy.
    """

    pixels: NDArray[np.uint8]
    t_source_ns: int
    """Time on the source's own axis, from 0 at its first frame, rising strictly."""
    t_exposure_ns: int | None = None
    """End of exposure on the station clock where the source knows it (a camera); else the capture stage stamps it."""
    lost_before: int = 0
    """Frames the source knows to have lost just before this one."""
    exposure_id: int = 0


class Source(Protocol):
    """A context manager that hands out frames in order."""

    @property
    def info(self) -> SourceInfo:
        """What the source is; known from the moment it is open."""
        ...

    def read(self) -> Frame | None:
        """Return the next frame, or None at the end. Raises InputError where the input breaks."""
        ...

    def close(self) -> None:
        """Give the source back; may be called more than once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
