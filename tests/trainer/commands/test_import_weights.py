"""Importing weights that other programs wrote: four kinds of files, and every kind of mismatch."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network needs the extra [train]")
pytest.importorskip("safetensors", reason="weights need the extra [train]")

from station.errors import InputError  # noqa: E402
from trainer.__main__ import main as trainer_main  # noqa: E402
from trainer.commands import import_weights as import_command  # noqa: E402
from trainer.commands import predict  # noqa: E402
from trainer.data.clip_files import read_clips  # noqa: E402
from trainer.model.foreign_weights import import_weights  # noqa: E402
from trainer.model.rostfine import Rostfine, preset  # noqa: E402
from trainer.model.weights import load_weights, save_weights  # noqa: E402

SMALL: dict[str, Any] = {
    "frames": 4, "clip_px": 30, "image_px": 24, "patch_px": 8, "width": 32, "depth": 2, "heads": 2, "selected": 3,
    "branch_heads": 4,
}  # fmt: skip
TOLD: dict[str, Any] = {"clip_px": 30, "heads": 2, "selected": 3, "branch_heads": 4}
"""What a state dict does not say."""
REFERENCE = preset("base", branch="reference", **SMALL)


def lively(config: Any = REFERENCE) -> Rostfine:
    torch.manual_seed(0)
    network = Rostfine(config).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    return network


def clips(count: int = 2) -> Any:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 4, 30, 30), np.uint8))


def authors(network: Rostfine) -> dict[str, Any]:
    """Return the state dict as the authors' program saves it: with the encoder's own head, which nothing reads."""
    head = {"model.model.head.weight": torch.ones(5, 32), "model.model.head.bias": torch.ones(5)}
    return {**network.state_dict(), **head}


def test_rostfine_of_its_authors(tmp_path: Path) -> None:
    network = lively()
    torch.save(authors(network), tmp_path / "best.pth")
    imported = import_weights(tmp_path / "best.pth", **TOLD)
    assert imported.network.config == REFERENCE
    assert imported.kind == "RoSTFine of its authors"
    assert any("model.model.head.weight" in note for note in imported.notes)
    with torch.inference_mode():
        torch.testing.assert_close(imported.network(clips()), network(clips()), atol=0, rtol=0)


def test_their_parameter_names() -> None:
    """The names in the authors' public code, so that a change in ours is noticed."""
    block = ["temporal_norm1", "temporal_attn.qkv", "temporal_attn.proj", "temporal_fc", "norm1", "attn.qkv"]
    block += ["attn.proj", "norm2", "mlp.fc1", "mlp.fc2"]
    both = [f"model.model.blocks.{n}.{layer}" for n in range(2) for layer in block]
    both += ["model.model.patch_embed.proj", "model.model.norm", "head_g", "head_s", "head_t"]
    for side in ("s", "t"):
        both += [f"norm_{side}1", f"norm_{side}2", f"mlp_{side}.fc1", f"mlp_{side}.fc2"]
        both += [f"mhsa_{side}.{n}.proj" for n in range(2)]
    expected = {f"{layer}.{kind}" for layer in both for kind in ("weight", "bias")}
    expected |= {f"mhsa_{side}.{n}.qkv.weight" for side in ("s", "t") for n in range(2)}
    expected |= {f"model.model.{name}" for name in ("cls_token", "pos_embed", "time_embed")}
    assert set(lively().state_dict()) == expected


def test_their_timesformer_baseline(tmp_path: Path) -> None:
    network = lively(preset("base", branch="reference", features=("g",), **SMALL))
    state = {name.replace("head_g", "head"): value for name, value in authors(network).items()}
    torch.save(state, tmp_path / "baseline.pth")
    imported = import_weights(tmp_path / "baseline.pth", **TOLD)
    assert imported.network.config.features == ("g",)
    with torch.inference_mode():
        torch.testing.assert_close(imported.network(clips()).grade, network(clips()).grade, atol=0, rtol=0)


@pytest.mark.parametrize("wrapped", [True, False])
def test_facebook(tmp_path: Path, wrapped: bool) -> None:
    network = lively(preset("base", **SMALL))
    encoder = {f"model.{name}": value for name, value in network.encoder.state_dict().items()}
    encoder |= {"model.head.weight": torch.zeros(400, 32), "model.head.bias": torch.zeros(400)}
    torch.save({"epoch": 14, "model_state": encoder, "cfg": "text"} if wrapped else encoder, tmp_path / "tsf.pyth")
    imported = import_weights(tmp_path / "tsf.pyth", branch="prenorm", frames=4, **TOLD)
    assert imported.kind == "TimeSformer of Facebook"
    assert imported.network.config.branch == "prenorm"
    assert any("model.head.weight" in note for note in imported.notes)
    assert any("untrained, seed 0" in note for note in imported.notes)
    with torch.inference_mode():
        torch.testing.assert_close(imported.network(clips()).v_g, network(clips()).v_g, atol=0, rtol=0)


def test_the_seed_decides_what_is_not_in_the_file(tmp_path: Path) -> None:
    encoder = {f"model.{name}": value for name, value in lively().encoder.state_dict().items()}
    torch.save(encoder, tmp_path / "tsf.pyth")
    drawn = [import_weights(tmp_path / "tsf.pyth", seed=seed, **TOLD).network.state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])
    assert not torch.equal(drawn[0]["head_g.weight"], drawn[2]["head_g.weight"])


@pytest.mark.slow
def test_hugging_face(tmp_path: Path) -> None:
    """Their model, with its own weights, gives our global feature."""
    transformers = pytest.importorskip("transformers", reason="compares with Hugging Face's own model")
    config = transformers.TimesformerConfig(
        image_size=24, patch_size=8, num_frames=4, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=128, drop_path_rate=0,
    )  # fmt: skip
    torch.manual_seed(3)
    theirs = transformers.TimesformerModel(config).eval()
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    theirs.save_pretrained(tmp_path)
    imported = import_weights(tmp_path / "model.safetensors", frames=4, **(TOLD | {"clip_px": 24}))
    pixels = clips()[..., :24, :24, None].expand(-1, -1, -1, -1, 3)
    normalised = (pixels.permute(0, 1, 4, 2, 3) / 255 - 0.45) / 0.225
    with torch.inference_mode():
        expected = theirs(normalised).last_hidden_state[:, 0]
        torch.testing.assert_close(imported.network(pixels).v_g, expected, atol=1e-5, rtol=0)


def test_embeddings_are_resized_by_nearest_neighbour(tmp_path: Path) -> None:
    torch.save(authors(lively()), tmp_path / "w.pth")
    imported = import_weights(tmp_path / "w.pth", frames=8, image_px=48, **TOLD)
    before, after = lively().encoder, imported.network.encoder
    torch.testing.assert_close(after.time_embed[0], before.time_embed[0].repeat_interleave(2, 0))
    torch.testing.assert_close(after.pos_embed[0, 0], before.pos_embed[0, 0])
    grid = before.pos_embed[0, 1:].reshape(3, 3, 32).repeat_interleave(2, 0).repeat_interleave(2, 1)
    torch.testing.assert_close(after.pos_embed[0, 1:], grid.reshape(36, 32))
    assert {note.split(" resized")[0] for note in imported.notes} >= {"time embedding", "position embedding"}


def with_change(**change: Any) -> dict[str, Any]:
    state = authors(lively())
    for name, value in change.items():
        key = name.replace("__", ".")
        state.pop(key, None)
        if value is not None:
            state[key] = value
    return state


WRONG: dict[str, tuple[Any, str]] = {
    "unknown": (with_change(colour=torch.ones(1)), "unknown: colour"),
    "missing": (with_change(head_g__bias=None), r"missing: head_g\.bias"),
    "missing in a block": (
        with_change(model__model__blocks__0__norm1__bias=None),
        r"missing: model\.model\.blocks\.0\.norm1",
    ),
    "misshapen": (with_change(head_g__bias=torch.ones(4)), r"misshapen: head_g\.bias \(4,\) instead of \(5,\)"),
    "all of them": (
        with_change(colour=torch.ones(1), head_g__bias=None, head_s__bias=torch.ones(4)),
        "unknown: colour; missing: head_g.bias; misshapen: head_s.bias",
    ),
    "no patch embedding": (
        with_change(model__model__patch_embed__proj__weight=None),
        "patch_embed.proj.weight is missing",
    ),
    "another network": ({"layer.weight": torch.ones(1)}, r"found the keys layer\.weight \(tensor \(1,\)\)"),
    "no tensors": ({"epoch": 3}, r"found the keys epoch \(int\)"),
    "empty": ({}, "found dict of 0"),
    "a list": ([torch.ones(1)], "found list of 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_named(tmp_path: Path, case: str) -> None:
    state, expected = WRONG[case]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match=expected) as caught:
        import_weights(tmp_path / "w.pth", **TOLD)
    assert "\n" not in str(caught.value)


def test_a_tensor_under_two_names_is_refused(tmp_path: Path) -> None:
    """One of the two would be dropped silently."""
    encoder = {f"model.{name}": value for name, value in lively().encoder.state_dict().items()}
    for other in ("cls_token", "module.model.cls_token"):
        torch.save({**encoder, other: torch.zeros(1, 1, 32)}, tmp_path / "w.pth")
        with pytest.raises(InputError, match="some tensors are there"):
            import_weights(tmp_path / "w.pth", **TOLD)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('code of the file was run')",)


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps(Trap())], ids=["empty", "text", "code"])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_files_that_are_no_weights(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as weights"):
        import_weights(tmp_path / name)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        import_weights(tmp_path / "nothing.pth")


def test_saved_weights_come_back(tmp_path: Path) -> None:
    network = lively()
    save_weights(network, tmp_path / "w.safetensors", origin="here")
    loaded = load_weights(tmp_path / "w.safetensors")
    assert (loaded.network.config, loaded.origin) == (REFERENCE, "here")
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in loaded.network.state_dict().items())


def test_foreign_safetensors_are_sent_to_import(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="trainer import"):
        load_weights(tmp_path / "w.safetensors")


class TestCommands:
    def options(self, module: Any, *words: str) -> Any:
        import argparse

        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        return parser.parse_args(words)

    def test_import_and_predict(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        network = lively()
        torch.save(authors(network), tmp_path / "best.pth")
        told = ["--heads", "2", "--branch-heads", "4", "--clip-px", "30"]
        out = str(tmp_path / "w.safetensors")
        args = self.options(import_command, str(tmp_path / "best.pth"), "--out", out, *told)
        assert import_command.run(args) == 0
        assert "dropped" in capsys.readouterr().out
        colour = clips(5)[..., None].expand(-1, -1, -1, -1, 3).contiguous().numpy()
        np.save(tmp_path / "clips.npy", colour)
        arguments = ["--weights", out, "--clips", str(tmp_path / "clips.npy"), "--out", str(tmp_path / "out.npz")]
        assert predict.run(self.options(predict, *arguments, "--batch", "2")) == 0
        with torch.inference_mode():
            expected = network(torch.from_numpy(colour))
        with np.load(tmp_path / "out.npz") as found:
            assert set(found) == {"grade", "heads", "attention", "v_g", "v_s", "v_t"}
            for name in found:
                np.testing.assert_allclose(found[name], getattr(expected, name).numpy(), atol=1e-5)

    def test_untrained_parts_are_told_to_the_model_card(self, tmp_path: Path) -> None:
        encoder = {f"model.{name}": value for name, value in lively().encoder.state_dict().items()}
        torch.save(encoder, tmp_path / "tsf.pyth")
        out = tmp_path / "w.safetensors"
        words = ["--out", str(out), "--heads", "2", "--branch-heads", "4", "--clip-px", "30"]
        assert import_command.run(self.options(import_command, str(tmp_path / "tsf.pyth"), *words)) == 0
        assert "untrained, seed 0" in load_weights(out).origin

    def test_a_place_that_cannot_be_written(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        save_weights(lively(), tmp_path / "w.safetensors")
        torch.save(authors(lively()), tmp_path / "w.pth")
        np.save(tmp_path / "clips.npy", clips().numpy())
        told = ["--heads", "2", "--branch-heads", "4", "--clip-px", "30"]
        given = ["--weights", str(tmp_path / "w.safetensors"), "--clips", str(tmp_path / "clips.npy")]
        for words in (
            ["import", str(tmp_path / "w.pth"), *told, "--out", str(tmp_path / "no" / "o.safetensors")],
            ["predict", *given, "--out", str(tmp_path / "no" / "o.npz")],
            ["rollout", *given, "--out", str(tmp_path / "no" / "o.png")],
            ["export", *given, "--out", str(tmp_path / "clips.npy")],
        ):
            assert trainer_main(words) == 2, words
            (line,) = capsys.readouterr().err.splitlines()
            assert line.startswith("rostfine: ")
            assert str(tmp_path) in line

    def test_without_torch(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setitem(__import__("sys").modules, "torch", None)
        for module in ("commands.import_weights", "model.foreign_weights"):
            monkeypatch.delitem(__import__("sys").modules, f"trainer.{module}")
        assert trainer_main(["import", "w.pth", "--out", "w.safetensors"]) == 2
        assert '".[train]"' in capsys.readouterr().err

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off"], ids=["empty", "cut-off archive"])
    def test_clips_that_are_no_array(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "clips.npy").write_bytes(content)
        with pytest.raises(InputError, match=r"expected a \.npy file"):
            read_clips(tmp_path / "clips.npy", REFERENCE)

    def test_out_must_be_safetensors(self, tmp_path: Path) -> None:
        args = self.options(import_command, str(tmp_path / "a.pth"), "--out", str(tmp_path / "b.pth"))
        with pytest.raises(InputError, match="ends in"):
            import_command.run(args)

    @pytest.mark.parametrize(
        "array",
        [np.zeros((1, 4, 30, 31), np.uint8), np.zeros((1, 4, 30, 30)), np.zeros((0, 4, 30, 30), np.uint8)],
        ids=["size", "type", "none"],
    )
    def test_clips_that_do_not_fit(self, tmp_path: Path, array: Any) -> None:
        np.save(tmp_path / "clips.npy", array)
        with pytest.raises(InputError, match=r"expected uint8|holds no clip"):
            read_clips(tmp_path / "clips.npy", REFERENCE)
