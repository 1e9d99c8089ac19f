"""Which images of a TIFF file are the film: one, whole, the first channel and plane, and what is left out is said."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.support.video_files import micromanager_tag, moving_frames

FRAMES = moving_frames(20)
SMALL = FRAMES[0, ::4, ::4]


def once_a_frame(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        for frame in FRAMES:
            writer.write(frame)


def once_a_frame_in_ome(path: Path) -> None:
    with tifffile.TiffWriter(path, ome=True) as writer:
        for frame in FRAMES:
            writer.write(frame)


def appended(path: Path) -> None:
    for first in (0, 5, 10, 15):
        tifffile.imwrite(path, FRAMES[first : first + 5], append=first > 0)


def snapshot_first(path: Path) -> None:
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(SMALL, metadata={"axes": "YX", "Name": "snapshot"})
        writer.write(FRAMES, metadata={"axes": "TYX", "Name": "film"})


def thumbnail_first(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(SMALL, metadata=None)
        for frame in FRAMES:
            writer.write(frame, metadata=None)


def snapshot_between(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(FRAMES[:8])
        writer.write(SMALL, metadata=None)
        writer.write(FRAMES[8:])


def snapshot_of_another_depth(path: Path) -> None:
    with tifffile.TiffWriter(path) as writer:
        writer.write(FRAMES[0].astype(np.uint16) * 257)
        writer.write(FRAMES)


def two_parts(path: Path) -> None:
    with tifffile.TiffWriter(path, ome=True) as writer:
        for part in (FRAMES[:10], FRAMES[10:]):
            writer.write(part, metadata={"axes": "TYX"})


LEFT_OUT = "only its film of 20 frames is used; left out: 1 image of 16 x 12 px"
FILES = {
    "a writer called once a frame": (once_a_frame, ()),
    "the same in OME": (once_a_frame_in_ome, ()),
    "appended": (appended, ("its 4 series of equal images are read as one film of 20 frames",)),
    "snapshot first, OME": (snapshot_first, (LEFT_OUT,)),
    "thumbnail first": (thumbnail_first, (LEFT_OUT,)),
    "snapshot between": (snapshot_between, (LEFT_OUT,)),
    "snapshot of another depth": (
        snapshot_of_another_depth,
        ("only its film of 20 frames is used; left out: 1 image of 64 x 48 px",),
    ),
    "two parts, OME": (two_parts, ("its 2 series of equal images are read as one film of 20 frames",)),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_film_is_one_film(tmp_path: Path, read, kind):
    write, notices = FILES[kind]
    write(tmp_path / "v.tif")
    found = read(tmp_path / "v.tif", fps=10.0)
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert found.cautions == tuple(f"{tmp_path.name}/v.tif: {notice}" for notice in notices)
    assert found.damage == ()
    assert found.times_ms == [100 * k for k in range(20)]


def test_a_long_film_written_frame_by_frame(tmp_path: Path, read):
    """Tifffile's own account of so many series takes minutes for hours of recording; a snapshot is in between."""
    with tifffile.TiffWriter(tmp_path / "v.tif") as writer:
        for k in range(300):
            writer.write(np.full((8, 8), k % 200, np.uint8))
            if k == 150:
                writer.write(np.zeros((4, 6), np.uint8))
    found = read(tmp_path / "v.tif", fps=10.0)
    assert [int(frame.pixels[0, 0]) for frame in found.frames] == [k % 200 for k in range(300)]
    assert "only its film of 300 frames is used; left out: 1 image of 6 x 4 px" in found.cautions[0]


def test_positions_of_the_stage_are_not_one_film(tmp_path: Path, read):
    with tifffile.TiffWriter(tmp_path / "v.ome.tif") as writer:
        for x, part in ((0.0, FRAMES[:10]), (500.0, FRAMES[10:])):
            plane = {"PositionX": [x] * 10, "PositionXUnit": ["µm"] * 10}
            writer.write(part, metadata={"axes": "TYX", "Plane": plane})
    found = read(tmp_path / "v.ome.tif", fps=10.0)
    np.testing.assert_array_equal(found.pixels, FRAMES[:10])
    assert "only its film of 10 frames is used; left out: 10 images of 64 x 48 px" in found.cautions[0]


def test_an_imagej_hyperstack(tmp_path: Path, read):
    """Of two focal planes and two channels the first."""
    planes = np.stack([np.stack([FRAMES, 255 - FRAMES], 1), np.stack([FRAMES // 2, FRAMES // 3], 1)], 1)
    tifffile.imwrite(tmp_path / "v.tif", planes, imagej=True, metadata={"axes": "TZCYX", "finterval": 0.1})
    found = read(tmp_path / "v.tif")
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert "of this stack only the first of 2 focal planes and the first of 2 channels is used" in found.cautions[0]
    assert found.info.fps == 10


def micromanager(path: Path, pages: list[tuple[np.ndarray, dict[str, object] | str]]) -> None:
    with tifffile.TiffWriter(path) as writer:
        for pixels, notes in pages:
            tag = (51123, 2, len(notes) + 1, notes, False) if isinstance(notes, str) else micromanager_tag(**notes)
            writer.write(pixels, metadata=None, extratags=[tag])


def test_micromanagers_first_channel(tmp_path: Path, read):
    pages = [
        (frame if channel == "DAPI" else 255 - frame, {"Axes": {"time": t, "channel": channel}})
        for t, frame in enumerate(FRAMES)
        for channel in ("DAPI", "FITC")
    ]
    micromanager(tmp_path / "v.tif", pages)
    found = read(tmp_path / "v.tif", fps=10.0)
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert found.cautions == (f"{tmp_path.name}/v.tif: of this stack only the first of 2 channels is used",)


def test_micromanagers_older_names_and_focal_planes(tmp_path: Path, read):
    pages = [
        (frame if z == 0 else 255 - frame, {"FrameIndex": t, "ChannelIndex": 0, "SliceIndex": z})
        for t, frame in enumerate(FRAMES)
        for z in range(3)
    ]
    micromanager(tmp_path / "v.tif", pages)
    found = read(tmp_path / "v.tif", fps=10.0)
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert "only the first of 3 focal planes is used" in found.cautions[0]


def test_times_that_micromanager_lacks_are_missing_frames(tmp_path: Path, read):
    micromanager(tmp_path / "v.tif", [(FRAMES[t], {"Axes": {"time": t}}) for t in range(20) if t not in (4, 5)])
    found = read(tmp_path / "v.tif", fps=10.0)
    assert [frame.lost_before for frame in found.frames].count(2) == 1
    assert found.times_ms[4] == 600
    assert found.damage == (f"{tmp_path.name}/v.tif lacks 2 frames, the first after frame 4",)


def test_a_page_whose_notes_are_broken_keeps_its_place(tmp_path: Path, read):
    pages: list[tuple[np.ndarray, dict[str, object] | str]] = []
    for t, frame in enumerate(FRAMES):
        for channel in range(2):
            notes: dict[str, object] = {"Axes": {"time": t, "channel": channel}}
            broken = t == 7 and channel == 0
            pages.append((frame if channel == 0 else 255 - frame, json.dumps(notes)[:15] if broken else notes))
    micromanager(tmp_path / "v.tif", pages)
    found = read(tmp_path / "v.tif", fps=10.0)
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert found.damage == ()


def test_a_folder_that_holds_one_stack_is_that_stack(tmp_path: Path, read):
    folder = tmp_path / "acquisition_1"
    folder.mkdir()
    once_a_frame(folder / "acquisition_1_MMStack_Pos0.ome.tif")
    (folder / "notes.txt").write_text("x")
    assert len(read(folder, fps=10.0).frames) == 20


def test_stacks_among_images_are_said(tmp_path: Path, read):
    for name in ("a.tif", "b.tif"):
        once_a_frame(tmp_path / name)
    found = read(tmp_path, fps=10.0)
    assert len(found.frames) == 2
    assert "2 of its files hold more than one image, of which only the first is used; give" in found.notices[0]


def test_a_folder_of_micromanagers_images_has_one_channel(tmp_path: Path, read):
    for t, frame in enumerate(FRAMES):
        for channel in range(2):
            pages = [(frame if channel == 0 else 255 - frame, {"FrameIndex": t, "ChannelIndex": channel})]
            micromanager(tmp_path / f"img_{t:09}_{channel}.tif", pages)
    found = read(tmp_path, fps=10.0)
    np.testing.assert_array_equal(found.pixels, FRAMES)
    assert "only the first channel and focal plane is used; 20 images of others are left out" in found.notices[0]


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_min_is_white(tmp_path: Path, read, photometric, compression):
    stored = 255 - FRAMES if photometric == "miniswhite" else FRAMES
    tifffile.imwrite(tmp_path / "v.tif", stored, photometric=photometric, compression=compression)
    np.testing.assert_array_equal(read(tmp_path / "v.tif").pixels, FRAMES)


def test_a_palette_is_looked_up(tmp_path: Path, read):
    """The colours run from white to black; on the way they are reddish."""
    colours = np.stack([np.arange(256)[::-1] * 257] * 3).astype(np.uint16)
    tifffile.imwrite(tmp_path / "v.tif", FRAMES, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(read(tmp_path / "v.tif").pixels, 255 - FRAMES)
    colours[1:] = 0
    tifffile.imwrite(tmp_path / "red.tif", FRAMES, photometric="palette", colormap=colours)
    seen = read(tmp_path / "red.tif").pixels
    np.testing.assert_allclose(seen, 0.299 * (255 - FRAMES), atol=1)
