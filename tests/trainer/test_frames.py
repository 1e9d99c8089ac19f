"""A network of fewer frames than the clips have: which it takes is the same everywhere, and said."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from engine.__main__ import main as engine  # noqa: E402
from engine.artifact import Artifact  # noqa: E402
from engine.onnx_runtime import OnnxSession  # noqa: E402
from station.build_info import ROOT  # noqa: E402
from station.options import parse_options  # noqa: E402
from station.stride import window_stride  # noqa: E402
from tests.support.tiny_training import command, make_clips  # noqa: E402
from trainer.__main__ import main  # noqa: E402
from trainer.data.dataset import open_clips  # noqa: E402
from trainer.data.loader import describe_frames, middle_frames  # noqa: E402
from trainer.model.foreign_weights import import_weights  # noqa: E402
from trainer.model.rostfine import Rostfine, preset  # noqa: E402
from trainer.model.weights import load_weights, save_weights  # noqa: E402

SAID = "the network takes 2 of a clip's 4 frames: one of every 2, frame 2 first"


@pytest.fixture(scope="module")
def run(tiny_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a network of 2 frames on clips of 4, at 15 frames a second."""
    out = tmp_path_factory.mktemp("run") / "run"
    assert main(command("train", tiny_clips, out, "--epochs", "1")) == 0
    return out


@pytest.mark.parametrize(
    ("of", "frames", "taken"),
    [(16, 16, list(range(16))), (16, 8, list(range(1, 16, 2))), (16, 4, [2, 6, 10, 14]), (4, 1, [2]), (3, 1, [1])],
)
def test_the_middle_one_of_every_few_is_taken(of: int, frames: int, taken: list[int]) -> None:
    clip = np.broadcast_to(np.arange(of, dtype=np.uint8)[:, None, None], (of, 2, 2))
    assert middle_frames(clip, frames)[:, 0, 0].tolist() == taken
    assert (f"frame {taken[0] + 1} first" in describe_frames(of, frames)) == (of != frames)


def test_training_and_scoring_say_which_frames(
    run: Path, tiny_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command("train", tiny_clips, tmp_path / "again", "--epochs", "1")) == 0
    assert f"note: {SAID}; in training a random one first" in capsys.readouterr().out
    assert main(["evaluate", "--run", str(run), "--data", str(tiny_clips), "--bootstrap", "5"]) == 0
    assert f"note: {SAID}" in capsys.readouterr().out
    whole = ["--network", "frames=4"]
    assert main(command("train", tiny_clips, tmp_path / "whole", "--epochs", "1", *whole)) == 0
    assert "the network takes" not in capsys.readouterr().out


def test_export_takes_the_same_frames_and_writes_their_rate(
    run: Path, tiny_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    words = ["export", "--weights", str(run / "best.pt"), "--clips", str(tiny_clips), "--out", str(model)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert f"note: {SAID}" in said
    assert "made for 0.25 um/px, 7.5 frames/s" in said
    artifact, clips = Artifact.open(model), open_clips(tiny_clips)
    assert (artifact.manifest.um_per_px, artifact.manifest.fps) == (0.25, 7.5)
    assert artifact.manifest.network.frames == 2
    np.testing.assert_array_equal(artifact.golden().clips[1], clips.pixels(1)[1::2])
    assert engine(["verify", str(model)]) == 0
    # The model's figures are the run's, clip by clip: both were shown the same frames.
    with OnnxSession(artifact, threads=1) as session, torch.inference_mode():
        shown = np.stack([middle_frames(clips.pixels(k), 2) for k in range(5)])
        expected = load_weights(run / "best.pt").network(torch.from_numpy(shown)).grade.numpy()
        np.testing.assert_allclose(session.infer(shown).grade, expected, atol=2e-3)
    capsys.readouterr()
    assert main(["evaluate", "--model", str(model), "--data", str(tiny_clips), "--bootstrap", "5"]) == 0
    assert f"note: {SAID}" in capsys.readouterr().out


def test_the_station_cuts_windows_of_the_models_frames_at_its_rate(run: Path, tiny_clips: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    assert main(["export", "--weights", str(run / "best.pt"), "--clips", str(tiny_clips), "--out", str(model)]) == 0
    config = parse_options(["--model", str(model)]).config
    assert (config.window.frames, config.window.size) == (2, 20)
    assert window_stride(config.window.stride, 15.0, Artifact.open(model).manifest.fps) == 2
    assert (parse_options([]).config.window.frames, parse_options([]).config.window.size) == (16, 150)
    (tmp_path / "station.toml").write_text(f'[window]\nframes = 16\n[engine]\nmodel = "{model.as_posix()}"\n')
    assert parse_options(["--config", str(tmp_path / "station.toml")]).config.window.frames == 16


def test_unlabelled_clips_can_be_golden(run: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    make_clips(data, 5, labelled=False)
    words = ["export", "--weights", str(run / "best.pt"), "--clips", str(data), "--out", str(tmp_path / "model")]
    assert main(words) == 0
    assert len(Artifact.open(tmp_path / "model").golden().clips) == 4


def test_an_export_that_does_not_know_scale_and_rate_says_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", "--weights", str(run / "best.pt"), "--out", str(tmp_path / "model")]
    assert main(words) == 0
    assert "note: made for no scale, no frame rate" in capsys.readouterr().out
    assert main([*words, "--um-per-px", "0.5", "--fps", "7.5"]) == 0
    assert "made for 0.5 um/px, 7.5 frames/s" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())
    assert (manifest["um_per_px"], manifest["fps"]) == (0.5, 7.5)


def test_imported_weights_are_scored(tiny_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    shape = {"frames": 2, "clip_px": 20, "image_px": 20, "patch_px": 10, "width": 16, "depth": 2, "heads": 2}
    theirs = Rostfine(preset("base", branch="reference", **shape, selected=2, branch_heads=2))
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "theirs.pth")
    imported = import_weights(tmp_path / "theirs.pth", heads=2, clip_px=20, selected=2, branch_heads=2)
    save_weights(imported.network, tmp_path / "w.safetensors")
    words = ["evaluate", "--data", str(tiny_clips), "--bootstrap", "5", "--no-plots"]
    assert main([*words, "--weights", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "scores")]) == 0
    assert f"note: {SAID}" in capsys.readouterr().out
    clips = open_clips(tiny_clips)
    shown = torch.from_numpy(np.stack([clips.pixels(k)[1::2] for k in range(len(clips))]))
    with torch.inference_mode():
        expected = 100 * ((theirs.eval()(shown).grade.numpy() - clips.distributions) ** 2).mean()
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert metrics["scores"]["model"]["mse_x100"] == pytest.approx(expected, rel=1e-5)
    assert metrics["scored"] == str(tmp_path / "w.safetensors")


def test_a_checkpoint_that_saw_the_clips_is_cautioned_of(
    run: Path, tiny_clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "--weights", str(run / "best.pt"), "--data", str(tiny_clips), "--bootstrap", "5"]
    assert main(words) == 0
    assert "caution: this run was trained on these clips" in capsys.readouterr().out


def test_clips_in_a_file_may_have_a_multiple_of_the_frames(run: Path, tmp_path: Path) -> None:
    clips = np.random.default_rng(0).integers(0, 256, (3, 4, 20, 20), np.uint8)
    answers = []
    for name, array in (("whole", clips), ("taken", clips[:, 1::2])):
        np.save(tmp_path / f"{name}.npy", array)
        words = ["predict", "--weights", str(run / "best.pt"), "--clips", str(tmp_path / f"{name}.npy")]
        assert main([*words, "--out", str(tmp_path / f"{name}.npz")]) == 0
        with np.load(tmp_path / f"{name}.npz") as found:
            answers.append(found["grade"])
    np.testing.assert_array_equal(*answers)


@pytest.mark.slow
def test_the_station_grades_with_a_network_of_fewer_frames(run: Path, tiny_clips: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    assert main(["export", "--weights", str(run / "best.pt"), "--clips", str(tiny_clips), "--out", str(model)]) == 0
    words = ["--model", str(model), "--headless", "--speed", "max", "--duration", "2", "--select", "auto:2"]
    done = subprocess.run(
        [sys.executable, "run_station.py", *words, "--record", "off", "--summary", str(tmp_path / "summary.json")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["grades"] > 10
