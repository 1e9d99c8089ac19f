"""Damaged files of every kind: no crash, no hang; readable frames as they are, and one clear line."""

import itertools
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import tifffile

from capture.opening import open_source
from station.config import build_config
from station.errors import InputError

FRAMES = [cv2.GaussianBlur(np.random.default_rng(k).integers(0, 256, (48, 64), np.uint8), (0, 0), 2) for k in range(12)]
LIMIT_S = 10.0


def video(codec: str, pix_fmt: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=Fraction(15))
            stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
            for frame in FRAMES:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray").reformat(format=pix_fmt)))
            container.mux(stream.encode(None))

    return write


KINDS: dict[str, Callable[[Path], object]] = {
    "mpeg4.mp4": video("mpeg4", "yuv420p"),
    "mpeg4.avi": video("mpeg4", "yuv420p"),
    "ffv1.mkv": video("ffv1", "gray"),
    "mjpeg.avi": video("mjpeg", "yuvj420p"),
    "rgb.mkv": video("ffv1", "bgr0"),
    "plain.tif": lambda path: tifffile.imwrite(path, np.stack(FRAMES)),
    "ome.tif": lambda path: tifffile.imwrite(path, np.stack(FRAMES), ome=True, metadata={"axes": "TYX"}),
    "imagej.tif": lambda path: tifffile.imwrite(path, np.stack(FRAMES), imagej=True, metadata={"axes": "TYX"}),
    "deflate.tif": lambda path: tifffile.imwrite(path, np.stack(FRAMES), compression="zlib"),
    "lzw.tif": lambda path: cv2.imwritemulti(str(path), FRAMES),
}


def damage(data: bytes, how: str, rng: np.random.Generator) -> bytes:
    broken = bytearray(data)
    match how:
        case "flips":
            for place in rng.integers(0, len(broken), int(rng.integers(1, 40))):
                broken[place] ^= 1 << int(rng.integers(8))
        case "flips in the header":
            for place in rng.integers(0, min(400, len(broken)), int(rng.integers(1, 12))):
                broken[place] ^= 1 << int(rng.integers(8))
        case "cut":
            del broken[int(rng.integers(0, len(broken))) :]
        case "hole":
            start = int(rng.integers(0, len(broken)))
            broken[start : start + int(rng.integers(1, 2000))] = b""
        case "noise":
            start = int(rng.integers(0, len(broken)))
            stop = min(len(broken), start + int(rng.integers(1, 2000)))
            broken[start:stop] = rng.bytes(stop - start)
        case "empty":
            broken.clear()
    return bytes(broken)


DAMAGES = ("flips", "flips in the header", "cut", "hole", "noise", "empty", "wrong ending")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    for name, write in KINDS.items():
        write(folder / name)
    return {name: (folder / name).read_bytes() for name in KINDS}


def test_the_sound_files_are_read_whole_without_a_word(originals, tmp_path: Path):
    for name, data in originals.items():
        (tmp_path / name).write_bytes(data)
        frames, line = read(tmp_path / name)
        assert (name, frames, line) == (name, len(FRAMES), "")


def read(path: Path) -> tuple[int, str]:
    """Return how many frames came and what was said; check each frame."""
    start = time.monotonic()
    times = []
    try:
        with open_source(build_config({"source": {"kind": str(path)}}, "test")) as source:
            while (frame := source.read()) is not None:
                assert frame.pixels.shape == (source.info.height, source.info.width)
                assert frame.pixels.dtype == np.uint8
                times.append(frame.t_source_ns)
            said = " | ".join(source.condition.notices)
            source.close()
    except InputError as error:
        said = str(error)
    assert time.monotonic() - start < LIMIT_S, f"took {time.monotonic() - start:.1f} s"
    assert "\n" not in said
    assert all(b > a for a, b in itertools.pairwise(times)), "times do not rise"
    return len(times), said


def fuzz(originals: dict[str, bytes], folder: Path, seeds: range) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        name = list(KINDS)[seed % len(KINDS)]
        how = DAMAGES[seed // len(KINDS) % len(DAMAGES)]
        path = folder / name
        if how == "wrong ending":
            path = path.with_suffix({".tif": ".mp4", ".mp4": ".tif", ".avi": ".png", ".mkv": ".tiff"}[path.suffix])
        path.write_bytes(damage(originals[name], how, rng))
        try:
            frames, said = read(path)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {name}, {how}: {type(error).__name__}: {error}") from error
        assert frames or said, f"seed {seed}: {name}, {how}: no frame, and nothing said"
        if how in ("cut", "empty") and frames < len(FRAMES):
            assert said, f"seed {seed}: {name}, {how}: {frames} frames, and nothing said"
        path.unlink()


def test_350_damaged_files(originals, tmp_path: Path, capfd):
    """Each kind with each damage, five times."""
    fuzz(originals, tmp_path, range(len(KINDS) * len(DAMAGES) * 5))
    assert capfd.readouterr() == ("", "")
