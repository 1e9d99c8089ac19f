"""Whether a source that was opened again, here or at another machine, is the one that the run began with.

Windows, speeds and the model's fit rest on size, scale and rate: with others a run must not go on. It compares what
sources say of themselves; it measures nothing.
"""

from typing import Final

from station.errors import InputError
from station.transport.control_messages import SourceInfo

SCALE_TOLERANCE: Final = 0.01
RATE_TOLERANCE: Final = 0.05
"""A camera's rate depends a little on its exposure, and a film's is measured."""


def require_same(before: SourceInfo, now: SourceInfo, name: str) -> None:
    """Raise InputError where size, scale or rate are others than ``before``; ``name``: of the source, for people."""
    others = []
    if (now.width, now.height) != (before.width, before.height):
        others.append(f"{now.width} x {now.height} px instead of {before.width} x {before.height}")
    if _apart(now.um_per_px, before.um_per_px, SCALE_TOLERANCE):
        others.append(f"{_scale(now)} instead of {_scale(before)}")
    if _apart(now.fps, before.fps, RATE_TOLERANCE):
        others.append(f"{now.fps:.4g} frames/s instead of {before.fps:.4g}")
    if others:
        raise InputError(f"{name} was started again with {', '.join(others)}: start this station again")


def _apart(now: float | None, before: float | None, tolerance: float) -> bool:
    if now is None or before is None:
        return now is not before
    return abs(now - before) > tolerance * before


def _scale(info: SourceInfo) -> str:
    return "an unknown scale" if info.um_per_px is None else f"{info.um_per_px:.4g} um/px"
