"""Images are turned and mirrored as players and viewers show them, so that coordinates agree."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from tests.support.video_files import moving_frames, patch_display_matrix, write_video

FRAMES = moving_frames(5)
TURNED = {
    "90 degrees clockwise": ((0, 1, -1, 0), 6, np.rot90(FRAMES, -1, (1, 2))),
    "180 degrees": ((-1, 0, 0, -1), 3, FRAMES[:, ::-1, ::-1]),
    "90 degrees counterclockwise": ((0, -1, 1, 0), 8, np.rot90(FRAMES, 1, (1, 2))),
    "mirrored": ((-1, 0, 0, 1), 2, FRAMES[:, :, ::-1]),
    "upside down": ((1, 0, 0, -1), 4, FRAMES[:, ::-1]),
    "transposed": ((0, 1, 1, 0), 5, FRAMES.transpose(0, 2, 1)),
    "transposed and turned": ((0, -1, -1, 0), 7, FRAMES.transpose(0, 2, 1)[:, ::-1, ::-1]),
}
"""Display matrix (a, b, c, d), tag Orientation, and what is seen (FFmpeg's program shows the first five like this)."""


@pytest.mark.parametrize("turn", TURNED)
def test_the_display_matrix_of_a_video(tmp_path: Path, read, turn):
    matrix, _, seen = TURNED[turn]
    path = write_video(tmp_path / "v.mp4", FRAMES)
    patch_display_matrix(path, matrix)
    found = read(path)
    np.testing.assert_array_equal(found.pixels, seen)
    assert (found.info.height, found.info.width) == seen.shape[1:]
    assert found.frames[0].pixels.flags.c_contiguous
    assert found.notices == ()


@pytest.mark.parametrize("turn", TURNED)
def test_the_tag_of_a_tiff(tmp_path: Path, read, turn):
    _, tag, seen = TURNED[turn]
    tifffile.imwrite(tmp_path / "v.tif", FRAMES, extratags=[(274, 3, 1, tag, True)])
    np.testing.assert_array_equal(read(tmp_path / "v.tif").pixels, seen)


def test_the_tag_of_a_tiff_in_a_folder(tmp_path: Path, read):
    for number, frame in enumerate(FRAMES):
        tifffile.imwrite(tmp_path / f"{number}.tif", frame, extratags=[(274, 3, 1, 6, True)])
    np.testing.assert_array_equal(read(tmp_path).pixels, np.rot90(FRAMES, -1, (1, 2)))


def test_the_exif_tag_of_a_jpeg(tmp_path: Path, read):
    data = cv2.imencode(".jpg", FRAMES[0])[1].tobytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 274, 3, 1, 6, 0) + b"\0\0\0\0"
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    upright = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(read(tmp_path).pixels[0], np.rot90(upright, -1))


def test_a_slanted_matrix_is_said(tmp_path: Path, read):
    path = write_video(tmp_path / "v.mp4", FRAMES)
    patch_display_matrix(path, (1, 1, -1, 1))
    found = read(path)
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert "by no multiple of 90 degrees" in found.cautions[0]
