"""Folders of images: order, grey, times, and one clear line for what cannot be used."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from capture.files.image_folder import ImageFolder
from capture.files.image_size import announced_px
from station.errors import InputError


def write(path: Path, grey: float, shape=(40, 60), dtype=np.uint8) -> None:
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), np.full(shape, grey, dtype))


def test_natural_order_and_times(tmp_path: Path):
    folder = tmp_path / "day1" / "run2"
    folder.parent.mkdir()
    for name, grey in {"f10.png": 100, "f9.PNG": 90, "f1.bmp": 10, "F2.tif": 20, "f11.jpeg": 110}.items():
        write(folder / name, grey)
    (folder / "notes.txt").write_text("not an image")
    (folder / "._f3.png").write_bytes(b"hidden")
    with ImageFolder(folder, fps=20.0, um_per_px=0.2) as source:
        assert source.info.model_dump() == {
            "name": "day1/run2",
            "height": 40,
            "width": 60,
            "fps": 20.0,
            "um_per_px": 0.2,
            "settings": {},
        }
        frames = []
        while (frame := source.read()) is not None:
            frames.append(frame)
    assert [round(float(f.pixels.mean())) for f in frames] == [10, 20, 90, 100, 110]
    assert [f.t_source_ns for f in frames] == [k * 50_000_000 for k in range(5)]
    assert all(f.pixels.flags.c_contiguous and not f.pixels.flags.writeable for f in frames)


def test_fifteen_frames_a_second_unless_told(tmp_path: Path):
    write(tmp_path / "a.png", 1)
    write(tmp_path / "b.png", 2)
    source = ImageFolder(tmp_path)
    assert source.info.fps == 15.0
    source.read()
    assert source.read().t_source_ns == 66_666_667


@pytest.mark.parametrize(
    ("grey", "shape", "dtype", "seen"),
    [
        pytest.param(77, (40, 60), np.uint8, 77, id="8 bits"),
        pytest.param(77 * 256 + 3, (40, 60), np.uint16, 77, id="16 bits: the upper 8"),
        pytest.param(77, (40, 60, 3), np.uint8, 77, id="colour"),
    ],
)
def test_grey(tmp_path: Path, grey, shape, dtype, seen):
    write(tmp_path / "a.png", grey, shape, dtype)
    pixels = ImageFolder(tmp_path).read().pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape == (40, 60)
    assert np.all(pixels == seen)


def test_an_empty_folder_is_refused(tmp_path: Path):
    (tmp_path / "readme.md").write_text("x")
    with pytest.raises(InputError, match=r"expected images \(png, jpg, jpeg, bmp, tif, tiff\), found none"):
        ImageFolder(tmp_path)


def test_images_of_different_sizes_are_both_named(tmp_path: Path):
    write(tmp_path / "a1.png", 5)
    write(tmp_path / "a2.png", 5, (40, 61))
    source = ImageFolder(tmp_path)
    source.read()
    with pytest.raises(InputError, match=r"a1\.png is 60 x 40 px, a2\.png is 61 x 40") as error:
        source.read()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(range(200)), b"text"])
def test_a_broken_image_is_left_out_and_named_and_its_place_in_time_stays_empty(tmp_path: Path, content, capfd):
    for name in ("a.png", "c.png", "d.png"):
        write(tmp_path / name, 5)
    (tmp_path / "b.png").write_bytes(content)
    source = ImageFolder(tmp_path, fps=10)
    frames = [source.read() for _ in range(3)]
    assert [f.t_source_ns for f in frames] == [0, 200_000_000, 300_000_000]
    assert [f.lost_before for f in frames] == [0, 1, 0]
    assert source.read() is None
    (notice,) = source.condition.damage
    assert notice.endswith("is damaged: unreadable frames left out: 1, the first b.png")
    assert capfd.readouterr() == ("", "")


def test_a_folder_of_broken_images_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(InputError, match=r"none of its 1 images can be decoded, the first is a\.png") as error:
        ImageFolder(tmp_path)
    assert "\n" not in str(error.value)


def test_the_bits_really_used_can_be_given(tmp_path: Path):
    write(tmp_path / "a.png", 77 * 16 + 3, dtype=np.uint16)
    assert np.all(ImageFolder(tmp_path, bits=12).read().pixels == 77)
    assert np.all(ImageFolder(tmp_path).read().pixels == 4)


def png_of(side: int) -> bytes:
    """A few hundred bytes that say they are a picture of side x side px."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = zlib.compress(bytes(1 << 20), 9)
    parts = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def test_a_picture_that_would_take_all_memory_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "bomb.png").write_bytes(png_of(30_000))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match=r"none of its 1 images can be decoded, the first is bomb\.png"):
        ImageFolder(tmp_path)


@pytest.mark.parametrize("name", ["bomb.tif", "bomb.png"])
def test_a_tiff_that_would_take_all_memory_is_not_decoded_whatever_its_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    """All strips of 60,000 x 60,000 px are the same few bytes."""
    side, strip = 60_000, zlib.compress(bytes(1000), 9)
    tifffile.imwrite(tmp_path / name, np.zeros((8, 8), np.uint8))
    with tifffile.TiffFile(tmp_path / name, mode="r+") as file:
        for tag, value in (("ImageWidth", side), ("ImageLength", side), ("RowsPerStrip", side), ("Compression", 8)):
            file.pages.first.tags[tag].overwrite(value)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + strip)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match=r"none of its 1 images can be decoded, the first is bomb"):
        ImageFolder(tmp_path)


def test_a_tiff_of_another_name_is_read(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.png", np.full((8, 9), 77, np.uint8))
    assert np.all(ImageFolder(tmp_path).read().pixels == 77)


def test_what_a_png_says_beside_its_pixels_reaches_no_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Its decoder complains of a colour profile under the name that the file gives it, escape codes and all."""
    image = cv2.imencode(".png", np.full((8, 9), 77, np.uint8))[1].tobytes()
    profile = b"\x1b[2JCOMPLETE, INTACT\0\0" + zlib.compress(struct.pack(">I", 100) + bytes(400))
    chunk = struct.pack(">I", len(profile)) + b"iCCP" + profile + struct.pack(">I", zlib.crc32(b"iCCP" + profile))
    (tmp_path / "a.png").write_bytes(image[:33] + chunk + image[33:])
    assert np.all(ImageFolder(tmp_path).read().pixels == 77)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp"])
def test_the_size_that_a_file_announces_is_that_of_its_picture(ending: str):
    encoded = cv2.imencode(ending, np.zeros((37, 53, 3), np.uint8))[1].tobytes()
    assert announced_px(encoded) == 37 * 53
    assert [announced_px(encoded[:cut]) for cut in range(14)] == [0] * 14
    assert announced_px(png_of(30_000)) == 30_000**2
