"""Which frames of the source make up a window, so that the network sees the motion it was trained on."""

from typing import Literal

TOLERANCE = 0.15
"""Share by which the window's frame rate may differ from the model's before people are told."""


def window_stride(setting: int | Literal["auto"], source_fps: float, model_fps: float | None) -> int:
    """Return every how many frames one enters a window.

    "auto" takes the whole number that brings ``source_fps`` / stride nearest to ``model_fps`` (1/s, as a ratio).
    """
    if setting != "auto":
        return setting
    if model_fps is None:
        return 1
    below = max(1, int(source_fps / model_fps))
    # Nearest as a ratio: 1.5 times too fast is as wrong as 1.5 times too slow.
    return below if source_fps / below / model_fps < model_fps * (below + 1) / source_fps else below + 1


def differs(window_fps: float, model_fps: float | None) -> bool:
    """Return whether the windows' frame rate is so far from the model's that motion looks different to it."""
    return model_fps is not None and abs(window_fps / model_fps - 1) > TOLERANCE
