"""A model made for another scale: refused in one line, or forced, and then every grade says so."""

import csv
from pathlib import Path

import pytest

from engine.artifact import NetworkConfig, TrainingData
from tests.support.station_program import Station


@pytest.mark.slow
def test_a_model_for_another_scale(station: Station, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from trainer.model.artifact_export import ArtifactFacts, export_artifact, pattern_clips
    from trainer.model.rostfine import Rostfine

    torch.manual_seed(1)
    config = NetworkConfig(
        branch="prenorm", frames=16, clip_px=150, image_px=150, patch_px=50, width=32, depth=2, heads=2, selected=3,
        branch_depth=1, branch_heads=2,
    )  # fmt: skip
    facts = ArtifactFacts(
        name="half", preset="station", demonstration=False, training=TrainingData(description="Random weights."),
        metrics={"mse": 0.5}, um_per_px=0.5, fps=15.0,
    )  # fmt: skip
    export_artifact(Rostfine(config), tmp_path / "half", facts, pattern_clips(2, (16, 150, 150)), "float32")
    options = [*station.small, "--model", str(tmp_path / "half"), "--speed", "max", "--duration", "2"]
    refused = station.run(*options)
    assert refused.returncode == 2
    assert "made for 0.5 um/px, the source has 0.25" in refused.stderr
    assert "--force-model" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1

    parent = tmp_path / "sessions"
    summary = station.summary(*options, "--force-model", "--session", str(parent))
    assert any("grades may be wrong" in caution for caution in summary["cautions"])
    (session,) = parent.iterdir()
    rows = list(csv.DictReader((session / "tables" / "grades.csv").read_text().splitlines()))
    assert len(rows) == summary["grades"] > 0
    assert {row["doubts"] for row in rows} == {"scale differs"}
    assert {row["validity"] for row in rows} <= {"unsuited", "disturbed"}
    assert all(int(row["frame"]) - int(row["first_frame"]) == 15 for row in rows)
    assert {float(row["span_ms"]) for row in rows} == {1000.0}
