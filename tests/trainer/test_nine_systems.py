"""The nine systems of the paper: each trains, resumes, scores, is exported and runs in the station's runtime."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
for package in ("torchvision", "pytorchvideo", "transformers"):
    pytest.importorskip(package, reason="the baselines need the extra [baselines]")

from engine.artifact import Artifact  # noqa: E402
from engine.factory import open_verified_runtime  # noqa: E402
from tests.support.tiny_training import checkpoint, furthest  # noqa: E402
from trainer.__main__ import main  # noqa: E402
from trainer.data.dataset import open_clips  # noqa: E402
from trainer.data.synthetic import simulate  # noqa: E402
from trainer.evaluation.metrics import score  # noqa: E402
from trainer.evaluation.predictors import predict, weights_predictor  # noqa: E402
from trainer.model.systems import SYSTEMS  # noqa: E402
from trainer.training.recipe import BEST, LAST  # noqa: E402


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten simulated clips; every test trains on the same."""
    root = tmp_path_factory.mktemp("nine") / "clips"
    simulate(root, 10, 5, "mixed", 1)
    return root


@pytest.mark.parametrize("system", SYSTEMS)
def test_trains_resumes_scores_and_runs_exported(system: str, clips: Path, tmp_path: Path) -> None:
    scratch = [] if system == "rostfine" else ["--scratch", "true"]
    options = ["--system", system, "--preset", "tiny", *scratch, "--epochs", "2", "--batch", "5", "--threads", "1"]
    whole, cut, model = tmp_path / "whole", tmp_path / "cut", tmp_path / "model"
    train = ["train", "--data", str(clips), "--threads", "1", "--out"]
    assert main([*train, str(whole), *options]) == 0
    assert main([*train, str(cut), *options, "--stop-after", "1"]) == 0
    first = checkpoint(cut / LAST)["model"]
    assert main([*train, str(cut), "--resume"]) == 0
    assert furthest(whole / LAST, cut / LAST) == 0  # as if it had never stopped
    last = checkpoint(cut / LAST)["model"]
    assert all(value.isfinite().all() for value in last.values())
    assert any((last[name] != first[name]).any() for name in first)  # it learns

    held = open_clips(clips)
    predictor = weights_predictor(cut / BEST, "run")
    found = predict(predictor, held)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    logged = json.loads((cut / "log.jsonl").read_text().splitlines()[-1])
    assert logged["mse_x100"] > 0
    cosines = {name: value for name, value in logged.items() if name.startswith("cos_")}
    assert set(cosines) == ({"cos_gs", "cos_gt", "cos_st"} if system == "rostfine" else set())
    assert all(-1 <= value <= 1 for value in cosines.values())
    assert score(found, held.distributions).mse_x100 > 0

    export = ["export", "--weights", str(cut / BEST), "--clips", str(clips), "--out", str(model)]
    assert main(export) == 0
    artifact = Artifact.open(model)
    assert artifact.manifest.network.system == system
    pixels = np.stack([held.pixels(index) for index in range(10)])  # more than one batch
    with open_verified_runtime(artifact) as session:
        graded = session.infer(pixels)
    np.testing.assert_allclose(graded.grade, found, atol=2e-3)
    baseline = system not in ("rostfine", "timesformer")
    assert (graded.heads is None, graded.attention is None) == (baseline, baseline)
    assert SYSTEMS[system].title in (model / "MODEL_CARD.md").read_text() or system == "timesformer"
