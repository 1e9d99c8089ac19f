"""The frame rate of videos: the stream's own, whatever the container says; what nobody states is said."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.video_files import FPS, moving_frames, remux, write_video

FRAMES = moving_frames(30)


def in_avi(tmp_path: Path) -> Path:
    """H.264 in AVI, as CASA programs ask for it: the header counts fields, 98/s and twice the frames."""
    video = write_video(tmp_path / "v.mp4", FRAMES, options={"qp": "0", "bf": "0"})
    return remux(video, tmp_path / "v.avi", Fraction(1, 2 * FPS))


CONTAINERS = {
    "H.264 in MP4": lambda folder: write_video(folder / "v.mp4", FRAMES),
    "H.264 with B frames": lambda folder: write_video(folder / "v.mp4", FRAMES, options={"bf": "3", "qp": "0"}),
    "H.264 in AVI": in_avi,
    "H.264 in AVI, by ticks of 1/600 s": lambda folder: remux(
        write_video(folder / "v.mp4", FRAMES), folder / "v.avi", Fraction(1, 600)
    ),
    "H.264 in MKV, stamps in ms": lambda folder: remux(write_video(folder / "a.mp4", FRAMES), folder / "v.mkv"),
    "H.264 in MPEG-TS": lambda folder: remux(write_video(folder / "a.mp4", FRAMES), folder / "v.ts"),
    "H.264 in FLV": lambda folder: remux(write_video(folder / "a.mp4", FRAMES), folder / "v.flv"),
    "H.264 bare": lambda folder: write_video(folder / "v.h264", FRAMES, container="h264"),
    "HEVC bare": lambda folder: write_video(
        folder / "v.hevc", FRAMES, codec="libx265", container="hevc", options={"x265-params": "log-level=none"}
    ),
    "MPEG-4 bare": lambda folder: write_video(
        folder / "v.m4v", FRAMES, codec="mpeg4", pix_fmt="yuv420p", container="m4v", options={"qscale": "2"}
    ),
    "MPEG-4 in AVI": lambda folder: write_video(folder / "v.avi", FRAMES, codec="mpeg4", pix_fmt="yuv420p"),
    "MJPEG in AVI": lambda folder: write_video(folder / "v.avi", FRAMES, codec="mjpeg"),
    "MJPEG in MOV": lambda folder: write_video(folder / "v.mov", FRAMES, codec="mjpeg"),
    "YUV4MPEG": lambda folder: write_video(
        folder / "v.y4m", FRAMES, codec="wrapped_avframe", pix_fmt="yuv420p", container="yuv4mpegpipe"
    ),
    "with gaps": lambda folder: write_video(
        folder / "v.mp4", FRAMES, times=[k if k < 10 else k + 20 for k in range(30)]
    ),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_49_frames_a_second_are_49(tmp_path: Path, read, kind):
    found = read(CONTAINERS[kind](tmp_path))
    assert found.info.fps == FPS
    assert len(found.frames) == 30
    assert found.notices == ()
    steps = np.diff(found.times_ms)
    if kind != "with gaps":
        assert steps == pytest.approx(1000 / FPS, abs=1.5)


def test_gaps_stay_in_the_times(tmp_path: Path, read):
    found = read(CONTAINERS["with gaps"](tmp_path))
    assert np.diff(found.times_ms).max() == pytest.approx(21 * 1000 / FPS, rel=1e-3)


def test_the_header_of_an_avi_does_count_fields(tmp_path: Path):
    """What the container says of such a file is twice the rate and twice the frames."""
    with av.open(str(in_avi(tmp_path))) as container:
        stream = container.streams.video[0]
        assert (stream.average_rate, stream.frames) == (2 * FPS, 60)


def test_an_avi_cut_short_counts_frames_and_not_fields(tmp_path: Path, read):
    path = in_avi(tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    found = read(path)
    assert 5 < len(found.frames) < 25
    (damage,) = found.damage
    assert f"breaks off after frame {len(found.frames)} (" in damage
    assert f"{30 - len(found.frames)} of 30 missing" in damage


@pytest.mark.parametrize(
    ("name", "container", "options"),
    [
        pytest.param("v.mjpeg", "mjpeg", {"codec": "mjpeg"}, id="MJPEG"),
        pytest.param(
            "v.hevc", "hevc", {"codec": "libx265", "options": {"x265-params": "log-level=none:vui-timing-info=0"}},
            id="HEVC without timing",
        ),
    ],
)  # fmt: skip
def test_a_rate_that_nobody_states_is_said_to_be_assumed(tmp_path: Path, read, name, container, options):
    path = write_video(tmp_path / name, FRAMES, container=container, **options)
    found = read(path)
    assert found.info.fps == 25
    assert len(found.frames) == 30
    assert found.cautions == (
        f"{tmp_path.name}/{name}: its frame rate is not known, 25/s is assumed; set [source] fps",
    )
    found = read(path, fps=49.0)
    assert (found.info.fps, found.cautions) == (49, ())
    assert np.diff(found.times_ms) == pytest.approx(1000 / 49)


def test_a_stream_header_that_contradicts_the_time_stamps_is_said(tmp_path: Path, read):
    """H.264 of 49/s, played at 25/s by its container."""
    source, target = write_video(tmp_path / "a.mp4", FRAMES), tmp_path / "slow.mkv"
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = writer.add_stream_from_template(reader.streams.video[0])
        for number, packet in enumerate(reader.demux(video=0)):
            if packet.dts is not None:
                packet.stream, packet.time_base = stream, Fraction(1, 1000)
                packet.pts = packet.dts = 40 * number
                packet.duration = 40
                writer.mux(packet)
    found = read(target)
    assert found.info.fps == 25
    assert any("its time stamps give 25 frames/s and are used, its stream states 49" in text for text in found.cautions)


def test_a_lossless_cut_misses_nothing(tmp_path: Path, read):
    """An edit list leaves out the first 25 of 60 frames: MP4 counts them, and nothing is missing."""
    path = write_video(tmp_path / "v.mp4", moving_frames(60))
    data = bytearray(path.read_bytes())
    place = data.index(b"elst") + 12
    movie_scale = int.from_bytes(data[data.index(b"mvhd") + 16 :][:4], "big")
    media_scale = int.from_bytes(data[data.index(b"mdhd") + 16 :][:4], "big")
    data[place : place + 4] = round(35 / FPS * movie_scale).to_bytes(4, "big")
    data[place + 4 : place + 8] = round(25 / FPS * media_scale).to_bytes(4, "big")
    path.write_bytes(data)
    found = read(path)
    assert len(found.frames) == 35
    assert found.notices == ()
    assert found.times_ms[0] == 0


def test_an_mp4_cut_short_is_said_all_the_same(tmp_path: Path, read):
    path = write_video(tmp_path / "a.mp4", moving_frames(60))
    with (
        av.open(str(path)) as reader,
        av.open(str(tmp_path / "v.mp4"), "w", options={"movflags": "faststart"}) as writer,
    ):
        stream = writer.add_stream_from_template(reader.streams.video[0])
        for packet in reader.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                writer.mux(packet)
    whole = (tmp_path / "v.mp4").read_bytes()
    (tmp_path / "v.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    found = read(tmp_path / "v.mp4")
    assert 10 < len(found.frames) < 50
    assert found.damage[-1].endswith(f"{60 - len(found.frames)} of 60 missing")


def test_a_cover_image_is_no_film(tmp_path: Path, read):
    """A still image as the first video of the file: the film behind it is read, and that is said."""
    still = write_video(tmp_path / "still.mkv", moving_frames(1, height=32, width=32), codec="mjpeg")
    film = write_video(tmp_path / "film.mkv", FRAMES)
    with (
        av.open(str(still)) as first,
        av.open(str(film)) as second,
        av.open(str(tmp_path / "both.mkv"), "w") as writer,
    ):
        pairs = [(source, writer.add_stream_from_template(source.streams.video[0])) for source in (first, second)]
        for source, stream in pairs:
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    writer.mux(packet)
    found = read(tmp_path / "both.mkv")
    assert (found.info.width, len(found.frames)) == (64, 30)
    assert any("of its 2 videos only number 2, the first with several frames, is used" in t for t in found.cautions)


def test_a_time_as_a_relative_name_plays(tmp_path: Path, read, monkeypatch):
    write_video(tmp_path / "2024-05-01T10.mp4", FRAMES).rename(tmp_path / "2024-05-01T10:30:00.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(read(Path("2024-05-01T10:30:00.mp4")).frames) == 30
