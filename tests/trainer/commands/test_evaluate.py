"""Scoring: files agree with the measures, a cross-validation is scored fold by fold, plots are reproducible."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from station.build_info import ROOT
from station.notice import NOTICE
from trainer.__main__ import main
from trainer.data.clip_files import write_clip
from trainer.data.clip_table import ClipRow
from trainer.data.dataset import open_clips, read_hashes, write_table
from trainer.data.loader import middle_frames
from trainer.data.synthetic import simulate
from trainer.evaluation.bootstrap import intervals
from trainer.evaluation.folds import RunSummary, fold_table, summarise
from trainer.evaluation.metrics import Scores, score
from trainer.evaluation.plots import sample
from trainer.evaluation.predictors import parse_heads, weights_predictor
from trainer.evaluation.report import METRICS_FORMAT

DEMO = ROOT / "models" / "demo"
PLOTS = ("reliability", "confusion", "distributions", "clips")


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few simulated clips."""
    root = tmp_path_factory.mktemp("held") / "data"
    simulate(root, 18, 31, "mixed")
    return root


@pytest.fixture(scope="module")
def scored(held: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration model scored on them, with every ablation."""
    out = tmp_path_factory.mktemp("scores")
    command = ["evaluate", "--model", str(DEMO), "--data", str(held), "--ablate", "all", "--bootstrap", "50"]
    assert main([*command, "--out", str(out)]) == 0
    return out


def read_predictions(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    with (folder / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(np.array([[float(row[f"{what}_{g}"]) for g in "ABCDE"] for row in rows]) for what in
                 ("grade", "votes"))  # fmt: skip


def test_metrics_are_those_of_the_predictions(scored: Path, held: Path) -> None:
    metrics = json.loads((scored / "metrics.json").read_text())
    predicted, voted = read_predictions(scored)
    clips = open_clips(held)
    np.testing.assert_allclose(voted, clips.distributions, atol=1e-6)
    np.testing.assert_allclose(predicted.sum(axis=1), 1, atol=1e-4)
    expected = score(predicted, voted)
    model = metrics["scores"]["model"]
    assert model["mse_x100"] == pytest.approx(expected.mse_x100, rel=1e-3)
    assert model["js_x100"] == pytest.approx(expected.js_x100, rel=1e-3)
    assert model["balanced_accuracy"] == pytest.approx(expected.balanced_accuracy)
    mean = score(np.tile(clips.distributions.mean(axis=0), (18, 1)), clips.distributions)
    assert metrics["ratio_to_mean"]["model"]["mse"] == pytest.approx(expected.mse_x100 / mean.mse_x100, rel=1e-3)
    assert set(metrics["scores"]) == {"model", "mean distribution", "train mode", "second panel"}
    assert metrics["ratio_to_mean"]["second panel"]["mse"] < 0.3
    assert metrics["format"] == METRICS_FORMAT
    assert metrics["notice"] == NOTICE
    assert sum(map(sum, metrics["confusion"])) == 18
    assert sum(one["count"] for one in metrics["reliability"]) == 18 * 5
    low, high = metrics["intervals"]["mse_x100"]
    assert low < model["mse_x100"] < high


def test_ablations_are_scored_beside_the_unchanged_clips(scored: Path) -> None:
    metrics = json.loads((scored / "metrics.json").read_text())
    assert set(metrics["ablations"]) == {"freeze", "blank-head", "blank-rest"}
    for item in metrics["ablations"].values():
        ratio = item["scores"]["mse_x100"] / metrics["scores"]["model"]["mse_x100"]
        assert item["mse_over_unchanged"] == pytest.approx(ratio)
        assert item["scores"] != metrics["scores"]["model"]
    # The demonstration model looks at the head.
    assert metrics["ablations"]["blank-head"]["mse_over_unchanged"] > 1.2
    assert metrics["ablation_settings"] == {"head_um": 7.0, "seed": 1}


def test_figures_are_what_export_takes(scored: Path) -> None:
    figures = json.loads((scored / "figures.json").read_text())
    assert figures["held-out clips"] == 18
    assert all(isinstance(value, float | int) for value in figures.values())
    assert "MSE over that of the mean distribution" in figures


def test_plots_are_drawn_and_the_same_figures_give_the_same_files(scored: Path, held: Path, tmp_path: Path) -> None:
    command = ["evaluate", "--model", str(DEMO), "--data", str(held), "--ablate", "all", "--bootstrap", "50"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    for name in PLOTS:
        assert (scored / f"{name}.png").stat().st_size > 5000
        assert (scored / f"{name}.svg").read_bytes() == (tmp_path / f"{name}.svg").read_bytes()
    assert (scored / "metrics.json").read_bytes() == (tmp_path / "metrics.json").read_bytes()


def test_plots_can_be_left_out(held: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "--model", str(DEMO), "--data", str(held), "--out", str(tmp_path), "--no-plots"]
    assert main([*command, "--bootstrap", "5"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "figures.json", "predictions.csv"}
    assert NOTICE in capsys.readouterr().out


def test_clips_that_were_known_before_are_said(held: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "--model", str(DEMO), "--data", str(held), "--bootstrap", "5", "--no-plots"]
    assert main([*command, "--reference", str(held), "--out", str(tmp_path / "a")]) == 0
    assert "caution: 18 of the 18 scored clips are in" in capsys.readouterr().out
    assert json.loads((tmp_path / "a" / "metrics.json").read_text())["caution"].startswith("18 of the 18")
    simulate(tmp_path / "other", 3, 32, "mixed")
    assert main([*command, "--reference", str(tmp_path / "other"), "--out", str(tmp_path / "b")]) == 0
    assert "caution" not in capsys.readouterr().out
    assert json.loads((tmp_path / "b" / "metrics.json").read_text())["caution"] == ""


def test_other_clips_of_a_known_source_are_said(held: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(tmp_path / "same", 1, 99, "mixed")
    other = open_clips(tmp_path / "same")
    row = replace(other.rows[0], source=open_clips(held).sources[0])
    write_table(other.root, [row], read_hashes(other.root), other.shape, {})
    command = ["evaluate", "--model", str(DEMO), "--data", str(held), "--bootstrap", "5", "--no-plots"]
    assert main([*command, "--reference", str(tmp_path / "same")]) == 0
    assert "caution: 1 sources (donors or videos)" in capsys.readouterr().out


def test_the_table_of_five_folds_fits_into_80_columns() -> None:
    each = Scores(12.345, 4.4321, 0.8123, 0.1234, (1.0,) * 5, 1.0, 1.2)
    folds = [RunSummary(n, 10, 1, {"model": each, "mean distribution": each}) for n in range(1, 6)]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(fold_table(folds, summarise(folds)))
    shown = console.export_text()
    assert "…" not in shown
    assert shown.count("12.35") == 7
    assert shown.count("4.432") == 7


BAD_COMMANDS = {
    "head wider than the clip": (["--ablate", "all", "--head-um", "40"], "--head-um 40: the clips show 37.5 um"),
    "heads": (["--heads", "g,x"], "--heads g,x: expected some of g, s and t"),
    "ablation": (
        ["--ablate", "freeze,tail"],
        "--change-input tail: expected some of freeze, blank-head, blank-rest, or all",
    ),
    "head": (["--head-um", "0"], "--head-um 0: must be above 0"),
    "draws": (["--bootstrap", "0"], "--bootstrap must be at least 1"),
}


@pytest.mark.parametrize(("options", "words"), BAD_COMMANDS.values(), ids=BAD_COMMANDS)
def test_a_mistake_is_one_line(held: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str) -> None:
    assert main(["evaluate", "--model", str(DEMO), "--data", str(held), *options]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_clips_of_another_shape_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    (root / "clips").mkdir(parents=True)
    digest = write_clip(root / "clips" / "a.npz", np.zeros((16, 20, 20), np.uint8))
    row = ClipRow("a", "clips/a.npz", "v", 0.25, 15.0, (1, 0, 0, 0, 0))
    write_table(root, [row], {"clips/a.npz": digest}, (16, 20, 20), {})
    assert main(["evaluate", "--model", str(DEMO), "--data", str(root)]) == 2
    assert "clips are (16, 20, 20)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_cross_validation_is_scored_fold_by_fold_as_training_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch", reason="training needs torch")
    from trainer.model.weights import load_weights

    root = tmp_path / "data"
    (root / "clips").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows, hashes = [], {}
    for index in range(24):
        file = f"clips/{index}.npz"
        hashes[file] = write_clip(root / file, rng.integers(20 * (index % 5), 255, (4, 20, 20)).astype(np.uint8))
        votes = tuple(30 if index % 5 == k else 2 + k for k in range(5))
        rows.append(ClipRow(f"c{index}", file, f"video{index // 2}", 0.25, 15.0, votes))
    write_table(root, rows, hashes, (4, 20, 20), {})
    tiny = ("frames=2", "clip_px=20", "image_px=20", "patch_px=10", "width=16", "depth=2", "heads=2", "selected=2",
            "branch_depth=1", "branch_heads=2")  # fmt: skip
    network = [word for change in tiny for word in ("--network", change)]
    cv = tmp_path / "cv"
    train = ["crossval", "--data", str(root), "--out", str(cv), "--folds", "3", "--epochs", "1", "--threads", "1"]
    assert main([*train, "--holdout", "0.2", *network]) == 0
    out = tmp_path / "scores"
    command = ["evaluate", "--crossval", str(cv), "--data", str(root), "--change-input", "freeze", "--out", str(out)]
    assert main([*command, "--bootstrap", "20"]) == 0
    mine, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (out, cv))
    assert len(mine["folds"]) == 3
    for fold, expected in zip(mine["folds"], theirs["folds"], strict=True):
        for name in ("model", "mean distribution"):
            for measure in ("mse_x100", "js_x100", "emd"):
                assert fold["scores"][name][measure] == pytest.approx(expected["scores"][name][measure], rel=1e-4)
    assert mine["mean"]["model"]["mse_x100"] == pytest.approx(
        np.mean([fold["scores"]["model"]["mse_x100"] for fold in mine["folds"]])
    )
    assert mine["data"]["clips"] == 24  # every clip once, by the network that never saw it
    assert mine["ablations"]["freeze"]["scores"]["mse_x100"] > 0
    # Fewer heads than it was trained with are averaged when asked for.
    held = open_clips(root)
    pixels = np.stack([middle_frames(held.pixels(index), 2) for index in range(8)])
    rows = load_weights(cv / "fold-1" / "best.pt").network(torch.from_numpy(pixels)).heads[:, [0, 2]].mean(1)
    fewer = weights_predictor(cv / "fold-1" / "best.pt", "run", heads=parse_heads("t,g"))
    assert fewer.name == "run (heads g, t)"
    np.testing.assert_allclose(fewer.grade(pixels), rows.detach().numpy(), atol=1e-6)
    assert main([*command, "--bootstrap", "20", "--heads", "g,s"]) == 0
    assert json.loads((out / "metrics.json").read_text())["scored"] == f"{cv} (heads g, s)"
    # A run that is scored on what it learned from says so.
    own = ["evaluate", "--run", str(cv / "fold-1"), "--data", str(root), "--bootstrap", "5"]
    assert main([*own, "--no-plots", "--out", str(tmp_path / "own")]) == 0
    assert "was trained on these clips" in json.loads((tmp_path / "own" / "metrics.json").read_text())["caution"]
    assert "…" not in capsys.readouterr().out
    # A fold that is not done is not scored.
    (cv / "fold-2" / "best.pt").unlink()
    assert main(command) == 2


def test_an_interval_holds_the_figure_and_follows_the_sources() -> None:
    rng = np.random.default_rng(3)
    target = rng.dirichlet(np.ones(5), 60)
    predicted = 0.7 * target + 0.3 * rng.dirichlet(np.ones(5), 60)
    mean = np.tile(target.mean(axis=0), (60, 1))
    alone = intervals(predicted, target, mean, [str(k) for k in range(60)], 400, 1)
    found = score(predicted, target)
    assert alone["mse_x100"][0] < found.mse_x100 < alone["mse_x100"][1]
    assert alone["js_x100"][0] < found.js_x100 < alone["js_x100"][1]
    # The standard error of a mean, near enough: half the interval is about two of them.
    each = 100 * ((predicted - target) ** 2).mean(axis=1)
    half = (alone["mse_x100"][1] - alone["mse_x100"][0]) / 2
    assert half == pytest.approx(1.96 * each.std() / np.sqrt(60), rel=0.2)
    assert intervals(predicted, target, mean, [str(k) for k in range(60)], 400, 1) == alone
    one = intervals(predicted, target, mean, ["same"] * 60, 20, 1)  # one source: nothing varies
    assert one["mse_x100"][0] == pytest.approx(found.mse_x100)
    assert one["mse_x100"][1] == pytest.approx(found.mse_x100)


def test_the_sample_has_the_best_the_middle_and_the_worst() -> None:
    errors = np.arange(100.0)[::-1]
    assert sample(errors, 9) == [99, 98, 97, 51, 50, 49, 2, 1, 0]
    assert sample(errors[:4], 9) == [3, 2, 1, 0]
