"""Single clips that somebody prepared: bombs, headers that lie, pipes; each refused in one line, in little memory."""

import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.artifact import NetworkConfig
from station.errors import InputError
from trainer.data import clip_files
from trainer.data.clip_files import read_clip, read_clips, write_clip

CLIP = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clip.npy", bytes(60 << 20))


def lying(path: Path) -> None:
    np.save(path.with_suffix(".npy"), CLIP)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clip.npy", path.with_suffix(".npy").read_bytes().replace(b"(4, 8, 8)", b"(9, 9, 9)"))


def objects(path: Path) -> None:
    np.savez(path, clip=np.array([{}], object))


PREPARED: dict[str, tuple[Callable[[Path], None], str]] = {
    "bomb": (bomb, r"of 62914560 bytes is larger than"),
    "header that lies": (lying, "takes 729 bytes, the file holds 256"),
    "objects": (objects, "not numbers"),
}


@pytest.mark.parametrize("case", PREPARED)
def test_prepared_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.setattr(clip_files, "MAX_CLIP_BYTES", 1 << 20)
    make, expected = PREPARED[case]
    make(tmp_path / "a.npz")
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=f"expected an npz file with an array 'clip', got .*{expected}"):
            read_clip(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_a_video_of_more_than_a_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path / "a.mkv", np.zeros((20, 64, 64), np.uint8))
    assert read_clip(tmp_path / "a.mkv").shape == (20, 64, 64)
    monkeypatch.setattr(clip_files, "MAX_CLIP_BYTES", 10 * 64 * 64)
    with pytest.raises(InputError, match="cut it into clips"):
        read_clip(tmp_path / "a.mkv")


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
@pytest.mark.parametrize("ending", [".npz", ".mkv"])
def test_pipes_are_no_clips(tmp_path: Path, ending: str) -> None:
    os.mkfifo(tmp_path / f"a{ending}")
    with pytest.raises(InputError, match="it is a pipe, not a file"):
        read_clip(tmp_path / f"a{ending}")


def test_an_array_of_clips_is_as_long_as_it_says(tmp_path: Path) -> None:
    network = NetworkConfig()
    clips = np.zeros((1, 16, 150, 150), np.uint8)
    np.save(tmp_path / "a.npy", clips)
    assert read_clips(tmp_path / "a.npy", network).shape == clips.shape
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"(1, 16, 150, 150)", b"(9, 16, 150, 150)"))
    with pytest.raises(InputError, match="takes 3240000 bytes, the file holds 360000"):
        read_clips(tmp_path / "a.npy", network)
