"""User mistakes: one clear line, exit code 2, no traceback, nothing left behind."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.station_program import ROOT, SMALL, Station, image_folder


def bad_video(folder: Path) -> list[str]:
    (folder / "poem.mp4").write_text("no video " * 100)
    return ["--source", str(folder / "poem.mp4")]


def bad_model(folder: Path) -> list[str]:
    shutil.copytree(ROOT / "models" / "demo", folder / "model")
    with (folder / "model" / "model.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\1\2\3")
    return ["--model", str(folder / "model")]


def config(text: str) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        (folder / "bad.toml").write_text(text)
        return ["--config", str(folder / "bad.toml")]

    return write


def session_into_a_file(folder: Path) -> list[str]:
    (folder / "file").write_text("")
    return ["--config", str(folder / "small.toml"), "--session", str(folder / "file")]


BAD_INPUT: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "missing file": (lambda _: ["--source", "none.mp4"], "none.mp4"),
    "no video": (bad_video, "poem.mp4"),
    "empty folder": (lambda folder: ["--source", str(image_folder(folder / "empty"))], "empty"),
    "images of different sizes": (
        lambda folder: ["--source", str(image_folder(folder / "mixed", (64, 48), (64, 48), (64, 50)))],
        "2.png",
    ),
    "point outside the frame": (
        lambda folder: ["--source", str(image_folder(folder / "p", (64, 48))), "--select", "64,10"],
        "outside the frame",
    ),
    "misspelt key": (config("[tracker]\nmacher = 'auto'\n"), "did you mean 'matcher'"),
    "model with a wrong hash": (bad_model, "model.onnx"),
    "no model": (lambda folder: ["--model", str(folder)], "manifest.json"),
    "window of another size": (config(SMALL + "[window]\nsize = 128\n"), "128"),
    "window of another length": (config(SMALL + "[window]\nframes = 8\n"), "8"),
    "summary into nowhere": (lambda folder: ["--summary", str(folder / "none" / "s.json")], "s.json"),
    "sessions into a file": (session_into_a_file, "--no-record"),
    "no such way to record": (lambda _: ["--record", "some"], "record.mode"),
    "no name of a run": (lambda _: ["--name", "left microscope"], "small letters"),
    "unknown option": (lambda _: ["--sorce", "x"], "--sorce"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_clear_line_and_exit_code_2(station: Station, name: str) -> None:
    make, expected = BAD_INPUT[name]
    done = station.run(*make(station.folder))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert not (station.folder / "summary.json").exists()
    assert done.stderr.startswith("rostfine: ")
    assert expected in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
