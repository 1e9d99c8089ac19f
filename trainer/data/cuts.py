"""What is cut from a video: the settings, the clips, and the outcome of every tag. It does not know how it is done."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from station.config import TrackerSettings
from station.transport.control_messages import SourceInfo
from trainer.data.tags import Tag


@dataclass(frozen=True, slots=True)
class CutSettings:
    """How windows are chosen and cut."""

    stride: int | Literal["auto", "uniform"] = "auto"
    """Every how many frames one is taken; "auto": nearest to ``rate``; "uniform": 16 frames spread over the video."""
    rate: float = 15.0
    """Frames a second that the clips should have, for "auto"."""
    windows: int | None = 1
    """Most windows of one sperm, None: all; the first complete one, and those that follow without sharing a frame."""
    whole: bool = False
    """Leave out windows of which a crop reaches over the frame's edge."""
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    fps: float | None = None
    """Frame rate to go by instead of the video's own, 1/s."""
    bits: int | None = None
    """Bits that pictures of more than 8 bits really use."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One clip and where it comes from."""

    tag: Tag
    pixels: NDArray[np.uint8]
    """(T, H, W)"""
    frames: tuple[int, ...]
    """(T,) numbers of the video's frames, from 0."""
    t_ns: tuple[int, ...]
    """(T,) the frames' times in the video."""
    places: tuple[tuple[float, float], ...]
    """(T,) where the head was, (x, y) in px of the full frame."""
    padded: bool


@dataclass(slots=True)
class TagOutcome:
    """What became of one tagged sperm."""

    tag: Tag
    clips: int = 0
    last_cut: int = -1
    """Last frame of its last clip."""
    locked_frames: int = 0
    last_locked: int | None = None
    reason: str = ""
    """Why it gave no clip, or no more; empty where it gave all that were asked for."""


@dataclass(frozen=True, slots=True)
class VideoCuts:
    """What one video gave."""

    info: SourceInfo
    frames: int
    """Frames read and missing, up to the last one read."""
    stride: int
    head_px: float
    """Head size that the tracker measured or was given."""
    cuts: tuple[Cut, ...]
    outcomes: tuple[TagOutcome, ...]
    problems: tuple[str, ...]
    """Tags that cannot be used."""
    notices: tuple[str, ...]
    """What people should know about the file: how it was read, and what could not be."""
    damage: tuple[str, ...] = ()
    """Those of the notices that tell of frames that are missing or could not be read."""

    @property
    def fps(self) -> float:
        """Frames a second of the clips."""
        return self.info.fps / self.stride
