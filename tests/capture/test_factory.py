"""Which source a configuration opens."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from capture.factory import open_source
from station.config import build_config
from station.errors import InputError


def test_the_simulated_microscope_is_the_default():
    config = build_config({"simulated": {"width": 200, "height": 100, "sperm": 1, "debris": 2, "fps": 30}}, "test")
    with open_source(config) as source:
        assert (source.info.name, source.info.width, source.info.height) == ("simulated microscope", 200, 100)
        frame = source.read()
        assert frame is not None
        assert frame.pixels.shape == (100, 200)


def test_a_folder_opens_as_images_with_its_settings(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 30), np.uint8))
    config = build_config({"source": {"kind": str(tmp_path), "fps": 7.0, "um_per_px": 0.4}}, "test")
    with open_source(config) as source:
        assert (source.info.fps, source.info.um_per_px, source.info.width) == (7.0, 0.4, 30)


def test_a_file_opens_as_video(tmp_path: Path):
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    with open_source(build_config({"source": {"kind": str(path)}}, "test")) as source:
        assert (source.info.width, source.info.height, source.info.fps) == (64, 48, 25.0)


def test_a_missing_path_is_refused_in_one_line(tmp_path: Path):
    config = build_config({"source": {"kind": str(tmp_path / "nowhere.mp4")}}, "test")
    with pytest.raises(InputError, match=r"nowhere\.mp4.*no such file or folder; give 'simulated'") as error:
        open_source(config)
    assert "\n" not in str(error.value)


def test_a_recorded_session_without_its_prefix_is_recognised(tmp_path: Path):
    (tmp_path / "log.jsonl").write_text("")
    with pytest.raises(InputError, match=f"is a recorded session; to replay it give --source replay:{tmp_path}"):
        open_source(build_config({"source": {"kind": str(tmp_path)}}, "test"))
