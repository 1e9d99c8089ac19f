"""Which frames make up a window."""

import pytest

from station.stride import differs, window_stride

CASES = {
    "same rate": ("auto", 15.0, 15.0, 1),
    "twice": ("auto", 30.0, 15.0, 2),
    "VISEM clips": ("auto", 49.0, 15.0, 3),
    "nearest as a ratio, down": ("auto", 21.0, 15.0, 1),
    "nearest as a ratio, up": ("auto", 22.0, 15.0, 2),
    "slower than the model": ("auto", 10.0, 15.0, 1),
    "fast camera": ("auto", 160.0, 15.0, 11),
    "model for any rate": ("auto", 49.0, None, 1),
    "set by hand": (5, 49.0, 15.0, 5),
}


@pytest.mark.parametrize("name", CASES)
def test_stride(name: str) -> None:
    setting, source_fps, model_fps, expected = CASES[name]
    assert window_stride(setting, source_fps, model_fps) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("window_fps", "model_fps", "expected"),
    [(49 / 3, 15.0, False), (16.3, None, False), (10.0, 15.0, True), (20.0, 15.0, True)],
)
def test_a_rate_that_does_not_fit_is_noticed(window_fps: float, model_fps: float | None, expected: bool) -> None:
    assert differs(window_fps, model_fps) is expected
