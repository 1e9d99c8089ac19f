"""The Source protocol: anything that frames come from.

A source knows frames and their times; it knows nothing of sockets, trackers or the pace at which it is read. The
capture process paces file-like sources (``live``) and lets cameras pace themselves.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from station.errors import InputError
from station.transport.control_messages import SourceInfo
from station.validation import explain


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as a source hands it over.

    ``pixels`` is (H, W) uint8, C-contiguous, in memory that the source never writes to again: it is sent without a
    copy.
    """

    pixels: NDArray[np.uint8]
    t_source_ns: int
    """Time on the source's own axis, 0 at its first frame, strictly increasing."""
    t_exposure_ns: int | None = None
    """End of exposure on the station clock if the source knows it (a camera); else the capture process stamps it."""
    lost_before: int = 0
    """Frames known to be lost immediately before this one."""
    exposure_id: int = 0
    exposure_us: float | None = None
    """Exposure and gain of this very frame, if the camera sends them with the pixels."""
    gain: float | None = None
    seq: int | None = None
    """Recorded number of the frame (in a replay); else None, and the capture process counts."""
    dropped_before: int = 0
    """Recorded frames just before this one that are left out because the tracker dropped them live."""
    every: int = 1
    """One in so many frames of the source is handed over, at even distances."""
    arrived_ns: int | None = None
    """When it came over a network, station clock; None: it was here when it was exposed."""


class Pending(Enum):
    """What a source that waits for the outside world returns instead of a frame."""

    NOTHING_YET = "nothing yet"
    """No frame came within ``LONGEST_READ_S``: send a heartbeat and ask again."""


LONGEST_READ_S = 0.05
"""How long ``read`` may wait for the outside world before it returns NOTHING_YET."""


@dataclass(frozen=True, slots=True)
class CameraFaults:
    """What a camera has done wrong since the start, counted."""

    incomplete: int = 0
    """Buffers that came with holes."""
    overrun: int = 0
    """Frames that nobody fetched in time."""
    reconnects: int = 0


@dataclass(frozen=True, slots=True)
class ExposureChange:
    """What a camera is asked to take from now on; None: as it is."""

    exposure_us: float | None = None
    gain: float | None = None
    """In the camera's own unit."""
    trigger: str | None = None
    """"off", or the line whose signals each expose one frame: as in the configuration."""


Report = Callable[[bool, str], None]
"""Is told, from any thread, whether a change was made, and what the camera accepted or why not."""


@runtime_checkable
class Adjustable(Protocol):
    """A source whose exposure can be changed while it runs."""

    def adjust(self, change: ExposureChange, report: Report) -> None:
        """Ask for a change; ``report`` is called once, as soon as the camera has answered."""
        ...


@runtime_checkable
class Skipping(Protocol):
    """A source that can leave frames out without making them."""

    def skip_to(self, t_source_ns: int) -> int:
        """Go on with the first frame at or after that time; return how many are left out. Never goes back."""
        ...


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of a source, beyond its frames."""

    notices: tuple[str, ...] = ()
    """What people should know: "a.avi ends early after frame 231", "camera lost; looking for it"."""
    faults: CameraFaults | None = None
    """What a camera has done wrong since the start; None for any other source."""
    fps_assumed: bool = False
    """Nobody states the frame rate; a notice says which is assumed."""
    damage: tuple[str, ...] = ()
    """Those of the notices that tell of frames that are missing or cannot be read; the others are cautions."""
    clock_error_ms: float | None = None
    """How well the camera's clock is known on the station clock; None without such a clock, or not yet."""
    lost: int = 0
    """Frames that have been lost since the last one that was handed over."""


class Source(Protocol):
    """A context manager that hands out frames in order."""

    @property
    def info(self) -> SourceInfo:
        """What the source is; known once it is open. A camera's settings may change when it reconnects."""
        ...

    @property
    def condition(self) -> Condition:
        """Its current state; cheap, queried after every read."""
        ...

    def read(self) -> Frame | Literal[Pending.NOTHING_YET] | None:
        """Return the next frame, NOTHING_YET, or None at the end. Raises InputError if the input is unusable.

        Only sources that wait for the outside world (cameras) return NOTHING_YET.
        """
        ...

    def close(self) -> None:
        """Release the source; may be called more than once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


@contextmanager
def possible_source(kind: str) -> Iterator[None]:
    """Open a source inside; one that states what no source has, such as a frame rate of 1e30, is an InputError."""
    try:
        yield
    except ValidationError as error:
        raise InputError(f"source {kind}: {explain(error, SourceInfo)}; give its own with [source]") from error
