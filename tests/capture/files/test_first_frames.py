"""Files that are too dark, or interlaced, are said to be, with the cure; others are not."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from capture.files.first_frames import combing
from tests.support.video_files import moving_frames, write_video

FRAMES = moving_frames(20)


def deep(bits: int) -> np.ndarray:
    """The frames as a camera of so many bits gives them, in 16."""
    return FRAMES.astype(np.uint16) << (bits - 8)


def folder_of_png(folder: Path, frames: np.ndarray) -> Path:
    path = folder / "images"
    path.mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(path / f"{number}.png"), frame)
    return path


def tiff(folder: Path, frames: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(folder / "v.tif", frames, **options)
    return folder / "v.tif"


def ffv1(folder: Path, frames: np.ndarray) -> Path:
    return write_video(folder / "v.mkv", frames, codec="ffv1", pix_fmt="gray16le", stored="gray16le")


def rgb(folder: Path, frames: np.ndarray) -> Path:
    colours = np.repeat(frames[..., None], 3, axis=-1)
    return write_video(folder / "v.mkv", colours, codec="ffv1", pix_fmt="gbrp16le", stored="rgb48le")


WRITERS = {"TIFF": tiff, "PNG": folder_of_png, "FFV1": ffv1, "RGB in FFV1": rgb}


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("kind", WRITERS)
def test_bits_in_16_are_said_with_the_cure_and_the_cure_works(tmp_path: Path, read, kind, bits):
    path = WRITERS[kind](tmp_path, deep(bits))
    found = read(path, fps=20.0)
    assert found.cautions == (
        f"{tmp_path.name}/{path.name} is dark: its first frames use {bits} of 16 bits; if the camera has {bits} bits, "
        f"set [source] bits = {bits}",
    )
    assert found.damage == ()
    cured = read(path, fps=20.0, bits=bits)
    assert cured.notices == ()
    np.testing.assert_array_equal(cured.pixels, FRAMES)


@pytest.mark.parametrize("kind", WRITERS)
def test_all_16_bits_are_no_caution(tmp_path: Path, read, kind):
    found = read(WRITERS[kind](tmp_path, deep(16)), fps=20.0)
    assert found.notices == ()
    np.testing.assert_array_equal(found.pixels, FRAMES)


def test_white_stored_as_0_with_12_bits_in_16(tmp_path: Path, read):
    path = tiff(tmp_path, (4095 - deep(12)).astype(np.uint16), photometric="miniswhite")
    assert "set [source] bits = 12" in read(path, fps=20.0).cautions[0]
    np.testing.assert_array_equal(read(path, fps=20.0, bits=12).pixels, FRAMES)


def test_a_dark_8_bit_file_is_said(tmp_path: Path, read):
    (caution,) = read(tiff(tmp_path, FRAMES // 10), fps=20.0).cautions
    assert "is dark: its first frames use 24 of 256 grey levels" in caution
    assert "more light, exposure or gain" in caution


def test_a_hot_pixel_does_not_hide_the_dark(tmp_path: Path, read):
    frames = FRAMES // 10
    frames[:, 3, 3] = 255
    assert "is dark" in read(tiff(tmp_path, frames), fps=20.0).cautions[0]


def test_dark_frames_later_on_are_no_caution(tmp_path: Path, read):
    frames = np.concatenate([FRAMES, FRAMES // 50])
    assert read(tiff(tmp_path, frames), fps=20.0).notices == ()


# Interlaced --------------------------------------------------------------------------------------------------------

SCENE = moving_frames(40, step=5, height=120, width=320)


def woven(frames: np.ndarray) -> np.ndarray:
    """Frames whose even rows show one moment and odd rows the next."""
    out = frames[0::2].copy()
    out[:, 1::2] = frames[1::2, 1::2]
    return out


def test_woven_frames_are_said_to_look_interlaced(tmp_path: Path, read):
    found = read(write_video(tmp_path / "v.mkv", woven(SCENE), codec="ffv1", pix_fmt="gray"))
    (caution,) = found.cautions
    assert "v.mkv looks interlaced: odd and even rows show different moments" in caution
    assert "bwdif" in caution
    assert read(write_video(tmp_path / "w.mkv", SCENE, codec="ffv1", pix_fmt="gray")).notices == ()


def test_frames_that_are_marked_as_interlaced_are_said(tmp_path: Path, read):
    """Whole frames, coded as two fields each."""
    options = {"x264opts": "tff=1:interlaced=1:qp=0"}
    found = read(write_video(tmp_path / "v.mp4", SCENE, options=options))
    assert "v.mp4 is marked as interlaced" in found.cautions[0]


def test_woven_tiff_is_said_too(tmp_path: Path, read):
    assert "looks interlaced" in read(tiff(tmp_path, woven(SCENE)), fps=25.0).cautions[0]


@pytest.mark.parametrize("sigma", [0, 15, 60])
def test_noise_is_no_comb(sigma):
    rng = np.random.default_rng(1)
    noisy = [np.clip(f + rng.normal(0, sigma + 1e-9, f.shape), 0, 255).astype(np.uint8) for f in SCENE]
    combs = [comb for a, b in itertools.pairwise(noisy) if (comb := combing(a, b)) is not None]
    assert max(combs) < 1.03


def test_the_real_clip_is_neither_dark_nor_interlaced_and_woven_it_is(visem: Path, tmp_path: Path, read):
    from capture.files.video import VideoFile

    with VideoFile(visem / "12" / "video.mp4") as source:
        frames = np.stack([source.read().pixels for _ in range(40)])
        assert source.condition.notices == ()
    assert "looks interlaced" in read(tiff(tmp_path, woven(frames)), fps=25.0).cautions[0]
