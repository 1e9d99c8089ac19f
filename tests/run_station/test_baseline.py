"""A network with one output, as those RoSTFine is compared with: it grades live, and what it has not is said."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from engine.artifact import TrainingData
from station.build_info import ROOT
from tests.support.station_program import Station


@pytest.mark.slow
def test_a_baseline_grades_live_and_says_what_it_does_not_have(station: Station, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision", reason="the baselines need the extra [baselines]")
    from trainer.model.artifact_export import ArtifactFacts, export_artifact, pattern_clips
    from trainer.model.systems import config_of, make_network

    torch.manual_seed(1)
    facts = ArtifactFacts(
        name="frame", preset="tiny", demonstration=True, training=TrainingData(description="Random weights."),
        metrics={}, um_per_px=None, fps=None,
    )  # fmt: skip
    network = make_network(config_of("vgg16", "tiny"))
    artifact = export_artifact(network, tmp_path / "frame", facts, pattern_clips(2, (16, 150, 150)), "float32")
    assert artifact.manifest.schema_version == 3
    assert [spec.name for spec in artifact.manifest.outputs] == ["grade"]

    parent = tmp_path / "sessions"
    options = [*station.small, "--speed", "max", "--duration", "2", "--session", str(parent)]
    summary = station.summary(*options, "--model", str(tmp_path / "frame"))
    assert summary["grades"] > 0
    assert summary["model"]["network"] == "vgg16"
    (session,) = parent.iterdir()
    rows = list(csv.DictReader((session / "tables" / "grades.csv").read_text().splitlines()))
    assert len(rows) == summary["grades"]
    assert all(abs(sum(float(row[f"grade_{letter}"]) for letter in "ABCDE") - 1) < 1e-5 for row in rows)
    heads = [f"{head}_{letter}" for head in ("global", "spatial", "temporal") for letter in "ABCDE"]
    assert {row[name] for row in rows for name in heads} == {""}
    assert pq.read_table(session / "tables" / "grades.parquet")["global_A"].null_count == len(rows)

    replayed = station.run("--source", f"replay:{session}", "--speed", "max", "--model", str(tmp_path / "frame"))
    assert replayed.returncode == 0, replayed.stderr
    assert "model   frame (vgg16), onnxruntime" in replayed.stdout
    compared = station.folder / "against.csv"
    done = subprocess.run(
        [sys.executable, "run_station.py", "compare", str(session), "--model", "models/demo", "--out", str(compared)],
        cwd=ROOT, env=station.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(compared.with_suffix(".json").read_text())["windows"] == summary["grades"]
