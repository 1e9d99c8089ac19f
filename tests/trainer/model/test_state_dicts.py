"""Weights as other programs wrap them: every wrapper and prefix is seen through, and what is none is named."""

import argparse
import collections
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network needs the extra [train]")
from safetensors.torch import save_file  # noqa: E402

from station.errors import InputError  # noqa: E402
from trainer.__main__ import main  # noqa: E402
from trainer.model.foreign_weights import import_weights  # noqa: E402
from trainer.model.rostfine import Rostfine, preset  # noqa: E402
from trainer.model.weights import load_weights, save_weights  # noqa: E402

SHAPE: dict[str, Any] = {
    "frames": 4, "clip_px": 24, "image_px": 24, "patch_px": 8, "width": 32, "depth": 2, "heads": 2, "selected": 3,
    "branch_heads": 4,
}  # fmt: skip
GIVEN: dict[str, Any] = {"clip_px": 24, "heads": 2, "selected": 3, "branch_heads": 4}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network() -> Rostfine:
    torch.manual_seed(0)
    return Rostfine(preset("base", branch="reference", **SHAPE)).eval()


@pytest.fixture(scope="module")
def state(network: Rostfine) -> dict[str, Any]:
    return dict(network.state_dict())


def behind(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    return {prefix + name: value for name, value in state.items()}


def grades(network: Rostfine) -> Any:
    clips = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 4, 24, 24), np.uint8))
    with torch.inference_mode():
        return network(clips).grade


def other(state: dict[str, Any]) -> dict[str, Any]:
    """Return other weights of the same shapes."""
    return {name: value + 1 for name, value in state.items()}


WRAPPERS = ["", "model", "net", "state_dict", "model_state_dict", "model_state", "model_ema", "teacher", "student",
            "network", "weights", "model.state_dict", "state_dict.model", "checkpoint.model_state_dict"]  # fmt: skip
PREFIXES = ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "model._orig_mod.",
            "net.", "model.module."]  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_every_wrapper_and_prefix_is_seen_through(
    state: dict[str, Any], tmp_path: Path, wrapper: str, prefix: str
) -> None:
    content: Any = behind(prefix, state)
    for key in reversed([key for key in wrapper.split(".") if key]):
        optimizer = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
        content = {"epoch": 3, key: content, "optimizer": optimizer}
    torch.save(content, tmp_path / "w.pt")
    imported = import_weights(tmp_path / "w.pt", **GIVEN)
    assert imported.kind == "RoSTFine of its authors"
    found = imported.network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "model.model.", "module._orig_mod.model.", "backbone."])
def test_an_encoder_alone_behind_any_prefix(network: Rostfine, tmp_path: Path, prefix: str) -> None:
    torch.save({"state_dict": behind(prefix, network.encoder.state_dict())}, tmp_path / "w.pt")
    imported = import_weights(tmp_path / "w.pt", frames=4, **GIVEN)
    assert imported.kind == "TimeSformer of Facebook"
    assert imported.untrained
    for name, value in network.encoder.state_dict().items():
        assert torch.equal(imported.network.encoder.state_dict()[name], value)


def test_the_way_it_is_saved_does_not_matter(network: Rostfine, state: dict[str, Any], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(behind("module.", state), tmp_path / "w.safetensors")
    save_file(state, tmp_path / "misnamed.pt")
    torch.save(state, tmp_path / "misnamed.safetensors")
    torch.save({name: value.double() for name, value in state.items()}, tmp_path / "double.pt")
    for path in tmp_path.iterdir():
        torch.testing.assert_close(grades(import_weights(path, **GIVEN).network), grades(network), atol=0, rtol=0)


class Settings:
    """A class that the reader does not know; made by a module that it cannot load."""


class Table(dict):  # type: ignore[type-arg]
    pass


class Row(list):  # type: ignore[type-arg]
    pass


FOREIGN = {
    "argparse": argparse.Namespace(lr=1, where=Path("runs")),
    "numpy scalar": np.float64(0.42),
    "numpy array": np.arange(3),
    "a class": Settings(),
    "a set and a counter": {"a": {1, 2}, "b": collections.Counter("aab")},
    "a path": Path("runs/1"),
    "builtins": collections.defaultdict(dict, {"a": {}}),
    "a function": len,
    "kinds of dict and list": {"a": Table(x=1), "b": Row([1, 2])},
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("new_format", [True, False])
def test_objects_of_other_programs_beside_the_weights_do_not_matter(
    network: Rostfine, state: dict[str, Any], tmp_path: Path, name: str, new_format: bool
) -> None:
    content = {"state_dict": state, "args": FOREIGN[name]}
    torch.save(content, tmp_path / "w.pt", _use_new_zipfile_serialization=new_format)
    torch.testing.assert_close(grades(import_weights(tmp_path / "w.pt", **GIVEN).network), grades(network))


def test_a_state_dict_in_a_list(network: Rostfine, state: dict[str, Any], tmp_path: Path) -> None:
    torch.save((3, {"lr": 0.1}, state), tmp_path / "w.pt")
    torch.testing.assert_close(grades(import_weights(tmp_path / "w.pt", **GIVEN).network), grades(network))


def test_of_several_networks_one_is_taken_and_the_others_are_named(
    network: Rostfine, state: dict[str, Any], tmp_path: Path
) -> None:
    cases = {
        "model": {"model_ema": other(state), "model": state},
        "teacher": {"student": other(state), "teacher": state},
        "state_dict.teacher": {"state_dict": {**behind("student.", other(state)), **behind("teacher.", state)}},
        "state_dict.model": {"state_dict": {**behind("ema_model.", other(state)), **behind("model.", state)}},
    }
    for taken, content in cases.items():
        torch.save(content, tmp_path / "w.pt")
        imported = import_weights(tmp_path / "w.pt", **GIVEN)
        torch.testing.assert_close(grades(imported.network), grades(network))
        assert any(note.startswith(f"taken: {taken}; the file also holds ") for note in imported.notes), imported.notes
    torch.save({"model_ema": state, "model": other(state)}, tmp_path / "w.pt")
    torch.testing.assert_close(
        grades(import_weights(tmp_path / "w.pt", key="model_ema", **GIVEN).network), grades(network)
    )
    with pytest.raises(InputError, match=r"--key swa: no network is there; found model_ema, model"):
        import_weights(tmp_path / "w.pt", key="swa", **GIVEN)


def test_entries_that_are_no_weights_are_dropped_and_named(state: dict[str, Any], tmp_path: Path) -> None:
    torch.save({"state_dict": {**state, "num_updates": torch.tensor(3), "decay": 0.99}}, tmp_path / "w.pt")
    notes = import_weights(tmp_path / "w.pt", **GIVEN).notes
    assert "dropped, the network has no such part: num_updates, decay" in notes


def test_weights_that_are_no_numbers_are_refused(state: dict[str, Any], tmp_path: Path) -> None:
    broken = state["head_s.weight"].clone()
    broken[0, 0] = float("nan")
    torch.save({**state, "head_s.weight": broken}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"not finite numbers in head_s\.weight"):
        import_weights(tmp_path / "w.pt", **GIVEN)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('code of the file was run')",)


class Shell:
    def __reduce__(self) -> Any:
        import os

        return os.system, ("exit 1",)


def write_none(path: Path, name: str, state: dict[str, Any], network: Rostfine) -> None:
    """Write a file that is no state dict."""
    if name.startswith("zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("notes/readme.txt" if name != "zip of TorchScript" else "net/constants.pkl", "hello")
        return
    torch.save(state, path)
    save_file(state, path.with_suffix(".safetensors"))
    whole, safe = path.read_bytes(), path.with_suffix(".safetensors").read_bytes()
    path.with_suffix(".safetensors").unlink()
    torch.save(state, path, _use_new_zipfile_serialization=False)
    old = path.read_bytes()
    contents: dict[str, Any] = {
        "empty": b"",
        "html": b"\n<!DOCTYPE html><html>Google Drive - Virus scan warning</html>",
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 480000000\n",
        "text": b"epoch,loss\n1,0.5\n",
        "cut zip": whole[: len(whole) // 2],
        "cut old": old[: len(old) // 2],
        "cut safetensors": safe[: len(safe) // 2],
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "gzip": b"\x1f\x8b\x08" + bytes(100),
        "noise": np.random.default_rng(0).bytes(5000),
        "exec": pickle.dumps(Trap()),
        "exec in a zip": Trap(),
        "shell in a zip": {"model": state, "args": Shell()},
        "whole": network,
        "whole under a key": {"model": network, "epoch": 3},
        "optimizer": {"optimizer": {"state": {}}, "epoch": 7, "args": argparse.Namespace(lr=1)},
        "arrays": {"state_dict": {name: value.numpy() for name, value in state.items()}},
        "other network": {"state_dict": {"conv1.weight": torch.ones(2, 2), "fc.bias": torch.ones(2)}},
    }
    if name == "protocol 4":
        torch.save(state, path, pickle_protocol=4)
        return
    content = contents[name]
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)


NONE = {
    "empty": "it is empty",
    "html": "a web page (HTML)",
    "lfs": "a git-LFS pointer and not the file of 480 MB",
    "text": "a text that begins with 'epoch,loss 1,0.5'",
    "cut zip": "cut off or damaged; copy or download it again (a zip archive of",
    "cut old": "cut off or damaged",
    "cut safetensors": "cut off or damaged",
    "hdf5": "an HDF5 file",
    "gzip": "compressed with gzip",
    "noise": "not saved by torch, nor as safetensors",
    "zip of another kind": "a zip archive, and not one of torch (it holds notes/readme.txt)",
    "zip of TorchScript": "a TorchScript program; give the state dict",
    "exec": "a Python pickle and not in torch's format",
    "exec in a zip": "asks to run builtins.exec; nothing of it was run",
    "shell in a zip": "system; nothing of it was run",
    "whole": "a whole object (trainer.model.rostfine.Rostfine) was saved",
    "whole under a key": "epoch (int); under model lies a whole object: save the state dict of the network",
    "optimizer": "found the keys optimizer (dict of 1: state), epoch (int), args (argparse.Namespace)",
    "arrays": "its weights are no tensors but objects of another program (NumPy arrays?)",
    "protocol 4": "full of objects that are not read without running their code; save a plain state dict",
    "other network": "found the keys state_dict (dict of 2: conv1.weight, fc.bias)",
}


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_state_dict_is_named_in_one_clean_line(
    state: dict[str, Any], network: Rostfine, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / "w.pt"
    write_none(path, name, state, network)
    for words in (["import", str(path)], ["export", "--weights", str(path)]):
        if words[0] == "export" and name in ("whole under a key", "optimizer", "other network", "whole", "arrays"):
            continue  # files that can be read: export says that they are not its own
        assert main([*words, "--out", str(tmp_path / "out.safetensors")]) == 2
        error = capsys.readouterr().err
        assert NONE[name] in error
        assert error.count("\n") == 1
        assert error.startswith("rostfine: ")
        assert "\x1b" not in error
        assert "weights_only" not in error
        assert "trust the" not in error


def test_what_a_state_dict_cannot_hold_is_printed_where_it_is_assumed(
    state: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(state, tmp_path / "w.pt")
    base = [
        "import",
        str(tmp_path / "w.pt"),
        "--out",
        str(tmp_path / "o.safetensors"),
        "--heads",
        "2",
        "--branch-heads",
    ]
    assert main([*base, "4", "--clip-px", "24"]) == 0
    said = capsys.readouterr().out
    assert "assumed, as the file does not say: K = 3 patches selected a frame (--selected); selection scores" in said
    assert "--score-blocks" in said
    assert "--branch-heads" not in said
    assert "assumed: K = 3" in load_weights(tmp_path / "o.safetensors").origin
    assert main([*base, "4", "--clip-px", "24", "--selected", "5", "--score-blocks", "2"]) == 0
    assert "assumed" not in capsys.readouterr().out
    config = load_weights(tmp_path / "o.safetensors").network.config
    assert (config.selected, config.score_blocks) == (5, 2)
    assert main([*base, "4", "--branch", "paper"]) == 2
    assert "leave out --branch paper" in capsys.readouterr().err
    assert main([*base, "4", "--branch-depth", "5"]) == 2
    assert "its branches have 2 blocks; leave out --branch-depth" in capsys.readouterr().err


def test_branches_of_an_encoder_alone_are_said_to_be_assumed(
    network: Rostfine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(network.encoder.state_dict(), tmp_path / "w.pt")
    words = ["import", str(tmp_path / "w.pt"), "--out", str(tmp_path / "o.safetensors"), "--heads", "2"]
    assert main([*words, "--branch-depth", "3"]) == 0
    said = capsys.readouterr().out
    assert "branches of the kind prenorm (--branch)" in said
    assert "16 frames a clip (--frames)" in said
    assert load_weights(tmp_path / "o.safetensors").network.config.branch_depth == 3


def test_the_authors_score_blocks_change_what_is_selected(state: dict[str, Any], tmp_path: Path) -> None:
    torch.save(state, tmp_path / "w.pt")
    maps = []
    for count in (1, 2):
        network = import_weights(tmp_path / "w.pt", score_blocks=count, **GIVEN).network
        clips = torch.zeros(1, 4, 24, 24, dtype=torch.uint8)
        with torch.inference_mode():
            maps.append(network(clips).attention.sum().item())
    # Each block adds, per frame, what its heads leave to the patches: at most the number of heads.
    assert 1.2 * maps[0] < maps[1] <= 2 * 4 * 2


def test_weights_of_this_program_need_no_import(network: Rostfine, tmp_path: Path) -> None:
    torch.save({"recipe": {}, "network": {}, "model": network.state_dict()}, tmp_path / "last.pt")
    save_weights(network, tmp_path / "own.safetensors")
    for name in ("last.pt", "own.safetensors"):
        with pytest.raises(InputError, match="weights of this program already; train, evaluate and export take them"):
            import_weights(tmp_path / name)
    assert load_weights(tmp_path / "own.safetensors").network.config == network.config
