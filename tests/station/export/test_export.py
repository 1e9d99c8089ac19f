"""Exports are read back by the readers of their formats: pixels, scale, times, tracks, tables."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from numpy.typing import NDArray

from station.archive.story import Story, read_story
from station.archive.windows import read_frames
from station.build_info import ROOT
from station.crop import crop_into
from station.errors import InputError, MissingExtraError, SessionError, StationError
from station.export import command, pictures
from station.export.command import export
from station.export.image_files import write_mp4
from station.export.pictures import Pictures, Selection, films
from station.export.table_files import ANNOTATIONS, CHOICES
from station.export.track_files import planes, write_napari, write_trackmate
from station.notice import NOTICE
from station.session.annotations import Note, annotate
from station.session.layout import LOG
from station.session.records import FrameRecord
from station.session.session_reader import Session
from station.session.table_columns import COLUMNS
from station.transport.messages import TrackState, Validity
from tests.support.graded_session import SIZE, T, place, record_graded
from tests.support.recorded_session import HEIGHT, WIDTH, flip, noise_images, rechained, record


def no_clips(_argv: object) -> int:
    raise AssertionError("not asked for")


def exported(folder: Path, to: str, out: Path, *options: str) -> dict[str, object]:
    assert export([str(folder), "--to", to, "--out", str(out), *options], no_clips) == 0
    about: dict[str, object] = json.loads((out / command.ABOUT).read_text())
    assert about["notice"] == NOTICE
    return about


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_graded(tmp_path_factory.mktemp("s"), marks=((30, 2, 'a "note", with\na line'),))


def test_frames_as_ome_tiff(session: Path, tmp_path: Path) -> None:
    exported(session, "ome-tiff", tmp_path / "o")
    with tifffile.TiffFile(tmp_path / "o" / "frames.ome.tif") as tiff:
        assert tiff.is_ome
        assert (tiff.series[0].axes, tiff.series[0].shape) == ("TYX", (40, HEIGHT, WIDTH))
        np.testing.assert_array_equal(tiff.asarray(), np.stack(noise_images(40, seed=7)))
        xml = ElementTree.fromstring(tiff.ome_metadata or "")
    space = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"
    (pixels,) = xml.iter(f"{space}Pixels")
    assert (pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeXUnit")) == ("0.5", "µm")
    assert float(pixels.get("TimeIncrement", 0)) == pytest.approx(0.02)
    times = [float(plane.get("DeltaT", -1)) for plane in pixels.iter(f"{space}Plane")]
    assert times == pytest.approx([n * 0.02 for n in range(40)])
    assert NOTICE in [found.text for found in xml.iter(f"{space}Description")]


def test_crops_as_ome_zarr_are_what_the_reference_reader_takes(session: Path, tmp_path: Path) -> None:
    yaozarrs = pytest.importorskip("yaozarrs", reason="the extra export is not installed")
    zarr = pytest.importorskip("zarr")
    about = exported(session, "ome-zarr", tmp_path / "o", "--what", "crops", "--sperm", "3", "--from", "0.1")
    path = tmp_path / "o" / "sperm-3.ome.zarr"
    assert about["files"] == ["sperm-3.ome.zarr"]
    yaozarrs.validate_zarr_store(str(path))
    group = zarr.open_group(path, mode="r")
    array = group["0"][:]
    assert array.shape == (24 - 5, SIZE, SIZE), "from frame 5 until it was lost"
    (scale, shift) = group.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == pytest.approx([0.02, 0.5, 0.5])
    assert shift["translation"] == pytest.approx([0.1, 0, 0])
    assert group.attrs["rostfine"]["t_s"] == pytest.approx([n * 0.02 for n in range(5, 24)])
    x, y = place(3, 10)
    frame = noise_images(11, seed=7)[10]
    assert array[5][SIZE // 2, SIZE // 2] == frame[round(y), round(x)]


def test_crops_of_all_sperm_are_each_its_own_and_cost_one_pass_over_the_video(
    session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []

    def counted(story: Story, frames: Iterable[FrameRecord]) -> Iterator[tuple[FrameRecord, NDArray[np.uint8] | None]]:
        for frame, pixels in read_frames(story, frames):
            decoded.append(frame.header.seq)
            yield frame, pixels

    monkeypatch.setattr(pictures, "read_frames", counted)
    exported(session, "napari", tmp_path / "n")
    assert decoded == [], "the file is what was recorded: tracks need no picture"
    about = exported(session, "ome-tiff", tmp_path / "o", "--what", "crops")
    assert decoded == list(range(40)), "each frame once, for three sperm"
    assert about["files"] == [f"sperm-{sperm_id}.ome.tif" for sperm_id in (1, 2, 3)]
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == sorted([*about["files"], command.ABOUT])
    frames, crop = noise_images(40, seed=7), np.empty((SIZE, SIZE), np.uint8)
    for sperm_id, count in ((1, 40), (2, 40), (3, 24)):
        shown = tifffile.imread(tmp_path / "o" / f"sperm-{sperm_id}.ome.tif")
        assert shown.shape == (count, SIZE, SIZE)
        for number in range(count):
            crop_into(crop, frames[number], *place(sperm_id, number))
            np.testing.assert_array_equal(shown[number], crop)


def test_a_film_for_people_keeps_its_pace_and_says_what_it_is_for(session: Path, tmp_path: Path) -> None:
    exported(session, "mp4", tmp_path / "o")
    with av.open(str(tmp_path / "o" / "frames.mp4")) as film:
        assert film.metadata["comment"] == NOTICE
        frames = [(float(f.pts * f.time_base), f.to_ndarray(format="gray")) for f in film.decode(video=0)]
    assert [t for t, _ in frames] == pytest.approx([n * 0.02 for n in range(40)], abs=1e-4)
    assert frames[0][1].shape[1] >= 480, "enlarged so that the line can be read"
    assert (frames[0][1][-24:] > 200).any(), "the line below"


def test_tracks_for_napari(session: Path, tmp_path: Path) -> None:
    exported(session, "napari", tmp_path / "o")
    rows = read_csv(tmp_path / "o" / "tracks.csv")
    data = np.array([[float(row[name]) for name in ("track_id", "t", "y", "x")] for row in rows])
    assert data.shape == (40 + 40 + 24, 4), "where it was lost it is not"
    assert (np.lexsort((data[:, 1], data[:, 0])) == np.arange(len(data))).all(), "by track, then by time"
    assert tuple(data[12, [3, 2]]) == pytest.approx(place(1, 12))
    assert (rows[4]["grade_A"], rows[5]["grade_A"]) == ("", "0.600000")


def test_places_in_frames_without_a_picture_are_left_out_and_counted(tmp_path: Path, capsys) -> None:
    folder = record_graded(tmp_path / "s")
    rechained(folder, lambda one: not (isinstance(one, FrameRecord) and one.header.seq in (0, 11)))
    for to in ("napari", "trackmate"):
        about = exported(folder, to, tmp_path / to)
        assert about["track_places_left_out"] == 6
    assert "6 places of sperm are left out" in capsys.readouterr().out
    rows = [row for row in read_csv(tmp_path / "napari" / "tracks.csv") if row["track_id"] == "1"]
    frames = [seq for seq in range(40) if seq not in (0, 11)]
    assert [(int(row["t"]), int(row["frame"])) for row in rows] == list(enumerate(frames))
    exported(folder, "napari", tmp_path / "part", "--from", "0.2", "--until", "0.3")
    rows = [row for row in read_csv(tmp_path / "part" / "tracks.csv") if row["track_id"] == "1"]
    assert [row["t"] for row in rows] == [str(n) for n in range(len(rows))]
    assert len(rows) == 5
    flip(folder / "video" / "000000.mkv", (folder / "video" / "000000.mkv").stat().st_size // 2)
    about, stack = exported(folder, "napari", tmp_path / "n"), exported(folder, "ome-tiff", tmp_path / "o")
    assert about["frames_left_out"] == stack["frames_left_out"] != []
    with tifffile.TiffFile(tmp_path / "o" / "frames.ome.tif") as tiff:
        assert len(tiff.pages) == len({row["t"] for row in read_csv(tmp_path / "n" / "tracks.csv")})


def test_a_grade_stands_only_where_it_was_current_and_valid(session: Path, tmp_path: Path) -> None:
    story = read_story(session)
    sperm = story.sperm[1]
    sperm.grades = [one for one in sperm.grades if one.frame_seq <= 20]
    sperm.grades[1] = sperm.grades[1].model_copy(update={"validity": Validity.PADDED})
    sperm.points = [
        replace(one, track=one.track.model_copy(update={"state": TrackState.UNCERTAIN})) if one.frame_seq > 30 else one
        for one in sperm.points
    ]
    index = planes(story, 0, 10, ())
    write_napari(story, tmp_path, index)
    rows = [row for row in read_csv(tmp_path / "tracks.csv") if row["track_id"] == "1"]
    graded = {int(row["frame"]): int(row["grade_frame"]) for row in rows if row["grade_frame"]}
    assert graded == {n: 5 for n in range(5, 10)} | {n: 15 for n in range(15, 20)} | {n: 20 for n in range(20, 31)}
    assert all((row["grade_A"] == "") is (row["grade_frame"] == "") for row in rows)
    write_trackmate(story, tmp_path, index)
    root = ElementTree.parse(tmp_path / "trackmate.xml").getroot()
    spots = [spot for spot in root.iter("Spot") if spot.get("name") == "sperm 1"]
    assert {int(s.get("FRAME", 0)): int(s.get("GRADE_FRAME", 0)) for s in spots if s.get("GRADE_A")} == graded


def test_napari_takes_the_tracks(session: Path, tmp_path: Path) -> None:
    layers = pytest.importorskip("napari.layers", reason="napari is not installed")
    exported(session, "napari", tmp_path / "o")
    rows = read_csv(tmp_path / "o" / "tracks.csv")
    data = np.array([[float(row[name]) for name in ("track_id", "t", "y", "x")] for row in rows])
    layer = layers.Tracks(data, properties={"score": np.array([float(row["score"]) for row in rows])})
    assert len(np.unique(layer.data[:, 0])) == 3


def test_tracks_for_trackmate(session: Path, tmp_path: Path) -> None:
    exported(session, "trackmate", tmp_path / "o")
    root = ElementTree.parse(tmp_path / "o" / "trackmate.xml").getroot()
    model = root.find("Model")
    assert model is not None
    assert (model.get("spatialunits"), model.get("timeunits")) == ("micron", "sec")
    spots = {spot.get("ID"): spot for spot in root.iter("Spot")}
    assert len(spots) == 104
    declared = {feature.get("feature") for feature in root.iter("Feature")}
    assert {key for spot in spots.values() for key in spot.attrib} - {"ID", "name"} <= declared
    first = next(spot for spot in spots.values() if spot.get("name") == "sperm 1" and spot.get("FRAME") == "12")
    assert float(first.get("POSITION_X", 0)) == pytest.approx(place(1, 12)[0] * 0.5)
    assert float(first.get("POSITION_T", 0)) == pytest.approx(0.24)
    edges = [(edge.get("SPOT_SOURCE_ID"), edge.get("SPOT_TARGET_ID")) for edge in root.iter("Edge")]
    assert len(edges) == 104 - 3
    assert all(int(spots[b].get("FRAME", 0)) - int(spots[a].get("FRAME", 0)) == 1 for a, b in edges)


def test_a_reader_of_trackmates_xml_takes_it(session: Path, tmp_path: Path) -> None:
    convert = pytest.importorskip("geff.convert", reason="geff, a reader of TrackMate's XML, is not installed")
    exported(session, "trackmate", tmp_path / "o")
    convert.from_trackmate_xml_to_geff(tmp_path / "o" / "trackmate.xml", tmp_path / "o" / "g.geff")


def test_another_objective_is_another_scale_from_its_frame_on(tmp_path: Path) -> None:
    folder = record_graded(tmp_path / "s", scale=(20, 0.25))
    exported(folder, "trackmate", tmp_path / "t")
    root = ElementTree.parse(tmp_path / "t" / "trackmate.xml").getroot()
    found = {s.get("FRAME"): float(s.get("POSITION_X", 0)) for s in root.iter("Spot") if s.get("name") == "sperm 1"}
    assert (found["19"], found["20"]) == pytest.approx((place(1, 19)[0] * 0.5, place(1, 20)[0] * 0.25))
    with pytest.raises(StationError, match=r"scale changes there, at 0\.4 s"):
        export([str(folder), "--to", "ome-tiff", "--out", str(tmp_path / "o")], no_clips)
    exported(folder, "ome-tiff", tmp_path / "o", "--from", "0.4")
    with tifffile.TiffFile(tmp_path / "o" / "frames.ome.tif") as tiff:
        assert 'PhysicalSizeX="0.25"' in (tiff.ome_metadata or "")


@pytest.mark.parametrize("to", ["csv", "parquet"])
def test_everything_as_tables(tmp_path: Path, to: str) -> None:
    copy = record_graded(tmp_path / "s", config={"blind": to == "parquet"})
    annotate(copy, Note(session=copy.name, text="later"))
    exported(copy, to, tmp_path / "o")
    found = {path.stem: path for path in (tmp_path / "o").glob(f"*.{to}")}
    assert set(found) == {*COLUMNS, "choices", "annotations"}
    if to == "csv":
        tables = {name: read_csv(path) for name, path in found.items()}
        assert (tables["choices"][1]["chosen"], tables["choices"][1]["blind"]) == ("1", "0")
    else:
        tables = {name: pq.read_table(path).to_pylist() for name, path in found.items()}
        assert tables["choices"][1]["grade_C"] == pytest.approx(0.6)
        assert tables["choices"][1]["blind"] == 1
        assert pq.read_schema(found["choices"]).metadata[b"notice"].decode() == NOTICE
    assert len(tables["grades"]) == 18
    assert [row["validity"] for row in tables["choices"]] == ["current", "current", "last before loss"]
    assert tables["annotations"][0]["text"] == "later"
    assert {path.name for path in copy.iterdir()} == {"session.json", LOG, "video", "annotations.jsonl"}, "untouched"


def test_the_data_dictionary_has_every_column() -> None:
    text = (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)[^\n]*\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    for name, columns in {**COLUMNS, "choices": CHOICES, "annotations": ANNOTATIONS}.items():
        named = set(re.findall(r"`(\w+)`", sections[name]))
        for head in ("global", "spatial", "temporal"):
            if f"{head}_A" in named:
                named |= {f"{head}_{letter}" for letter in "ABCDE"}
        assert {column for column, _ in columns} <= named, name


def test_frames_that_cannot_be_read_are_left_out_and_named(tmp_path: Path, capsys) -> None:
    folder = record_graded(tmp_path)
    file = folder / "video" / "000000.mkv"
    flip(file, file.stat().st_size // 2)
    about = exported(folder, "ome-tiff", tmp_path / "o")
    left_out = about["frames_left_out"]
    assert isinstance(left_out, list)
    assert 0 < len(left_out) < 25
    assert "cannot be read as they were recorded" in capsys.readouterr().out
    with tifffile.TiffFile(tmp_path / "o" / "frames.ome.tif") as tiff:
        assert len(tiff.pages) == 40 - len(left_out)


def test_what_cannot_be_exported_is_one_line_and_leaves_nothing(session: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    wrong = {
        ("--to", "csv", "--sperm", "1"): "are for ome-tiff",
        ("--to", "csv", "--from", "1"): "are for ome-tiff",
        ("--to", "csv", "--windows", "1"): "are for clips",
        ("--to", "mp4", "--sperm", "1"): "--what crops",
        ("--to", "mp4", "--what", "crops", "--sperm", "9"): "it has 1, 2, 3",
        ("--to", "mp4", "--from", "9"): "no recorded frame",
        ("--to", "mp4", "--from", "2", "--until", "1"): "expected 0",
        ("--to", "mov"): "invalid choice",
    }
    for options, message in wrong.items():
        with pytest.raises(InputError, match=message):
            export([str(session), *options, "--out", str(out)], no_clips)
        assert not out.exists()
    with pytest.raises(StationError, match="no sperm was followed"):
        export([str(record(tmp_path / "n")), "--to", "napari", "--out", str(out)], no_clips)
    assert not out.exists()
    out.mkdir()
    with pytest.raises(InputError, match="is there already"):
        export([str(session), "--to", "csv", "--out", str(out)], no_clips)


def test_a_missing_extra_says_how_to_get_it(session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaozarrs", None)
    with pytest.raises(MissingExtraError, match=r"\.\[export\]"):
        export([str(session), "--to", "ome-zarr", "--out", str(tmp_path / "o")], no_clips)


def test_clips_are_made_by_the_trainer(session: Path, tmp_path: Path) -> None:
    asked: list[list[str]] = []
    assert (
        export([str(session), "--to", "clips", "--out", str(tmp_path / "o")], lambda a: asked.append(list(a)) or 0) == 0
    )
    assert asked == [["--sessions", str(session), "--out", str(tmp_path / "o")]]
    words = [str(session), "--to", "clips", "--out", str(tmp_path / "o"), "--windows", "2", "--whole"]
    assert export(words, lambda a: asked.append(list(a)) or 0) == 0
    assert asked[1] == [*asked[0], "--windows", "2", "--whole"]
    assert Session(session).start.config["window"]["frames"] == T


def test_times_that_no_film_can_have_are_one_line(session: Path, tmp_path: Path) -> None:
    def years(film: Pictures) -> Pictures:
        return replace(film, t_s=tuple(t_s * 1e9 for t_s in film.t_s))

    story = read_story(session)
    with films(story, Selection("frames", (), 0.0, 1.0), [], tmp_path) as found:
        film = years(next(iter(found)))
        with pytest.raises(SessionError, match=r"cannot be made into a film .* give a part with --from and --until"):
            write_mp4(film, tmp_path, lambda: None)


def test_nothing_is_exported_into_a_session(session: Path) -> None:
    before = sorted(path.name for path in session.iterdir())
    with pytest.raises(InputError, match="lies in the folder of a recorded session"):
        export([str(session), "--to", "csv", "--out", str(session / "csv")], no_clips)
    assert sorted(path.name for path in session.iterdir()) == before
