"""TIFF stacks: order, depth, times and scale as the file states them, and what can be read of damaged ones."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from capture.factory import open_source
from capture.files.tiff.stack import TiffStack
from station.config import build_config
from station.errors import InputError

FRAMES = np.random.default_rng(0).integers(0, 256, (10, 40, 50), np.uint8)


def read_all(source: TiffStack):
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    assert source.read() is None
    return frames


def stack(path: Path, **options):
    with TiffStack(path, **options) as source:
        frames = read_all(source)
    return source, frames


WRITERS = {
    "plain": lambda path: tifffile.imwrite(path, FRAMES),
    "OME": lambda path: tifffile.imwrite(path, FRAMES, ome=True, metadata={"axes": "TYX"}),
    "ImageJ": lambda path: tifffile.imwrite(path, FRAMES, imagej=True, metadata={"axes": "TYX"}),
    "one directory": lambda path: tifffile.imwrite(path, FRAMES, metadata={"truncate": True}),
    "big": lambda path: tifffile.imwrite(path, FRAMES, bigtiff=True),
    "big endian": lambda path: tifffile.imwrite(path, FRAMES, byteorder=">"),
    "deflate": lambda path: tifffile.imwrite(path, FRAMES, compression="zlib"),
    "LZW": lambda path: cv2.imwritemulti(str(path), list(FRAMES)),
    "slices": lambda path: tifffile.imwrite(path, FRAMES, ome=True, metadata={"axes": "ZYX"}),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_page_of_every_kind_is_a_frame(tmp_path: Path, kind):
    path = tmp_path / "stack.tif"
    WRITERS[kind](path)
    source, frames = stack(path, fps=20)
    np.testing.assert_array_equal(np.stack([f.pixels for f in frames]), FRAMES)
    assert [f.t_source_ns for f in frames] == [k * 50_000_000 for k in range(10)]
    assert (source.info.width, source.info.height, source.info.fps) == (50, 40, 20)
    assert source.info.name == f"{tmp_path.name}/stack.tif"
    assert source.condition.notices == ()
    assert all(f.pixels.flags.c_contiguous and not f.pixels.flags.writeable for f in frames)


@pytest.mark.parametrize(
    ("value", "dtype", "file_bits", "bits", "seen"),
    [
        pytest.param(77 * 256, np.uint16, None, None, 77, id="16 bits"),
        pytest.param(77 * 16, np.uint16, None, 12, 77, id="12 bits given"),
        pytest.param(77 * 16, np.uint16, 12, None, 77, id="12 bits stated"),
        pytest.param(77 * 4, np.uint16, 12, 10, 77, id="what is given goes before what is stated"),
        pytest.param(77, np.uint8, None, None, 77, id="8 bits"),
    ],
)
def test_depth(tmp_path: Path, value, dtype, file_bits, bits, seen):
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "TYX"} | ({"SignificantBits": file_bits} if file_bits else {})
    tifffile.imwrite(path, np.full((2, 8, 8), value, dtype), ome=True, metadata=metadata)
    _, frames = stack(path, bits=bits)
    assert np.all(frames[0].pixels == seen)


def test_the_largest_sample_value_tells_the_bits(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((8, 8), 77 * 4, np.uint16), extratags=[(281, "H", 1, 1023, True)])
    assert np.all(stack(tmp_path / "a.tif")[1][0].pixels == 77)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colour(tmp_path: Path, planar):
    rgb = np.zeros((3, 20, 30, 3), np.uint8)
    rgb[..., 0] = 200
    pixels = rgb if planar == "contig" else np.moveaxis(rgb, -1, 1)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig=planar)
    _, frames = stack(tmp_path / "a.tif")
    assert len(frames) == 3
    assert np.all(frames[2].pixels == 60)  # 0.299 * 200


@pytest.mark.parametrize(
    ("photometric", "seen"), [("minisblack", 255 * np.eye(16)), ("miniswhite", 255 - 255 * np.eye(16))]
)
def test_black_and_white(tmp_path: Path, photometric, seen):
    tifffile.imwrite(tmp_path / "a.tif", np.eye(16, dtype=bool), photometric=photometric)
    assert np.array_equal(stack(tmp_path / "a.tif")[1][0].pixels, seen)


def test_times_and_scale_of_ome(tmp_path: Path):
    times_ms = [0, 10, 25, 30, 100, 110, 120, 130, 140, 200]
    metadata = {
        "axes": "TYX",
        "PhysicalSizeX": 250.0,
        "PhysicalSizeXUnit": "nm",
        "TimeIncrement": 0.02,
        "Plane": {"DeltaT": [5 + t for t in times_ms], "DeltaTUnit": ["ms"] * 10},
    }
    tifffile.imwrite(tmp_path / "a.tif", FRAMES, ome=True, metadata=metadata)
    source, frames = stack(tmp_path / "a.tif")
    assert [f.t_source_ns for f in frames] == [t * 1_000_000 for t in times_ms]
    assert (source.info.fps, source.info.um_per_px) == (pytest.approx(50), pytest.approx(0.25))
    source, frames = stack(tmp_path / "a.tif", fps=10, um_per_px=0.3)
    assert frames[1].t_source_ns == 100_000_000
    assert source.info.um_per_px == 0.3


def test_interval_and_scale_of_imagej(tmp_path: Path):
    metadata = {"axes": "TYX", "finterval": 0.1, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", FRAMES, imagej=True, resolution=(4.0, 4.0), metadata=metadata)
    source, frames = stack(tmp_path / "a.tif")
    assert (source.info.fps, source.info.um_per_px) == (pytest.approx(10), pytest.approx(0.25))
    assert frames[3].t_source_ns == 300_000_000


def test_of_several_channels_the_first_is_used_and_that_is_said(tmp_path: Path):
    data = np.stack([FRAMES, 255 - FRAMES], axis=1)
    tifffile.imwrite(tmp_path / "a.tif", data, ome=True, metadata={"axes": "TCYX"})
    source, frames = stack(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.stack([f.pixels for f in frames]), FRAMES)
    assert f"{tmp_path.name}/a.tif: of this stack only the first of 2 channels is used" in source.condition.notices


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((2, 8, 8), np.float32), "expected images of 8 or 16 bits, got float32"),
        (np.zeros((2, 8, 8), np.int16), "expected images of 8 or 16 bits, got int16"),
    ],
)
def test_what_is_no_image_of_a_camera_is_refused(tmp_path: Path, data, message):
    tifffile.imwrite(tmp_path / "a.tif", data)
    with pytest.raises(InputError, match=message) as error:
        TiffStack(tmp_path / "a.tif")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_cut_short_gives_the_frames_before_the_cut_and_says_where_it_breaks(tmp_path: Path, kind):
    """Ten uncompressed frames of 2000 bytes; 62 % of the file holds six of them (five where headers come first)."""
    path = tmp_path / "stack.tif"
    WRITERS[kind](path)
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * 0.62)])
    source, frames = stack(path)
    assert 4 <= len(frames) <= 6
    np.testing.assert_array_equal(np.stack([f.pixels for f in frames]), FRAMES[: len(frames)])
    assert [f.t_source_ns for f in frames] == [round(k * 1e9 / 15) for k in range(len(frames))]
    (notice,) = source.condition.damage
    assert f"stack.tif breaks off after frame {len(frames)}" in notice
    assert source.condition.notices[-1] == notice


def test_a_page_that_cannot_be_read_is_left_out_and_its_place_in_time_stays_empty(tmp_path: Path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, FRAMES, compression="zlib")
    with tifffile.TiffFile(path) as file:
        start = file.pages[4].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[start : start + 50] = b"\xff" * 50
    path.write_bytes(data)
    source, frames = stack(path, fps=10)
    np.testing.assert_array_equal(np.stack([f.pixels for f in frames]), np.delete(FRAMES, 4, axis=0))
    assert [f.lost_before for f in frames] == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert frames[4].t_source_ns == 500_000_000
    assert source.condition.notices == (
        f"{tmp_path.name}/stack.tif is damaged: unreadable frames left out: 1, the first after frame 4",
    )


@pytest.mark.parametrize("content", [b"", b"II*\0", b"II*\0\x08\0\0\0", b"MM\0*" + bytes(200), b"hello\n" * 100])
def test_what_is_no_tiff_is_refused_in_one_line(tmp_path: Path, content):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.tif: (expected TIFF|the TIFF file is damaged)") as error:
        TiffStack(tmp_path / "a.tif")
    assert "\n" not in str(error.value)


def test_a_tiff_is_known_by_its_content(tmp_path: Path):
    tifffile.imwrite(tmp_path / "stack.mp4", FRAMES)
    config = build_config({"source": {"kind": str(tmp_path / "stack.mp4"), "fps": 5.0, "bits": 8}}, "test")
    with open_source(config) as source:
        assert (source.info.width, source.info.fps) == (50, 5.0)


def test_directories_that_lead_in_a_circle_are_not_followed_for_ever(tmp_path: Path):
    """The second directory points back to the first; its image has another size, so the series is not uniform."""
    path = tmp_path / "circle.tif"
    with tifffile.TiffWriter(path) as writer:
        for size in ((48, 64), (24, 32), (48, 64)):
            writer.write(np.full(size, 90, np.uint8), contiguous=False, metadata=None)
    with tifffile.TiffFile(path) as file:
        first, second = (file.pages[k].offset for k in (0, 1))
    data = bytearray(path.read_bytes())
    (entries,) = struct.unpack_from("<H", data, second)
    struct.pack_into("<I", data, second + 2 + 12 * entries, first)
    path.write_bytes(data)
    with TiffStack(path) as stack:
        assert [stack.read() is None for _ in range(2)] == [False, True]
        assert "damaged" in stack.condition.notices[-1]
