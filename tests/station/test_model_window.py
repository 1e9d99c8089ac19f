"""The window of a model's manifest, or nothing: what is wrong with a model is for the engine to say."""

import json
import os
from pathlib import Path

import pytest

from station.model_window import model_window


def test_frames_and_size(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"network": {"frames": 4, "clip_px": 24}}))
    assert model_window(tmp_path) == {"frames": 4, "size": 24}


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", "{}", '{"network": {"frames": 1e999, "clip_px": 1}}'])
def test_a_manifest_that_does_not_say(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert model_window(tmp_path) == {}


def test_no_manifest(tmp_path: Path) -> None:
    assert model_window(tmp_path) == {}
    if os.name != "nt":
        os.mkfifo(tmp_path / "manifest.json")
        assert model_window(tmp_path) == {}
