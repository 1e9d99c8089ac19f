"""What a frame rate and a scale can be at a microscope: anything outside is a mistake, wherever it stands.

Types for messages and settings, and the same question for numbers from tables and command lines.
"""

from typing import Annotated, Final

from pydantic import Field

MIN_FPS: Final = 0.001
MAX_FPS: Final = 100_000.0
MIN_UM_PER_PX: Final = 0.001
MAX_UM_PER_PX: Final = 1000.0

FrameRate = Annotated[float, Field(ge=MIN_FPS, le=MAX_FPS)]
"""1/s."""
Scale = Annotated[float, Field(ge=MIN_UM_PER_PX, le=MAX_UM_PER_PX)]
"""Micrometres per px."""


def is_frame_rate(fps: float) -> bool:
    """Return whether a number can be a frame rate, 1/s."""
    return MIN_FPS <= fps <= MAX_FPS


def is_scale(um_per_px: float) -> bool:
    """Return whether a number can be a scale, um/px."""
    return MIN_UM_PER_PX <= um_per_px <= MAX_UM_PER_PX
