"""What the tracker answers for one frame. Plain values; nothing here knows how they were found."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from station.transport.messages import Measured, TrackState


@dataclass(frozen=True, slots=True)
class TrackResult:
    """One selected sperm in one frame. Positions in px of the full frame, always inside it."""

    sperm_id: int
    x: float
    y: float
    state: TrackState
    score: float
    """How well the position is supported, 0 to 1."""
    reason: str
    """Why it is not locked, in a few words; empty where it is."""
    filled: int
    """Frames in the window so far."""


@dataclass(frozen=True, slots=True)
class WindowResult:
    """A complete window of locked frames that ends with this frame."""

    sperm_id: int
    x: float
    y: float
    frame_seqs: tuple[int, ...]
    """(T,) frame numbers, oldest first."""
    t_source_ns: tuple[int, ...]
    """(T,) source times of those frames."""
    padded: bool
    """True where a crop reached over the frame's edge."""
    measured: Measured
    """What was measured in these frames and those between."""
    pixels: NDArray[np.uint8]
    """(T, H, W), a view of the rolling buffer: valid until the next ``update``; copy it to keep it longer."""


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Everything the tracker says about one frame."""

    tracks: tuple[TrackResult, ...]
    windows: tuple[WindowResult, ...]
    disturbance: str
    """What disturbs the whole field at this frame, in a few words; else empty."""
    cautions: tuple[str, ...] = ()
    """What is wrong with the pictures, one sentence each."""
    candidates: tuple[tuple[float, float], ...] | None = None
    """Heads that nobody follows, the most promising first; None where nobody asked for them."""
