"""Rate, scale, bits and times of TIFF files: each piece for itself, however broken the rest."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.support.video_files import FPS, micromanager_tag, moving_frames, write_stk

FRAMES = moving_frames(20)
DEEP = FRAMES.astype(np.uint16) * 16
OME = {"axes": "TYX", "TimeIncrement": 1 / FPS, "PhysicalSizeX": 0.25}


def ome_xml(name: str, count: int, per_file: int, file: int = 0, channels: int = 1) -> bytes:
    """The description of an acquisition of ``count`` frames, ``per_file`` images a file, as file ``file`` has it."""
    data = "".join(
        f'<TiffData FirstT="{k // channels}" FirstC="{k % channels}" IFD="{k % per_file}" PlaneCount="1">'
        f'<UUID FileName="{name.format(k // per_file)}">urn:uuid:0000000{k // per_file}-0000-0000-0000-000000000000'
        "</UUID></TiffData>"
        for k in range(count * channels)
    )
    described = "".join(f'<Channel ID="Channel:0:{k}" SamplesPerPixel="1"/>' for k in range(channels))
    return (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="urn:uuid:0000000{file}-0000-0000-0000-000000000000"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        f'DimensionOrder="XYCZT" Type="uint8" SizeX="64" SizeY="48" SizeC="{channels}" SizeZ="1" SizeT="{count}" '
        'TimeIncrement="20.408" TimeIncrementUnit="ms" PhysicalSizeX="0.25">'
        f"{described}{data}</Pixels></Image></OME>"
    ).encode()


def write_pages(path: Path, frames: np.ndarray, description: bytes | None = None) -> None:
    with tifffile.TiffWriter(path) as writer:
        for number, frame in enumerate(frames):
            writer.write(frame, metadata=None, description=description if number == 0 else None)


@pytest.mark.parametrize("per_file", [50, 20], ids=["stopped early", "further files are not there"])
def test_frames_that_are_announced_and_missing_cost_no_metadata(tmp_path: Path, read, per_file):
    write_pages(tmp_path / "a_0.ome.tif", FRAMES, ome_xml("a_{}.ome.tif", 50, per_file))
    found = read(tmp_path / "a_0.ome.tif")
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert (found.info.fps, found.info.um_per_px) == (pytest.approx(FPS, rel=1e-4), 0.25)
    (notice,) = found.notices
    assert notice.endswith("breaks off after frame 20 (0.39 s): 30 of 50 missing")


@pytest.mark.parametrize("given", [0, 1])
def test_the_files_of_a_set_are_one_film(tmp_path: Path, read, given):
    for file in range(2):
        part = FRAMES[10 * file : 10 * file + 10]
        write_pages(tmp_path / f"a_{file}.ome.tif", part, ome_xml("a_{}.ome.tif", 20, 10, file))
    found = read(tmp_path / f"a_{given}.ome.tif")
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert found.notices == ()


def test_the_second_file_of_a_set_alone_has_its_place_in_time(tmp_path: Path, read):
    write_pages(tmp_path / "a_1.ome.tif", FRAMES[10:], ome_xml("a_{}.ome.tif", 20, 10, 1))
    found = read(tmp_path / "a_1.ome.tif")
    np.testing.assert_array_equal(found.pixels, FRAMES[10:])
    assert found.frames[0].lost_before == 10
    assert found.notices == (f"{tmp_path.name}/a_1.ome.tif lacks 10 frames, the first after frame 0",)


def test_an_acquisition_of_two_channels_that_was_stopped(tmp_path: Path, read):
    images = np.stack([FRAMES, 255 - FRAMES], axis=1).reshape(-1, *FRAMES.shape[1:])
    write_pages(tmp_path / "a_0.ome.tif", images[:25], ome_xml("a_{}.ome.tif", 50, 100, channels=2))
    found = read(tmp_path / "a_0.ome.tif")
    np.testing.assert_array_equal(found.pixels, FRAMES[:13])
    assert "of this stack only the first of 2 channels is used" in found.cautions[0]
    assert found.damage[0].endswith("37 of 50 missing")
    assert found.info.um_per_px == 0.25


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"</Pixels>", b"</Pixel>>", id="not well-formed"),
        pytest.param(b"</OME>", b"      ", id="end missing"),
        pytest.param(b'SizeT="20"', b'SizeT="??"', id="one attribute broken"),
    ],
)
def test_broken_xml_keeps_what_stands_before_the_break(tmp_path: Path, read, before, after):
    path = tmp_path / "v.ome.tif"
    tifffile.imwrite(path, DEEP, ome=True, metadata={**OME, "SignificantBits": 12})
    data = path.read_bytes()
    assert before in data
    path.write_bytes(data.replace(before, after))
    found = read(path)
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert (found.info.fps, found.info.um_per_px) == (pytest.approx(FPS), 0.25)
    assert found.damage == ()


@pytest.mark.parametrize(
    ("change", "fps", "um_per_px"),
    [
        pytest.param({"TimeIncrement": "soon"}, None, 0.25, id="rate is no number"),
        pytest.param({"TimeIncrement": -1.0}, None, 0.25, id="rate is negative"),
        pytest.param({"TimeIncrementUnit": "fortnight"}, None, 0.25, id="unit of the rate is none"),
        pytest.param({"PhysicalSizeX": "nan"}, FPS, None, id="scale is no number"),
        pytest.param({"PhysicalSizeXUnit": "pixel"}, FPS, None, id="scale is in px"),
        pytest.param({"PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm"}, FPS, 0.25, id="scale in nm"),
        pytest.param({"TimeIncrement": 1000 / FPS, "TimeIncrementUnit": "ms"}, FPS, 0.25, id="rate in ms"),
        pytest.param({"PhysicalSizeX": 1e9}, FPS, None, id="scale of a galaxy"),
    ],
)
def test_one_piece_of_nonsense_costs_no_other(tmp_path: Path, read, change, fps, um_per_px):
    tifffile.imwrite(tmp_path / "v.ome.tif", FRAMES, ome=True, metadata={**OME, **change})
    found = read(tmp_path / "v.ome.tif")
    assert found.info.um_per_px == um_per_px
    assert found.info.fps == pytest.approx(fps or 15)
    said = [text for text in found.notices if "its frame rate is not known, 15/s is assumed" in text]
    assert len(said) == (fps is None)


def test_times_of_frames_tell_the_rate(tmp_path: Path, read):
    """Only DeltaT, with a gap of five frames."""
    numbers = [k if k < 10 else k + 5 for k in range(20)]
    planes = {"DeltaT": [3 + k / FPS for k in numbers], "DeltaTUnit": ["s"] * 20}
    tifffile.imwrite(tmp_path / "v.ome.tif", FRAMES, ome=True, metadata={"axes": "TYX", "Plane": planes})
    found = read(tmp_path / "v.ome.tif")
    assert found.info.fps == pytest.approx(FPS)
    assert found.times_ms == pytest.approx([1000 * k / FPS for k in numbers], abs=1e-3)
    assert found.notices == ()


def test_nobody_states_a_rate(tmp_path: Path, read):
    tifffile.imwrite(tmp_path / "v.tif", FRAMES)
    found = read(tmp_path / "v.tif")
    assert found.info.fps == 15
    assert found.notices == (f"{tmp_path.name}/v.tif: its frame rate is not known, 15/s is assumed; set [source] fps",)
    assert read(tmp_path / "v.tif", fps=30.0).notices == ()


@pytest.mark.parametrize(
    ("notes", "fps", "um_per_px"),
    [
        pytest.param({"finterval": 1 / FPS}, FPS, None, id="interval"),
        pytest.param({"finterval": 1000 / FPS, "tunit": "ms"}, FPS, None, id="interval in ms"),
        pytest.param({"fps": float(FPS)}, FPS, None, id="rate"),
        pytest.param({"finterval": 1 / FPS, "fps": 7.0}, FPS, None, id="7/s is the speed of playing"),
        pytest.param({"finterval": 1 / FPS, "unit": "micron"}, FPS, 0.25, id="scale"),
        pytest.param({"finterval": 1 / FPS, "unit": "inch"}, FPS, None, id="unit of printers"),
        pytest.param({"finterval": "??", "unit": "um"}, None, 0.25, id="interval is nonsense"),
    ],
)
def test_imagej(tmp_path: Path, read, notes, fps, um_per_px):
    tifffile.imwrite(tmp_path / "v.tif", FRAMES, imagej=True, resolution=(4.0, 4.0), metadata={"axes": "TYX", **notes})
    found = read(tmp_path / "v.tif")
    assert (found.info.fps, found.info.um_per_px) == (pytest.approx(fps or 15), um_per_px)


def test_micromanager(tmp_path: Path, read):
    """Times, scale and bits at each page; the notes of one page cannot be read."""
    with tifffile.TiffWriter(tmp_path / "v.tif") as writer:
        for t, frame in enumerate(DEEP):
            notes = {"ElapsedTime-ms": 1000 * t / FPS, "PixelSizeUm": 0.25, "BitDepth": 12, "Axes": {"time": t}}
            tag = micromanager_tag(**notes)
            if t == 12:
                tag = (51123, 2, 21, tag[3][:20], False)
            writer.write(frame, metadata=None, extratags=[tag])
    found = read(tmp_path / "v.tif")
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert (found.info.fps, found.info.um_per_px) == (pytest.approx(FPS), 0.25)
    assert found.times_ms == pytest.approx([1000 * k / FPS for k in range(20)], abs=1e-3)
    assert found.notices == ()


def test_metamorph_stack(tmp_path: Path, read):
    times_ms = [round(1000 * k / FPS) for k in range(20)]
    write_stk(tmp_path / "v.stk", DEEP, times_ms, 0.25)
    found = read(tmp_path / "v.stk", bits=12)
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert (found.info.fps, found.info.um_per_px) == (pytest.approx(FPS, rel=2e-3), 0.25)
    assert found.times_ms == times_ms
    assert found.notices == ()
    assert "set [source] bits = 12" in read(tmp_path / "v.stk").notices[0]


def test_metamorph_series(tmp_path: Path, read):
    def notes(t: int) -> str:
        properties = {
            "spatial-calibration-state": "on", "spatial-calibration-x": "0.25", "spatial-calibration-units": "um",
            "camera-bit-depth": "12", "acquisition-time-local": f"20240501 23:59:{58 + t / FPS:09.6f}",
        }  # fmt: skip
        return "<MetaData>" + "".join(f'<prop id="{k}" value="{v}"/>' for k, v in properties.items()) + "</MetaData>"

    with tifffile.TiffWriter(tmp_path / "v.tif") as writer:
        for t, frame in enumerate(DEEP):
            writer.write(frame, metadata=None, description=notes(t), software="MetaSeries" if t == 0 else False)
    found = read(tmp_path / "v.tif")
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert (found.info.fps, found.info.um_per_px) == (pytest.approx(FPS, rel=1e-3), 0.25)
    assert found.notices == ()


def test_a_folder_takes_scale_and_bits_of_its_first_image(tmp_path: Path, read):
    for number, frame in enumerate(DEEP):
        tag = micromanager_tag(PixelSizeUm=0.25, BitDepth=12, FrameIndex=number, ChannelIndex=0)
        tifffile.imwrite(tmp_path / f"img_{number}.tif", frame, metadata=None, extratags=[tag])
    found = read(tmp_path, fps=10.0)
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert found.info.um_per_px == 0.25
