"""The bench of a GPU: every row runs without one, a failure is a row, and the document is written."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("tensorrt_rtx", reason="compiling needs the package tensorrt-rtx-cu12")

from bench import gpu
from bench.__main__ import main
from bench.support import gpu_rows
from engine.artifact import Artifact
from engine.verify import TOLERANCE
from station.errors import InputError
from tests.support.tiny_artifact import tiny_artifact

__all__ = ["tiny_artifact"]


def test_every_row_runs_and_a_failure_is_one_of_them(
    tiny_artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Any) -> Any:
        raise RuntimeError("CUDA error:\n  no kernel image is available")

    monkeypatch.setattr(gpu, "ceilings", broken)
    monkeypatch.setattr(gpu, "gpu_tests", lambda: gpu_rows.Row(words="1 passed"))  # those tests run by themselves
    assert main(["gpu", "--quick", "--model", str(tiny_artifact.folder), "--out", str(tmp_path / "out")]) == 0
    document = json.loads((tmp_path / "out" / "gpu.json").read_text())
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1])["bench"] == "gpu"
    rows = document["settings"]["rows"]
    assert list(rows) == [
        "card",
        "TensorRT-RTX, demo",
        "torch, demo",
        "ceilings",
        "matcher",
        "training step",
        "GPU tests",
    ]
    assert {name for name, row in rows.items() if row["outcome"] == "failed"} == {"ceilings"}
    assert rows["ceilings"]["words"] == "RuntimeError: CUDA error: no kernel image is available"
    timings = document["timings"]
    for name in ("1 sperm, CUDA graph", "8 sperm, no CUDA graph", "1 sperm, one new frame", "1 sperm, whole window"):
        assert timings[f"TensorRT-RTX, demo, {name}"]["count"] > 0
    sent = {n: f["value"] for n, f in document["figures"].items() if "sent with" in n}
    assert sent["TensorRT-RTX, demo, sent with one new frame"] < sent["TensorRT-RTX, demo, sent with whole window"]
    if not document["settings"]["gpu"]:
        assert "strict fakes" in rows["TensorRT-RTX, demo"]["stand_in"]


def test_a_runtime_that_is_wrong_fails_however_fast(tiny_artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOLERANCE, "float32", dict.fromkeys(("grade", "heads", "attention"), 0.0))
    row = gpu.measured(gpu.Step("torch", lambda: gpu_rows.torch_runs(tiny_artifact, gpu_rows.Gpu(False, 1))))
    assert row.outcome == "failed"
    assert "its times mean nothing" in row.words


def test_a_folder_that_cannot_be_written(
    tiny_artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(gpu, "steps", lambda *_, **__: [])
    with pytest.raises(InputError, match=r"--out .*cannot be written"):
        gpu.run(type("Args", (), {"model": tiny_artifact.folder, "quick": True, "out": tmp_path / "file" / "out"})())
