"""The bench of the engine: all ways beside each other, and none without its golden clips."""

import json

import pytest

from bench.__main__ import main
from engine.artifact import Artifact
from tests.engine.conftest import artifact, tiny_artifact

__all__ = ["artifact", "tiny_artifact"]


def test_every_way_at_hand_runs_and_what_is_not_there_is_named(
    tiny_artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "--quick", "--count", "2", "--threads", "1", "--model", str(tiny_artifact.folder)]) == 0
    document = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert {"onnxruntime float32", "torch float32", "eager torch float32"} <= set(document["timings"])
    assert "golden grades off by" in document["timings"]["onnxruntime float32"]["note"]
    lines = "\n".join(document["lines"])
    for name in ("onnxruntime int8: ", "torch.compile float32: left out by --quick", "tensorrt float16: "):
        assert f"not run: {name}" in lines


def test_a_way_that_is_wrong_has_no_time(artifact: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    golden = artifact.golden()
    arrays = {name: getattr(golden, name) for name in ("clips", "heads", "attention")}
    np.savez(artifact.folder / "golden.npz", grade=golden.grade[:, ::-1], **arrays)
    from engine.artifact import FILES, Manifest
    from station.files import sha256_of

    manifest = Manifest.model_validate_json((artifact.folder / "manifest.json").read_text())
    manifest = manifest.model_copy(update={"files": {name: sha256_of(artifact.folder / name) for name in FILES}})
    (artifact.folder / "manifest.json").write_text(manifest.model_copy(update={"sha256": manifest.digest()}).to_json())
    assert main(["engine", "--quick", "--count", "1", "--threads", "1", "--model", str(artifact.folder)]) == 2
    assert "no runtime gives the golden clips" in capsys.readouterr().err


@pytest.mark.slow
def test_a_preset_has_integers_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "--quick", "--count", "1", "--preset", "station"]) == 0
    document = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert document["timings"]["onnxruntime int8"]["p50"] > 0
