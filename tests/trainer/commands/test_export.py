"""Exporting: the ONNX graph against the torch network, and the artifact's files."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from station.notice import NOTICE

torch = pytest.importorskip("torch", reason="exporting needs the extra [train]")
pytest.importorskip("onnx", reason="exporting needs the extra [train]")

import onnxruntime as ort  # noqa: E402

from capture.simulator.clips import render_clip  # noqa: E402
from capture.simulator.sperm import sample_sperm  # noqa: E402
from engine.artifact import Artifact, NetworkConfig, TrainingData  # noqa: E402
from station.errors import InputError  # noqa: E402
from trainer import __main__ as command  # noqa: E402
from trainer.model.artifact_export import ArtifactFacts, export_artifact, pattern_clips  # noqa: E402
from trainer.model.export_inputs import golden_clips  # noqa: E402
from trainer.model.lower_precision import most_mean_square  # noqa: E402
from trainer.model.onnx_graph import build_graph  # noqa: E402
from trainer.model.rostfine import Rostfine, preset  # noqa: E402
from trainer.model.weights import save_weights  # noqa: E402

SMALL: dict[str, Any] = {
    "frames": 4, "clip_px": 30, "image_px": 24, "patch_px": 8, "width": 32, "depth": 3, "heads": 2, "selected": 3,
    "branch_depth": 2, "branch_heads": 4,
}  # fmt: skip
CASES = {
    "paper": preset("station", branch="paper", **SMALL),
    "reference": preset("station", branch="reference", **SMALL),
    "prenorm": preset("station", branch="prenorm", **SMALL),
    "one score block": preset("station", **SMALL, score_blocks=1),
    "all score blocks": preset("station", **SMALL, score_blocks=3),
    "one branch block": preset("station", **(SMALL | {"branch_depth": 1})),
    "no resizing": preset("station", **(SMALL | {"clip_px": 24})),
    "v_g alone": preset("station", **SMALL, features=("g",)),
    "v_s alone": preset("station", **SMALL, features=("s",)),
    "v_g and v_t": preset("station", **SMALL, features=("g", "t")),
    "concatenated": preset("station", **SMALL, aggregation="concat"),
    "summed v_g and v_s": preset("station", **SMALL, aggregation="sum", features=("g", "s")),
    "one of all": preset("station", **(SMALL | {"depth": 1, "branch_depth": 1, "selected": 1}), score_blocks=1),
}


def lively(config: NetworkConfig, size: float = 0.15) -> Rostfine:
    torch.manual_seed(0)
    network = Rostfine(config).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * size)
    return network


def session_of(network: Rostfine, precision: Any = "float32") -> ort.InferenceSession:
    weights = {name: value.double().numpy() for name, value in network.state_dict().items()}
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(build_graph(weights, network.config, precision).SerializeToString(), options)


def worst(network: Rostfine, session: ort.InferenceSession, clips: Any) -> list[float]:
    """Return the largest difference of grade, heads and attention."""
    with torch.inference_mode():
        expected = network(torch.from_numpy(clips))[:3]
    found = session.run(["grade", "heads", "attention"], {"clip": clips})
    return [float(np.abs(ours - theirs.numpy()).max()) for ours, theirs in zip(found, expected, strict=True)]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_graph_is_the_network(case: str, count: int) -> None:
    network = lively(CASES[case])
    clips = np.random.default_rng(count).integers(
        0, 256, (count, 4, network.config.clip_px, network.config.clip_px), np.uint8
    )
    assert max(worst(network, session_of(network), clips)) < 1e-5


@pytest.mark.slow
def test_station_in_float32_over_64_clips() -> None:
    network = lively(preset("station"), 0.04)
    session = session_of(network)
    clips = np.random.default_rng(0).integers(0, 256, (64, 16, 150, 150), np.uint8)
    ends = np.cumsum([1] * 16 + [3] * 8 + [8] * 3)
    off = [worst(network, session, part)[0] for part in np.split(clips, ends[:-1])]
    assert ends[-1] == 64
    assert max(off) < 1e-5


def test_float16_weights_stay_close() -> None:
    network = lively(CASES["prenorm"], 0.1)
    clips = np.random.default_rng(0).integers(0, 256, (8, 4, 30, 30), np.uint8)
    session = session_of(network, "float16")
    assert 0 < worst(network, session, clips)[0] < 2e-3
    np.testing.assert_allclose(session.run(["grade"], {"clip": clips})[0].sum(axis=1), 1, atol=1e-5)


def simulated(count: int) -> Any:
    """Return clips (N, 16, 150, 150) of simulated sperm."""
    rng = np.random.default_rng(5)
    return np.stack([render_clip(sample_sperm(rng), rng) for _ in range(count)])


@torch.no_grad()
def told_apart(network: Rostfine, clips: Any) -> Rostfine:
    """Set the heads so that five different clips each get their own grade: random heads grade all clips alike."""
    outputs = [network(torch.from_numpy(part)) for part in np.array_split(clips, len(clips) // 4)]
    for name in network.config.features:
        features = torch.cat([getattr(output, f"v_{name}") for output in outputs])
        centred = features - features.mean(0)
        models = [0]
        for _ in range(4):
            models.append(int(torch.cdist(features, features[models]).amin(1).argmax()))
        scale = 1.5 / centred.pow(2).sum(1).mean()
        head = network.get_submodule(f"head_{name}")
        head.weight.copy_(centred[models] * scale)
        head.bias.copy_(-head.weight @ features.mean(0) - centred[models].pow(2).sum(1) * scale / 2)
    return network


@pytest.mark.slow
def test_float16_weights_call_simulated_clips_the_same() -> None:
    clips = simulated(int(os.environ.get("TEST_CLIPS", "40")))
    network = told_apart(lively(preset("station"), 0.04), clips[:40])
    grades = [
        np.concatenate([session.run(["grade"], {"clip": clip[None]})[0] for clip in clips])
        for session in (session_of(network), session_of(network, "float16"))
    ]
    most_likely = [grade.argmax(axis=1) for grade in grades]
    assert len(set(most_likely[0])) > 2, "a network that calls all clips alike shows nothing"
    assert (most_likely[0] == most_likely[1]).mean() >= 0.99
    assert np.abs(grades[0] - grades[1]).max() < 2e-3
    np.testing.assert_allclose(grades[1].sum(axis=1), 1, atol=1e-5)


def export(folder: Path, precision: Any = "float16", **changes: Any) -> Any:
    values: dict[str, Any] = {
        "name": "small", "preset": "station", "demonstration": True, "metrics": {"mse": 0.01}, "um_per_px": 0.25,
        "fps": 15.0, "training": TrainingData(description="Random weights.", clips=3, seed=1),
    }  # fmt: skip
    facts = ArtifactFacts(**(values | changes))
    return export_artifact(lively(CASES["prenorm"]), folder, facts, pattern_clips(2, (4, 30, 30)), precision)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_exporting_again_gives_the_same_bytes(tmp_path: Path, precision: Any) -> None:
    first, second = export(tmp_path / "a", precision=precision), export(tmp_path / "b", precision=precision)
    assert first.manifest == second.manifest
    for path in first.folder.iterdir():
        assert path.read_bytes() == (second.folder / path.name).read_bytes(), path.name
    assert len(list(first.folder.iterdir())) == 4


def test_weights_are_stored_once_and_in_their_precision(tmp_path: Path) -> None:
    sizes = {p: export(tmp_path / p, precision=p).model_path.stat().st_size for p in ("float16", "float32")}
    network = lively(CASES["prenorm"])
    # The two temporal layers are one, and the patch embedding has one channel of three.
    merged = sum(block.temporal_fc.weight.numel() for block in network.encoder.blocks)
    stored = sum(weight.numel() for weight in network.parameters()) - merged
    assert sizes["float32"] - sizes["float16"] == pytest.approx(2 * stored, rel=0.1)


def test_card_and_manifest_say_what_it_is(tmp_path: Path) -> None:
    artifact = export(tmp_path / "small")
    card = (artifact.folder / "MODEL_CARD.md").read_text()
    for expected in (NOTICE, "demonstration model", "Random weights.", "| mse | 0.01 |", "0.25 um/px", "15 frames/s"):
        assert expected in card
    assert artifact.manifest.training.clips == 3
    assert "## Limits" in card
    assert "demonstration" not in (export(tmp_path / "real", demonstration=False).folder / "MODEL_CARD.md").read_text()


def test_notes_stand_in_the_card_before_its_limits(tmp_path: Path) -> None:
    folder = export(tmp_path / "noted", notes=("## Known failures\n\nMany.\n", "## Inputs\n\nAll.")).folder
    card = (folder / "MODEL_CARD.md").read_text()
    places = [card.index(text) for text in ("## Figures", "## Known failures\n\nMany.", "## Inputs", "## Limits")]
    assert places == sorted(places)


def make_integers_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 12 clips make the integers, not 96, for the test's time; as many prove them as ever."""
    monkeypatch.setattr("trainer.model.lower_precision.MOST_RANGING", 8)
    monkeypatch.setattr("trainer.model.lower_precision.MOST_WEIGHING", 4)


class TestCommand:
    def test_exports_weights(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        save_weights(lively(CASES["paper"]), tmp_path / "w.safetensors", origin="drawn at random")
        (tmp_path / "metrics.json").write_text(json.dumps({"mse": 0.5}))
        np.save(tmp_path / "clips.npy", pattern_clips(5, (4, 30, 30)))
        arguments = ["export", "--weights", "w.safetensors", "--out", "model", "--metrics", "metrics.json", "--clips"]
        arguments = [
            str(tmp_path / word) if (tmp_path / word).exists() or word == "model" else word for word in arguments
        ]
        assert command.main([*arguments, str(tmp_path / "clips.npy"), "--fps", "30"]) == 0
        manifest = json.loads((tmp_path / "model" / "manifest.json").read_text())
        assert (manifest["name"], manifest["fps"], manifest["metrics"]) == ("model", 30.0, {"mse": 0.5})
        assert manifest["training"]["description"] == "drawn at random"
        assert "engine verify" in capsys.readouterr().out

    def test_float16_that_does_not_hold_is_refused_and_nothing_is_left(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        sensitive = lively(CASES["prenorm"], 0.1)
        with torch.no_grad():
            answer = sensitive(torch.from_numpy(pattern_clips(4, (4, 30, 30))[:1]))
            for name in sensitive.config.features:  # heads that make much of the least change of a feature
                head = sensitive.get_submodule(f"head_{name}")
                head.weight.mul_(300)
                head.bias.copy_(-head.weight @ getattr(answer, f"v_{name}")[0])
        save_weights(sensitive, tmp_path / "w.safetensors")
        arguments = ["export", "--weights", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "model")]
        assert command.main(arguments) == 2
        error = capsys.readouterr().err
        assert "nothing was written" in error
        assert "--precision float32" in error
        assert error.count("\n") == 1
        assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]
        # The way that is advised is one; and what stands there is not harmed by another refusal.
        assert command.main([*arguments, "--precision", "float32"]) == 0
        before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
        assert command.main(arguments) == 2
        assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
        assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "w.safetensors"]

    def test_int8_is_made_proven_stated_and_taken_away_again(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save_weights(lively(CASES["prenorm"], 0.1), tmp_path / "w.safetensors")
        np.save(tmp_path / "clips.npy", pattern_clips(212, (4, 30, 30)))
        calibration = ["--calibration", str(tmp_path / "clips.npy")]
        made = ["export", "--weights", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "a"), "--precision"]
        assert command.main([*made, "int8"]) == 2
        assert "give --calibration CLIPS" in capsys.readouterr().err
        few = pattern_clips(212, (4, 30, 30))
        np.save(tmp_path / "few.npy", np.concatenate([few, few[:83]]))
        assert command.main([*made, "int8", "--calibration", str(tmp_path / "few.npy")]) == 2
        error = capsys.readouterr().err
        assert "expected at least 296 clips, 200 of them to prove int8, are 295" in error
        assert error.count("\n") == 1
        make_integers_of_few(monkeypatch)
        # Random heads grade all clips nearly alike.
        monkeypatch.setattr("trainer.model.lower_precision.LEAST_SAME_GRADE", 0.5)
        assert command.main([*made, "int8", *calibration]) == 0
        said = capsys.readouterr().out
        assert "int8: on 200 clips the grades are " in said
        first = Artifact.open(tmp_path / "a")
        cost = first.manifest.precision_cost
        assert first.manifest.precision == "int8"
        assert cost is not None
        assert (cost.clips, cost.described) == (200, "clips.npy")
        assert 0 < cost.mean_square < 1e-4
        card = (first.folder / "MODEL_CARD.md").read_text()
        assert card.count("## Precision") == 1
        assert "Proven for int8" in card
        # From the exported model: the same integers; the network itself and its golden clips are not touched.
        again = ["export", "--from-model", str(tmp_path / "a"), "--out", str(tmp_path / "b"), "--precision"]
        assert command.main([*again, "float16"]) == 0
        plain = Artifact.open(tmp_path / "b")
        assert plain.int8_path is None
        assert "Proven for" not in (plain.folder / "MODEL_CARD.md").read_text()
        back = ["export", "--from-model", str(tmp_path / "b"), "--precision", "int8", *calibration]
        assert command.main(back) == 0
        second = Artifact.open(tmp_path / "b")
        assert second.manifest.files == first.manifest.files
        (tmp_path / "figures.json").write_text('{"mse": 0.25}')
        assert command.main([*again[:3], "--metrics", str(tmp_path / "figures.json")]) == 0
        assert "| mse | 0.25 |" in (first.folder / "MODEL_CARD.md").read_text()
        assert Artifact.open(first.folder).precision == "int8"
        # Damaged integers are not stated anew as sound ones, and can be taken away.
        (first.folder / "model.int8.onnx").write_bytes(b"other")
        assert command.main([*again[:3], "--metrics", str(tmp_path / "figures.json")]) == 2
        assert "make the integers anew" in capsys.readouterr().err
        assert Artifact.open(first.folder).int8_fault
        assert command.main([*again[:3], "--precision", "float16"]) == 0
        assert not Artifact.open(first.folder).int8_fault

    def test_integers_that_cost_too_much_are_refused_and_nothing_is_left(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save_weights(lively(CASES["prenorm"], 0.1), tmp_path / "w.safetensors")
        np.save(tmp_path / "clips.npy", pattern_clips(212, (4, 30, 30)))
        make_integers_of_few(monkeypatch)
        monkeypatch.setattr("trainer.model.lower_precision.MOST_MEAN_SQUARE", 1e-12)
        arguments = ["export", "--weights", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "model")]
        arguments += ["--precision", "int8", "--calibration", str(tmp_path / "clips.npy")]
        assert command.main(arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "nothing was written: in int8 the grades of 200 clips differ by" in error
        assert sorted(path.name for path in tmp_path.iterdir()) == ["clips.npy", "w.safetensors"]

    @pytest.mark.parametrize(
        ("metrics", "allowed"),
        [({}, 1e-4), ({"mse": 0.02}, 2e-4), ({"MSE x100": 0.5}, 5e-5), ({"mse": 0.0}, 1e-4), ({"EMD": 0.3}, 1e-4)],
    )
    def test_a_precision_may_cost_a_hundredth_of_the_error(self, metrics: dict[str, float], allowed: float) -> None:
        assert most_mean_square(metrics) == pytest.approx(allowed)

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ([], "give --precision or --metrics"),
            (["--precision", "float32"], "are stored in float16; export them again with --weights"),
            (["--precision", "float16", "--name", "other"], "--name: stays as it is with --from-model"),
        ],
    )
    def test_what_an_exported_model_cannot_get(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], expected: str
    ) -> None:
        export(tmp_path / "small")
        assert command.main(["export", "--from-model", str(tmp_path / "small"), *options]) == 2
        assert expected in capsys.readouterr().err

    @pytest.mark.parametrize("content", [b"nothing", None], ids=["rubbish", "no file"])
    def test_files_that_are_no_weights(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
    ) -> None:
        if content:
            (tmp_path / "w.pt").write_bytes(content)
        assert command.main(["export", "--weights", str(tmp_path / "w.pt"), "--out", str(tmp_path / "model")]) == 2
        error = capsys.readouterr().err
        assert "cannot be read as weights" in error
        assert error.count("\n") == 1

    @pytest.mark.parametrize(
        "clips", [np.zeros((1, 4, 30, 31), np.uint8), np.zeros((1, 4, 30, 30)), np.zeros(3, np.uint8)]
    )
    def test_golden_clips_that_do_not_fit(self, tmp_path: Path, clips: Any) -> None:
        np.save(tmp_path / "clips.npy", clips)
        with pytest.raises(InputError, match=r"expected uint8 \(N, 4, 30, 30\)"):
            golden_clips(tmp_path / "clips.npy", CASES["paper"])

    @pytest.mark.parametrize("text", ["[1]", "{", '{"a": "b"}', '{"a": true}', '{"a": NaN}'])
    def test_metrics_that_are_no_numbers(self, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
        save_weights(lively(CASES["paper"]), tmp_path / "w.safetensors")
        (tmp_path / "m.json").write_text(text)
        arguments = ["export", "--weights", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "model")]
        assert command.main([*arguments, "--metrics", str(tmp_path / "m.json")]) == 2
        assert "JSON object of numbers" in capsys.readouterr().err

    @pytest.mark.parametrize("option", [["--fps", "nan"], ["--um-per-px", "0"], ["--training-clips", "-3"]])
    def test_numbers_that_cannot_be(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
    ) -> None:
        save_weights(lively(CASES["paper"]), tmp_path / "w.safetensors")
        arguments = ["export", "--weights", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "model")]
        assert command.main([*arguments, *option]) == 2
        assert capsys.readouterr().err.startswith(f"rostfine: {option[0]} ")
        assert not (tmp_path / "model").exists()
