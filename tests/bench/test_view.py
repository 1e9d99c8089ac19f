import json

import pytest

import bench.__main__ as program
from tests.support.browser import chromium


@pytest.mark.slow
def test_exposure_to_screen_is_measured_by_the_number_in_the_picture(capsys: pytest.CaptureFixture[str]) -> None:
    chromium()
    options = ["--fps", "15", "--seconds", "2", "--turns", "1", "--width", "480", "--height", "360", "--sperm", "2"]
    assert program.main(["view", *options]) == 0, "1: an overlay was of another frame than its picture"
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    shown = found["timings"]["15 frames/s: exposure to screen"]
    assert shown["count"] > 5
    assert 0 < shown["p50"] < 2000
    assert 0 < found["figures"]["15 frames/s: server"]["value"] < 1
