"""The Source protocol: where frames come from, whatever it is.

A source knows frames and their times; it knows nothing of sockets, trackers or the pace at which it is read. The
capture stage paces file-like sources itself (``live``) and lets cameras pace themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from station.transport.messages import SourceInfo


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
    exposure_us: float | None = None
    """Exposure of this very frame, and its gain, where the camera sends them along with the pixels."""
    gain: float | None = None
    seq: int | None = None
    """Number that the frame had when it was recorded (a replay); else None, and the capture stage counts."""
    dropped_before: int = 0
    """Recorded frames just before this one that are left out because the tracker had dropped them."""


class Pending(Enum):
    """What a source that waits for the outside world answers instead of a frame."""

    NOTHING_YET = "nothing yet"
    """No frame came within ``LONGEST_READ_S``: beat and ask again."""


LONGEST_READ_S = 0.05
"""How long a ``read`` may wait for the outside world before it answers NOTHING_YET."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How a source is doing, beyond its frames."""

    notices: tuple[str, ...] = ()
    """What people should know: "the file breaks off after frame 231", "camera gone since 12 s"."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Counts since the start that only this kind of source has, by name: "incomplete", "reconnects"."""
    clock_error_ms: float | None = None
    """How well the camera's clock is known on the station clock; None where there is no such clock, or not yet."""


class Source(Protocol):
    """A context manager that hands out frames in order."""

    @property
    def info(self) -> SourceInfo:
        """What the source is; known from the moment it is open. A camera's settings may change when it comes back."""
        ...

    @property
    def condition(self) -> Condition:
        """How it is doing now; cheap, asked after every read."""
        ...

    def read(self) -> Frame | Literal[Pending.NOTHING_YET] | None:
        """Return the next frame, NOTHING_YET, or None at the end. Raises InputError where the input is of no use.

        Only sources that wait for the outside world (cameras) answer NOTHING_YET.
        """
        ...

    def close(self) -> None:
        """Give the source back; may be called more than once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
