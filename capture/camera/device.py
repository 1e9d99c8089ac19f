"""What the camera source needs from a vendor's camera: buffers in order, the camera's time, an error when it is lost.

Only the interface; ``capture.camera.basler`` implements it.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from capture.source import ExposureChange
from station.transport.control_messages import SourceInfo


@dataclass(frozen=True, slots=True)
class Grab:
    """One buffer as it came from the camera."""

    pixels: NDArray[np.uint8] | None
    """(H, W) uint8, in memory of its own; None: the buffer arrived incomplete."""
    frame_id: int | None = None
    """The camera's own count, increasing by 1 per exposed frame; None if it does not count."""
    camera_ns: int | None = None
    """The camera's time at the start of the exposure; None if it has no clock."""
    exposure_us: float | None = None
    """Exposure of this very frame; None if the camera does not send it."""
    gain: float | None = None
    """Its gain, in the camera's own unit."""


class DeviceLostError(Exception):
    """The camera no longer responds. Raised by a Device, handled by ``Camera``; the message is for people."""


class Device(Protocol):
    """An open camera that is grabbing. Used by one thread at a time."""

    info: SourceInfo
    """With the settings as the camera accepted them."""
    notices: tuple[str, ...]
    exposure_ns: int
    triggered: bool
    """True if frames come on an external signal: silence is then not a fault of the camera."""

    def grab(self, timeout_s: float) -> Grab | None:
        """Return the next buffer in order, None if none came in time. Raises DeviceLostError."""
        ...

    def adjust(self, change: ExposureChange) -> None:
        """Take another exposure, gain or trigger from now on; ``info`` then has what was accepted.

        Raises InputError if the camera cannot, with what it can: nothing has changed then. Raises DeviceLostError.
        """
        ...

    def latch(self) -> tuple[int, int] | None:
        """Return the camera's and the station's time at one moment, ns; None if the camera has no latch."""
        ...

    def close(self) -> None:
        """Release the camera; may be called more than once, and after it was lost."""
        ...
