"""Sources that are no files, or state what no source has: one line, and never a wait."""

import contextlib
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from capture.files.file_source import open_file
from station.errors import InputError

POSIX = pytest.mark.skipif(os.name == "nt", reason="there are no such files")


@POSIX
@pytest.mark.parametrize("name", ["a.mp4", "a.tif", "a"])
def test_a_pipe_is_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="it is a pipe, not a file"):
        open_file(tmp_path / name)


@POSIX
def test_a_device_is_refused() -> None:
    with pytest.raises(InputError, match="it is a device, not a file"):
        open_file(Path("/dev/zero"))


@POSIX
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_pipes_among_images_are_counted_as_unreadable(tmp_path: Path, ending: str) -> None:
    for name in ("1", "3"):
        cv2.imwrite(str(tmp_path / f"{name}.{ending}"), np.full((20, 30), 9, np.uint8))
    os.mkfifo(tmp_path / f"2.{ending}")
    with open_file(tmp_path, fps=10.0) as source:
        frames = []
        while (frame := source.read()) is not None:
            frames.append(frame)
        assert [frame.lost_before for frame in frames] == [0, 1]
        assert any("1" in notice for notice in source.condition.damage)


@POSIX
def test_a_folder_of_one_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.tif")
    with pytest.raises(InputError, match="none of its 1 images"):
        open_file(tmp_path)


@pytest.mark.parametrize("interval", [1e-300, 1e30, 1e-30])
def test_a_stack_that_states_a_rate_no_source_has(tmp_path: Path, interval: float) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((3, 20, 30), np.uint8), imagej=True, metadata={"finterval": interval})
    with contextlib.suppress(InputError), open_file(path) as source:
        assert 0.001 <= source.info.fps <= 100_000
