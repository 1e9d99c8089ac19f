"""Video files: frames, grey, times, and one clear line for a file that is not a video."""

import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from capture.files.video import VideoFile
from station.build_info import ROOT
from station.errors import InputError


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten frames of 96 x 64 px at 20 frames/s, each of one colour, lossless."""
    path = tmp_path / "clips" / "colours.avi"
    path.parent.mkdir()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 20.0, (96, 64))
    for k in range(10):
        writer.write(np.full((64, 96, 3), (10 * k, 100, 200 - 10 * k), np.uint8))
    writer.release()
    return path


def test_frames_in_order_with_times_and_grey(video: Path):
    with VideoFile(video, um_per_px=0.3) as source:
        assert source.info.name == "clips/colours.avi"
        assert (source.info.width, source.info.height, source.info.fps) == (96, 64, pytest.approx(20.0))
        assert source.info.um_per_px == 0.3
        frames = []
        while (frame := source.read()) is not None:
            frames.append(frame)
        assert source.read() is None
    assert len(frames) == 10
    assert [f.t_source_ns for f in frames] == pytest.approx([k * 50_000_000 for k in range(10)], abs=1)
    for k, frame in enumerate(frames):
        grey = 0.114 * 10 * k + 0.587 * 100 + 0.299 * (200 - 10 * k)
        assert frame.pixels.mean() == pytest.approx(grey, abs=1.5)
        assert frame.pixels.shape == (64, 96)
        assert not frame.pixels.flags.writeable
        assert frame.pixels.flags.c_contiguous


def test_a_given_frame_rate_tells_the_time(video: Path):
    with VideoFile(video, fps=8.0) as source:
        times = [source.read().t_source_ns for _ in range(3)]
    assert source.info.fps == 8.0
    assert times == [0, 125_000_000, 250_000_000]


def test_two_passes_give_the_same_bytes(video: Path):
    def digest() -> list[bytes]:
        with VideoFile(video) as source:
            return [source.read().pixels.tobytes() for _ in range(10)]

    assert digest() == digest()


def test_closing_twice_is_fine(video: Path):
    source = VideoFile(video)
    source.close()
    source.close()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("notes.mp4", b"hello\n" * 500, "expected a video, got text or something else", id="text"),
        pytest.param("empty.mp4", b"", "expected a video, got an empty file", id="empty"),
        pytest.param("noise.mp4", bytes(range(256)) * 80, "cannot be read as one", id="noise"),
        pytest.param("head.png", b"\x89PNG\r\n\x1a\n\0", "got an image; to read images give their folder", id="image"),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        VideoFile(path)
    assert "\n" not in str(error.value)
    assert name in str(error.value)


def encode(path: Path, frames: list[av.VideoFrame], codec: str, pix_fmt: str, times_ms: list[int]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=50)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        for frame, t_ms in zip(frames, times_ms, strict=True):
            frame.pts, frame.time_base = t_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def grey_frame(value: int, dtype: type, pix_fmt: str) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((48, 64), value, dtype), format=pix_fmt)


def test_a_variable_frame_rate_is_respected(tmp_path: Path):
    times_ms = [40, 60, 75, 80, 200, 201, 300]
    path = tmp_path / "uneven.mkv"
    encode(path, [grey_frame(10 * k, np.uint8, "gray") for k in range(7)], "ffv1", "gray", times_ms)
    with VideoFile(path) as source:
        frames = [source.read() for _ in range(7)]
        assert source.read() is None
        assert source.condition.notices == ()
    assert [f.t_source_ns for f in frames] == [(t - 40) * 1_000_000 for t in times_ms]
    assert [int(f.pixels[0, 0]) for f in frames] == [10 * k for k in range(7)]


@pytest.mark.parametrize(
    ("pix_fmt", "dtype", "value", "seen"),
    [
        pytest.param("gray", np.uint8, 77, 77, id="8 bits"),
        pytest.param("gray10le", np.uint16, 77 * 4 + 3, 77, id="10 bits"),
        pytest.param("gray12le", np.uint16, 77 * 16 + 3, 77, id="12 bits"),
        pytest.param("gray16le", np.uint16, 77 * 256 + 3, 77, id="16 bits"),
    ],
)
def test_of_more_than_8_bits_the_upper_8_are_taken(tmp_path: Path, pix_fmt, dtype, value, seen):
    path = tmp_path / "deep.mkv"
    encode(path, [grey_frame(value, dtype, pix_fmt)] * 2, "ffv1", pix_fmt, [0, 20])
    with VideoFile(path) as source:
        assert np.all(source.read().pixels == seen)


@pytest.mark.parametrize(("luma", "seen"), [(16, 0), (126, 128), (235, 255)])
def test_video_luma_of_limited_range_is_stretched(tmp_path: Path, luma, seen):
    frame = av.VideoFrame(64, 48, "yuv420p")
    for plane, value in zip(frame.planes, (luma, 128, 128), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    encode(tmp_path / "v.mkv", [frame], "ffv1", "yuv420p", [0])
    with VideoFile(tmp_path / "v.mkv") as source:
        assert np.all(source.read().pixels == seen)


@pytest.fixture
def cut_video(tmp_path: Path) -> Path:
    """Twenty frames, of which the second half is missing."""
    path = tmp_path / "cut.avi"
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (96, 64))
    for _ in range(20):
        writer.write(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))
    writer.release()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def test_a_video_cut_short_ends_where_it_is_cut(cut_video: Path):
    count = 0
    with VideoFile(cut_video) as source:
        while source.read() is not None:
            count += 1
        (notice,) = source.condition.notices
    assert 5 < count < 12
    assert f"cut.avi breaks off after frame {count} (" in notice
    assert f"{20 - count} of 20 missing" in notice


def test_frames_that_the_decoder_made_up_are_left_out_and_said(tmp_path: Path, visem: Path):
    """The decoder conceals damage by copying from other frames; such an image must not be graded."""
    data = bytearray((visem / "12" / "video.mp4").read_bytes())
    for place in np.random.default_rng(1).integers(len(data) // 4, len(data), 8):
        data[place] ^= 0x10
    (tmp_path / "flipped.mp4").write_bytes(data)
    with VideoFile(tmp_path / "flipped.mp4") as source:
        frames = []
        while (frame := source.read()) is not None:
            frames.append(frame)
        (notice,) = source.condition.notices
    lost = sum(f.lost_before for f in frames)
    assert lost > 0
    assert len(frames) + lost == 493
    assert f"unreadable frames left out: {lost}, the first after frame" in notice
    gap = next(k for k, f in enumerate(frames) if f.lost_before)
    interval_ns = frames[gap].t_source_ns - frames[gap - 1].t_source_ns
    assert interval_ns == pytest.approx((frames[gap].lost_before + 1) * 1e9 / 49, rel=1e-3)


def test_the_codecs_write_nothing_to_the_terminal(cut_video: Path):
    """In a separate process: the codecs set up their log once per process."""
    (cut_video.parent / "noise.mp4").write_bytes(bytes(range(256)) * 80)
    program = (
        "import sys, pathlib\n"
        "from capture.files.video import VideoFile\n"
        "from station.errors import InputError\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        source = VideoFile(pathlib.Path(name))\n"
        "        while source.read() is not None: pass\n"
        "    except InputError: pass\n"
    )
    command = [sys.executable, "-c", program, str(cut_video), str(cut_video.parent / "noise.mp4")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_real_clip_is_read_whole_with_its_own_times(visem: Path):
    with VideoFile(visem / "12" / "video.mp4") as source:
        assert source.info.name == "12/video.mp4"
        assert (source.info.width, source.info.height) == (640, 480)
        times = []
        while (frame := source.read()) is not None:
            times.append(frame.t_source_ns)
        assert source.condition.notices == ()
    assert len(times) == 493
    assert times[0] == 0
    assert np.all(np.diff(times) > 0)
    assert np.diff(times) == pytest.approx(1e9 / 49, rel=1e-3)


def test_a_frame_rate_that_cannot_be_is_not_believed(video: Path):
    """Scale and rate are 20 bytes after the start of the AVI's stream header."""
    data = bytearray(video.read_bytes())
    struct.pack_into("<II", data, data.index(b"strh") + 8 + 20, 1, 2_000_000_000)
    video.write_bytes(data)
    with pytest.raises(InputError, match=r"states a frame rate of 2e\+09/s; set \[source\] fps"):
        VideoFile(video)
    with VideoFile(video, fps=15) as source:
        times = [source.read().t_source_ns for _ in range(3)]
    assert times == [0, 66666667, 133333333]
