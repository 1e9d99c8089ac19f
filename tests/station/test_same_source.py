"""A source that was opened again: the same, or refused in one line."""

from typing import Any

import pytest

from station.errors import InputError
from station.same_source import require_same
from station.transport.control_messages import SourceInfo

BEFORE = SourceInfo(name="camera", width=640, height=480, fps=60.0, um_per_px=0.25)


@pytest.mark.parametrize(
    "more", [{}, {"fps": 58.9}, {"um_per_px": 0.2501}, {"name": "another", "settings": {"a": "b"}}]
)
def test_the_same_source_goes_on(more: dict[str, Any]) -> None:
    require_same(BEFORE, BEFORE.model_copy(update=more), "the camera")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"um_per_px": 0.5}, "0.5 um/px instead of 0.25 um/px"),
        ({"um_per_px": None}, "an unknown scale instead of 0.25 um/px"),
        ({"fps": 30.0}, "30 frames/s instead of 60"),
        ({"width": 480, "height": 640}, "480 x 640 px instead of 640 x 480"),
        ({"fps": 200.0, "um_per_px": 0.1}, "0.1 um/px instead of 0.25 um/px, 200 frames/s instead of 60"),
    ],
)
def test_another_size_scale_or_rate_is_refused(more: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        require_same(BEFORE, BEFORE.model_copy(update=more), "the camera")
    assert str(error.value) == f"the camera was started again with {said}: start this station again"
