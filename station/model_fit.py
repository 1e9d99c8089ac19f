"""Whether a model suits a source: the scale and the frame rate that it was made for, against those of its windows.

A model that does not suit is refused at the start, and a scale that does not suit when it is set; where the user forces
it, every grade says so. A demonstration model is not refused: its grades say of themselves that they mean nothing. This
module compares numbers; it knows neither processes nor screens.
"""

from typing import Final

from station.errors import InputError
from station.stride import TOLERANCE as RATE_TOLERANCE
from station.stride import differs
from station.transport.control_messages import ModelInfo, SourceInfo
from station.transport.messages import ModelDoubt

SCALE_TOLERANCE: Final = 0.2
"""Relative difference of um/px between source and model above which the grades are in doubt."""


def model_doubts(model: ModelInfo, um_per_px: float | None, window_fps: float) -> list[ModelDoubt]:
    """Return why a model's grades may be wrong for a source of this scale, whose windows have this frame rate."""
    doubts = []
    if model.um_per_px is not None:
        if um_per_px is None:
            doubts.append(ModelDoubt.SCALE_UNKNOWN)
        elif abs(um_per_px / model.um_per_px - 1.0) > SCALE_TOLERANCE:
            doubts.append(ModelDoubt.SCALE)
    if differs(window_fps, model.fps):
        doubts.append(ModelDoubt.RATE)
    return doubts


def require_fit(model: ModelInfo, source: SourceInfo, stride: int, *, forced: bool) -> None:
    """Raise InputError where a model was made for another scale or frame rate, unless that is forced."""
    if forced or model.demonstration:
        return
    window_fps = source.fps / stride
    found = model_doubts(model, source.um_per_px, window_fps)
    wrong = []
    if ModelDoubt.SCALE in found:
        wrong.append(
            f"made for {model.um_per_px:.3g} um/px, the source has {source.um_per_px:.3g} "
            f"(at most {SCALE_TOLERANCE:.0%} apart)"
        )
    if ModelDoubt.RATE in found:
        wrong.append(
            f"made for {model.fps:.3g} frames/s, windows have {window_fps:.3g} (at most {RATE_TOLERANCE:.0%} apart)"
        )
    if wrong:
        raise InputError(
            f"model {model.name}: {'; '.join(wrong)}. Give a model that suits, or correct [source]; with --force-model "
            "it grades all the same, and every grade says so"
        )
