"""From a video and tagged points to clips: cut by the live tracker at the true heads, and every mistake named."""

import csv
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow.csv
import pytest
import tifffile

from capture.simulator.microscope import SimulatedMicroscope
from station.config import SimulatedSettings
from tests.conftest import VISEM
from tracker.window import crop_into
from trainer.__main__ import main
from trainer.data.clip_extraction import cut_video
from trainer.data.cuts import CutSettings
from trainer.data.dataset import find_problems, open_clips
from trainer.data.tags import Tag

FPS = 15
FRAMES = 60
SETTINGS = SimulatedSettings(width=640, height=480, fps=FPS, sperm=6, debris=10, seed=4)


def write_video(path: Path, frames: list[np.ndarray], fps: int = FPS) -> None:
    """Write grey frames without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=fps)
        stream.height, stream.width = frames[0].shape
        stream.pix_fmt = "gray"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode(None))


def write_tags(path: Path, rows: list[str], header: str = "video,id,x,y") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulatedMicroscope]:
    """A folder with the video s1.mkv of the simulated microscope, whose truth is known."""
    folder = tmp_path_factory.mktemp("film")
    microscope = SimulatedMicroscope(SETTINGS)
    write_video(folder / "s1.mkv", [microscope.read().pixels for _ in range(FRAMES)])
    return folder, microscope


def tags_of(microscope: SimulatedMicroscope, frame: int = 0) -> list[str]:
    """Return the rows of tags.csv for every sperm well inside the field."""
    return [
        f"s1.mkv,{s.sperm_id},{s.x:.1f},{s.y:.1f}"
        for s in microscope.truth(frame).sperm
        if 30 < s.x < SETTINGS.width - 30 and 30 < s.y < SETTINGS.height - 30
    ]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_clips_are_cut_at_the_true_heads(film: tuple[Path, SimulatedMicroscope], tmp_path: Path) -> None:
    folder, microscope = film
    tags = write_tags(tmp_path / "tags.csv", tags_of(microscope))
    out = tmp_path / "data"
    assert main(["prepare", str(folder), "--tags", str(tags), "--um-per-px", "0.25", "--out", str(out)]) == 0
    assert find_problems(out) == []
    clips = open_clips(out, unlabelled=True)
    assert clips.shape == (16, 150, 150)
    assert {row.fps for row in clips.rows} == {15.0}
    assert {row.source for row in clips.rows} == {"s1.mkv"}
    cuts = rows_of(out / "cuts.csv")
    assert len(clips) >= 3
    for index, row in enumerate(clips.rows):
        mine = [cut for cut in cuts if cut["id"] == row.id]
        assert [int(cut["frame"]) for cut in mine] == list(range(int(mine[0]["frame"]), int(mine[0]["frame"]) + 16))
        for k, cut in enumerate(mine):
            number = int(cut["frame"])
            truth = {s.sperm_id: s for s in microscope.truth(number).sperm}[int(cut["tag"])]
            x, y = float(cut["x_px"]), float(cut["y_px"])
            assert np.hypot(x - truth.x, y - truth.y) < 8  # a head is 17 px long
            assert float(cut["x_um"]) == pytest.approx(0.25 * x, abs=2e-3)
            assert float(cut["y_um"]) == pytest.approx(0.25 * y, abs=2e-3)
            assert float(cut["t_source_s"]) == pytest.approx(number / FPS, abs=1e-3)
            expected = np.empty((150, 150), np.uint8)
            crop_into(expected, microscope.render(number), x, y)
            np.testing.assert_array_equal(clips.pixels(index)[k], expected)


def test_every_tag_is_accounted_for(film: tuple[Path, SimulatedMicroscope], tmp_path: Path) -> None:
    folder, microscope = film
    rows = tags_of(microscope)
    late = next(s for s in microscope.truth(50).sperm if 30 < s.x < 610 and 30 < s.y < 450)
    # Tagged so late that no sixteen frames are left.
    tags = write_tags(
        tmp_path / "tags.csv",
        [*(f"{row},0" for row in rows), f"s1.mkv,late,{late.x:.1f},{late.y:.1f},50"],
        "video,id,x,y,frame",
    )
    with tags.open("a") as file:
        file.write("s1.mkv,outside,-5,10,0\n")
    out = tmp_path / "data"
    main(["prepare", str(folder), "--tags", str(tags), "--um-per-px", "0.25", "--out", str(out)])
    tracked = {row["tag"]: row for row in rows_of(out / "tracked.csv")}
    assert len(tracked) == len(rows) + 2
    assert "outside the frame" in tracked["outside"]["reason"]
    assert tracked["late"]["clips"] == "0"
    assert tracked["late"]["reason"].startswith(("the video ends", "lost"))
    with_clip = {name for name, row in tracked.items() if row["clips"] == "1"}
    assert {row.id for row in open_clips(out, unlabelled=True).rows} == {f"s1-{name}" for name in with_clip}
    assert all(row["reason"] for name, row in tracked.items() if name not in with_clip)


def test_its_tables_open_with_no_options(film: tuple[Path, SimulatedMicroscope], tmp_path: Path) -> None:
    folder, microscope = film
    tags = write_tags(tmp_path / "tags.csv", tags_of(microscope))
    out = tmp_path / "data"
    main(["prepare", str(folder), "--tags", str(tags), "--um-per-px", "0.25", "--out", str(out)])
    kinds = {
        "clips.csv": {"id": "string", "um_per_px": "double", "fps": "double"},
        "cuts.csv": {
            "id": "string",
            "tag": "int64",
            "frame": "int64",
            "t_source_s": "double",
            "x_px": "double",
            "y_um": "double",
        },
        "tracked.csv": {"video": "string", "frame": "int64", "x_px": "double", "y_um": "double", "reason": "string"},
    }
    for name, columns in kinds.items():
        table = pyarrow.csv.read_csv(out / name)
        assert len(table) > 0
        for column, kind in columns.items():
            assert str(table.schema.field(column).type) in (kind, "null"), (name, column)


CHOICES = {
    "every second": (["--stride", "2"], 2, 7.5, 1),
    "spread over the video": (["--stride", "uniform"], 3, 5.0, 1),
    "nearest to a rate": (["--rate", "5"], 3, 5.0, 1),
    "three in a row": (["--windows", "3"], 1, 15.0, 3),
}


def test_a_video_that_is_named_in_two_ways_is_one_source(
    film: tuple[Path, SimulatedMicroscope], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, microscope = film
    one, two, *_ = tags_of(microscope)
    rows = [one, two.replace("s1.mkv", "s1"), one.replace("s1.mkv", "s1")]
    command = ["prepare", str(folder), "--tags", str(write_tags(tmp_path / "tags.csv", rows)), "--um-per-px", "0.25"]
    assert main([*command, "--out", str(tmp_path / "data")]) == 1
    assert "line 4" in (said := capsys.readouterr().out)
    assert "is already in" in said
    clips = open_clips(tmp_path / "data", unlabelled=True)
    assert clips.sources == ["s1.mkv"] * 2


@pytest.mark.parametrize(("options", "step", "fps", "most"), CHOICES.values(), ids=CHOICES)
def test_which_frames_are_taken_is_chosen_and_recorded(
    film: tuple[Path, SimulatedMicroscope], tmp_path: Path, options: list[str], step: int, fps: float, most: int
) -> None:
    folder, microscope = film
    tags = write_tags(tmp_path / "tags.csv", tags_of(microscope))
    out = tmp_path / "data"
    main(["prepare", str(folder), "--tags", str(tags), "--um-per-px", "0.25", "--out", str(out), *options])
    clips = open_clips(out, unlabelled=True)
    assert {row.fps for row in clips.rows} == {fps}
    assert clips.made["videos"]["s1.mkv"]["stride"] == step
    frames: dict[str, list[int]] = {}
    for cut in rows_of(out / "cuts.csv"):
        frames.setdefault(cut["id"], []).append(int(cut["frame"]))
    assert all(set(np.diff(numbers)) == {step} and len(numbers) == 16 for numbers in frames.values())
    counts = [int(row["clips"]) for row in rows_of(out / "tracked.csv")]
    assert max(counts) == most
    taken = [(cut["tag"], cut["frame"]) for cut in rows_of(out / "cuts.csv")]
    assert len(taken) == len(set(taken))  # windows of one sperm share no frame


def test_lossless_video_holds_the_same_clips(film: tuple[Path, SimulatedMicroscope], tmp_path: Path) -> None:
    folder, microscope = film
    tags = write_tags(tmp_path / "tags.csv", tags_of(microscope))
    common = ["prepare", str(folder), "--tags", str(tags), "--um-per-px", "0.25"]
    assert main([*common, "--out", str(tmp_path / "a")]) == 0
    assert main([*common, "--out", str(tmp_path / "b"), "--format", "mkv"]) == 0
    a, b = (open_clips(tmp_path / name, unlabelled=True) for name in "ab")
    assert {Path(row.file).suffix for row in b.rows} == {".mkv"}
    for index in range(len(a)):
        np.testing.assert_array_equal(a.pixels(index), b.pixels(index))


def test_the_same_video_and_tags_give_the_same_folder(film: tuple[Path, SimulatedMicroscope], tmp_path: Path) -> None:
    folder, microscope = film
    tags = write_tags(tmp_path / "tags.csv", tags_of(microscope))
    for name in ("a", "b"):
        main(["prepare", str(folder), "--tags", str(tags), "--um-per-px", "0.25", "--out", str(tmp_path / name)])
    assert (tmp_path / "a" / "manifest.json").read_bytes() == (tmp_path / "b" / "manifest.json").read_bytes()


def test_pictures_and_stacks_are_cut_like_videos(film: tuple[Path, SimulatedMicroscope], tmp_path: Path) -> None:
    microscope = film[1]
    frames = [microscope.render(k) for k in range(30)]
    films = tmp_path / "films"
    (films / "s1").mkdir(parents=True)
    for k, frame in enumerate(frames):
        cv2.imwrite(str(films / "s1" / f"{k}.png"), frame)
    tifffile.imwrite(films / "stack.tif", np.stack(frames))
    write_video(films / "film.mkv", frames)
    rows = [row.split(",", 1)[1] for row in tags_of(microscope)]
    tags = write_tags(tmp_path / "tags.csv", [f"{name},{row}" for name in ("s1", "stack", "film") for row in rows])
    out = tmp_path / "data"
    main(["prepare", str(films), "--tags", str(tags), "--um-per-px", "0.25", "--fps", "15", "--out", str(out)])
    clips = open_clips(out, unlabelled=True)
    names = ("s1", "stack", "film")
    of = {name: [clips.pixels(k) for k, s in enumerate(clips.sources) if Path(s).stem == name] for name in names}
    assert len(of["film"]) >= 3
    for name in ("s1", "stack"):
        np.testing.assert_array_equal(np.stack(of[name]), np.stack(of["film"]))


def test_results_of_imagej_for_a_video_with_a_scale_are_refused(
    film: tuple[Path, SimulatedMicroscope], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    microscope = film[1]
    frames = np.stack([microscope.render(k) for k in range(30)])
    points = [row.split(",")[2:] for row in tags_of(microscope)]
    table = tmp_path / "Results.csv"
    table.write_text(" ,X,Y\n" + "".join(f"{k},{x},{y}\n" for k, (x, y) in enumerate(points, start=1)))
    plain, scaled = tmp_path / "plain.tif", tmp_path / "scaled.tif"
    tifffile.imwrite(plain, frames)
    tifffile.imwrite(
        scaled, frames, imagej=True, resolution=(4, 4), metadata={"unit": "um", "fps": 15.0, "axes": "TYX"}
    )
    common = ["--tags", str(table), "--um-per-px", "0.25", "--fps", "15"]
    main(["prepare", str(plain), *common, "--out", str(tmp_path / "data")])
    assert "read as ImageJ's results" in capsys.readouterr().out
    assert len(open_clips(tmp_path / "data", unlabelled=True)) >= 3
    assert main(["prepare", str(scaled), *common, "--out", str(tmp_path / "none")]) == 2
    assert "line 2: '1': ImageJ gives X and Y of a video with a scale (0.25 um/px) in um" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


def test_an_assumed_rate_and_dark_clips_are_said(
    film: tuple[Path, SimulatedMicroscope], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """12 bits in 16, in a TIFF stack that states no rate: cut all the same, and said here and by ``check``."""
    _, microscope = film
    frames = np.stack([microscope.render(k) for k in range(40)])
    tifffile.imwrite(tmp_path / "s1.tif", frames.astype(np.uint16) * 16)
    rows = [row.replace("s1.mkv", "s1.tif") for row in tags_of(microscope)]
    tags = write_tags(tmp_path / "tags.csv", rows)
    command = ["prepare", str(tmp_path / "s1.tif"), "--tags", str(tags), "--um-per-px", "0.25"]
    assert main([*command, "--out", str(tmp_path / "dark")]) == 0
    said = capsys.readouterr().out
    assert "s1.tif: its frame rate is not known, 15/s is assumed; give --fps" in said
    assert "s1.tif is dark: its first frames use 12 of 16 bits; if the camera has 12 bits, give --bits 12" in said
    assert main(["check", str(tmp_path / "dark")]) == 0
    assert "clips are dark, such as s1-" in capsys.readouterr().out
    assert main([*command, "--fps", "15", "--bits", "12", "--out", str(tmp_path / "data")]) == 0
    said = capsys.readouterr().out
    assert "is dark" not in said
    assert "is assumed" not in said
    assert 60 < open_clips(tmp_path / "data", unlabelled=True).pixels(0).mean() < 100
    assert main(["check", str(tmp_path / "data")]) == 0
    assert "are dark" not in capsys.readouterr().out


def test_a_dark_video_that_gives_no_clip_is_said_to_be_dark(
    film: tuple[Path, SimulatedMicroscope], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    microscope = film[1]
    write_video(tmp_path / "s1.mkv", [microscope.render(k) // 64 for k in range(20)])
    tags = write_tags(tmp_path / "tags.csv", tags_of(microscope)[:1])
    command = ["prepare", str(tmp_path), "--tags", str(tags), "--um-per-px", "0.25", "--out", str(tmp_path / "data")]
    assert main(command) == 2
    captured = capsys.readouterr()
    assert "s1.mkv is dark: its first frames use" in captured.out
    assert "no clip was cut" in captured.err


def test_videos_whose_names_differ_in_the_ending_alone_give_clips_of_different_ids(
    film: tuple[Path, SimulatedMicroscope], tmp_path: Path
) -> None:
    folder, microscope = film
    row = tags_of(microscope)[0]
    for name in ("12.mkv", "12.avi"):
        (tmp_path / name).write_bytes((folder / "s1.mkv").read_bytes())
    rows = [row.replace("s1.mkv", name) for name in ("12.mkv", "12.avi")]
    tags = write_tags(tmp_path / "tags.csv", rows)
    out = tmp_path / "data"
    main(["prepare", str(tmp_path), "--tags", str(tags), "--um-per-px", "0.25", "--out", str(out)])
    tag = row.split(",")[1]
    assert {row.id for row in open_clips(out, unlabelled=True).rows} == {f"clip-12-{tag}", f"clip-12.avi-{tag}"}
    assert find_problems(out) == []


def empty_point(microscope: SimulatedMicroscope) -> tuple[float, float]:
    """Return a point far from every head."""
    heads = np.array([(s.x, s.y) for s in microscope.truth(0).sperm])
    quiet = microscope.render(0).astype(int)
    best = max(
        ((x, y) for x in range(60, 580, 10) for y in range(60, 420, 10)),
        key=lambda p: (
            (np.ptp(quiet[p[1] - 25 : p[1] + 25, p[0] - 25 : p[0] + 25]) < 30) * np.hypot(*(heads - p).T).min()
        ),
    )
    return float(best[0]), float(best[1])


def test_bad_tags_and_videos_do_not_keep_the_others_from_being_cut(
    film: tuple[Path, SimulatedMicroscope], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, microscope = film
    videos = tmp_path / "videos"
    videos.mkdir()
    whole = (folder / "s1.mkv").read_bytes()
    (videos / "s1.mkv").write_bytes(whole)
    (videos / "short.mkv").write_bytes(whole[: len(whole) // 2])
    (videos / "text.avi").write_text("no video")
    (videos / "stub.mkv").write_bytes(whole[:2000])
    (videos / "pictures").mkdir()
    cv2.imwrite(str(videos / "pictures" / "1.png"), microscope.render(0))
    write_video(videos / "fast.mkv", [microscope.render(k) for k in range(40)], fps=20)
    good = tags_of(microscope)
    x, y = empty_point(microscope)
    first = good[0].split(",", 2)[2]
    tags = write_tags(
        tmp_path / "tags.csv",
        [
            *good,
            f"s1.mkv,empty,{x},{y}",
            "s1.mkv,outside,700,100",
            "s1.mkv,word,x,100",
            good[0],
            "s1.mkv,few,1",
            "absent.avi,1,10,10",
            "text.avi,1,10,10",
            "stub.mkv,1,10,10",
            f"short.mkv,1,{first}",
            "pictures,1,10,10",
            f"fast.mkv,1,{first}",
        ],
    )
    out = tmp_path / "data"
    assert main(["prepare", str(videos), "--tags", str(tags), "--um-per-px", "0.25", "--out", str(out)]) == 1
    said = capsys.readouterr().out.splitlines()
    line = len(good) + 2
    for k, words in enumerate(
        [
            "lies on empty medium in frame 0",
            "lies outside the frame of 640 x 480 px",
            "must be numbers",
            "is already in line 2",
            "y: is empty",
            "no video 'absent.avi' among those given",
        ]
    ):
        assert any(f"line {line + k}: " in text and words in text for text in said), words
    assert any(text.startswith("text.avi: ") and "expected a video" in text for text in said)
    assert any(text.startswith("stub.mkv: ") and "none of its 1 sperm" in text for text in said)
    assert any(text.startswith("pictures: images state no frame rate; give --fps") for text in said)
    assert any(text.startswith("fast.mkv: ") and "20 frames a second" in text for text in said)
    assert not any("Traceback" in text for text in said)
    assert {row.source for row in open_clips(out, unlabelled=True).rows} >= {"s1.mkv"}
    assert find_problems(out) == []


BAD_COMMANDS: dict[str, tuple[list[str], str]] = {
    "no columns": (["--tags", "bad.csv"], "expected the columns video,id,x,y"),
    "no tags": (["--tags", "none.csv"], "holds no tags"),
    "no file": (["--tags", "absent.csv"], "cannot be read"),
    "no scale": (["--tags", "tags.csv"], "scale is not known"),
    "stride": (["--tags", "tags.csv", "--stride", "0"], "--stride 0: must be at least 1"),
    "stride word": (["--tags", "tags.csv", "--stride", "all"], "expected a number, 'auto' or 'uniform'"),
    "windows": (["--tags", "tags.csv", "--windows", "0"], "--windows 0"),
    "rate": (["--tags", "tags.csv", "--rate", "-1"], "--rate -1: must be from 0.001 to 100000"),
    "head": (["--tags", "tags.csv", "--head-px", "1"], "--head-px 1: must be from 6 to 300"),
}


@pytest.mark.parametrize(("options", "words"), BAD_COMMANDS.values(), ids=BAD_COMMANDS)
def test_a_mistake_in_the_command_is_one_line_and_leaves_nothing(
    film: tuple[Path, SimulatedMicroscope],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: str,
) -> None:
    folder, microscope = film
    write_tags(tmp_path / "bad.csv", ["s1.mkv,1,2"], "film,id,x")
    write_tags(tmp_path / "none.csv", [])
    write_tags(tmp_path / "tags.csv", tags_of(microscope)[:1])
    options = [str(tmp_path / word) if word.endswith(".csv") else word for word in options]
    out = tmp_path / "data"
    assert main(["prepare", str(folder), "--out", str(out), *options]) == 2
    captured = capsys.readouterr()
    assert words in captured.out + captured.err
    assert "Traceback" not in captured.err
    assert not out.exists()


@pytest.fixture
def ground_truth(visem: Path) -> Callable[[str], dict[int, dict[int, tuple[float, float]]]]:
    def read(clip: str) -> dict[int, dict[int, tuple[float, float]]]:
        tracks: dict[int, dict[int, tuple[float, float]]] = {}
        for frame, ident, x, y, w, h, _, kind, _ in np.loadtxt(visem / clip / "gt.txt", delimiter=","):
            if int(kind) == 0:
                tracks.setdefault(int(ident), {})[int(frame) - 1] = (x + w / 2, y + h / 2)
        return tracks

    return read


def test_real_sperm_are_cut_where_people_saw_them(
    ground_truth: Callable[[str], dict[int, dict[int, tuple[float, float]]]],
) -> None:
    tracks = ground_truth("12")
    tags = [
        Tag(ident, "video.mp4", str(ident), *places[12], None, 12, "12")
        for ident, places in tracks.items()
        if 12 in places and 0 <= places[12][0] < 639 and 0 <= places[12][1] < 479
    ]
    found = cut_video(VISEM / "12" / "video.mp4", tags, CutSettings())
    assert found.stride == 3
    assert len(found.cuts) >= 0.75 * len(tags)
    judged = 0
    for cut in found.cuts:
        truth = tracks[int(cut.tag.id)]
        errors = [np.hypot(x - truth[f][0], y - truth[f][1]) for f, (x, y) in zip(cut.frames, cut.places, strict=True)
                  if f in truth]  # fmt: skip
        if errors:  # a person may have stopped following before the first window was full
            judged += 1
            assert np.median(errors) < 16  # the gate of tracking quality; what is lost is not cut
    assert judged >= 0.9 * len(found.cuts)
