"""Which frames make up a window."""

import pytest

from station.stride import mismatch, window_stride

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


def test_people_are_told_of_a_rate_that_does_not_fit() -> None:
    assert mismatch(49.0, 3, 15.0) == ""
    assert mismatch(49.0, 3, None) == ""
    assert "10.0 frames/s" in mismatch(10.0, 1, 15.0)
