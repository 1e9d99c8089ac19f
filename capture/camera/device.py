"""What the camera source needs of a vendor's camera: buffers in order, the camera's time, and an error when it is gone.

A contract alone; ``capture.camera.basler`` fulfils it.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from station.transport.messages import SourceInfo


@dataclass(frozen=True, slots=True)
class Grab:
    """One buffer as it came from the camera."""

    pixels: NDArray[np.uint8] | None
    """(H, W) uint8, memory of its own; None: the buffer arrived incomplete."""
    frame_id: int | None = None
    """The camera's own count, rising by 1 per frame exposed; None where it does not count."""
    camera_ns: int | None = None
    """The camera's time at the start of the exposure; None where it has no clock."""
    exposure_us: float | None = None
    """Exposure of this very frame; None where the camera does not send it along."""
    gain: float | None = None
    """Its gain likewise, in the camera's own unit."""


class DeviceLostError(Exception):
    """The camera does not answer any more. Raised by a Device, caught here; the message is for people."""


class Device(Protocol):
    """An open camera that is grabbing. Used by one thread at a time."""

    info: SourceInfo
    """With the settings as the camera accepted them."""
    notices: tuple[str, ...]
    exposure_ns: int
    triggered: bool
    """True where frames come when an outside signal says so: silence is then no fault."""

    def grab(self, timeout_s: float) -> Grab | None:
        """Return the next buffer in order, None where none came in time. Raises DeviceLostError."""
        ...

    def latch(self) -> tuple[int, int] | None:
        """Return the camera's time and the station's at one moment, ns; None where the camera cannot be asked."""
        ...

    def close(self) -> None:
        """Give the camera back; may be called more than once, and after it vanished."""
        ...
