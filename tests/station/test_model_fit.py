"""Whether a model suits a source: scale and frame rate, what is refused, and what is said."""

import pytest

from station.errors import InputError
from station.model_fit import model_doubts, require_fit
from station.transport.control_messages import ModelInfo, SourceInfo
from station.transport.messages import ModelDoubt


def model(um_per_px: float | None = 0.25, fps: float | None = 15.0, *, demonstration: bool = False) -> ModelInfo:
    return ModelInfo(
        name="m", sha256="", runtime="r", demonstration=demonstration, um_per_px=um_per_px, fps=fps
    )  # fmt: skip


def source(um_per_px: float | None, fps: float) -> SourceInfo:
    return SourceInfo(name="s", height=10, width=10, fps=fps, um_per_px=um_per_px)


@pytest.mark.parametrize(
    ("um_per_px", "window_fps", "expected"),
    [
        (0.25, 15.0, []),
        (0.29, 17.0, []),
        (0.31, 15.0, [ModelDoubt.SCALE]),
        (0.19, 15.0, [ModelDoubt.SCALE]),
        (None, 15.0, [ModelDoubt.SCALE_UNKNOWN]),
        (0.25, 18.0, [ModelDoubt.RATE]),
        (0.5, 5.0, [ModelDoubt.SCALE, ModelDoubt.RATE]),
    ],
)
def test_doubts(um_per_px: float | None, window_fps: float, expected: list[ModelDoubt]) -> None:
    assert model_doubts(model(), um_per_px, window_fps) == expected
    assert model_doubts(model(None, None), um_per_px, window_fps) == []


def test_what_does_not_suit_is_refused_in_one_line_that_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"0\.25 um/px, the source has 0\.5 .* 15 frames/s, windows have 25 ") as found:
        require_fit(model(), source(0.5, 50.0), 2, forced=False)
    assert "--force-model" in str(found.value)
    assert "\n" not in str(found.value)


def test_what_is_not_refused() -> None:
    require_fit(model(), source(0.25, 45.0), 3, forced=False)
    require_fit(model(), source(None, 15.0), 1, forced=False)
    require_fit(model(), source(0.5, 50.0), 2, forced=True)
    require_fit(model(demonstration=True), source(0.5, 50.0), 2, forced=False)
