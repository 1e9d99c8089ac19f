"""Opening artifacts: intact ones, and every way of being broken, each refused with one clear line."""

import json
import os
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import onnx_file
from engine.__main__ import main
from engine.artifact import FILES, Artifact, Manifest
from station.command_line import exit_code_of
from station.errors import ArtifactError
from station.files import sha256_of
from station.notice import NOTICE


def test_opens(artifact: Artifact) -> None:
    manifest = artifact.manifest
    assert manifest.licence == NOTICE
    assert manifest.inputs[0].shape == (-1, 4, 24, 24)
    assert [spec.shape for spec in manifest.outputs] == [(-1, 5), (-1, 3, 5), (-1, 4, 9)]
    assert set(manifest.files) == set(FILES)
    assert len(artifact.golden().clips) == 4


def sealed(folder: Path, **changes: Any) -> None:
    """Change the manifest, with matching hashes: the change itself must be noticed."""
    text = (folder / "manifest.json").read_text()
    files = {name: sha256_of(folder / name) for name in FILES}
    manifest = Manifest.model_validate_json(text).model_copy(update={"files": files, **changes})
    manifest = manifest.model_copy(update={"sha256": manifest.digest()})
    (folder / "manifest.json").write_text(manifest.to_json())


def edited(folder: Path, key: str, value: Any) -> None:
    document = json.loads((folder / "manifest.json").read_text())
    document[key] = value
    (folder / "manifest.json").write_text(json.dumps(document))


def truncated(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:-100])
    sealed(folder)


def other_opset(folder: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(folder / "model.onnx")
    model.opset_import[0].version = 17
    onnx.save(model, folder / "model.onnx")
    sealed(folder)


def other_input(folder: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(folder / "model.onnx")
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 150
    onnx.save(model, folder / "model.onnx")
    sealed(folder)


def other_output(folder: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(folder / "model.onnx")
    del model.graph.output[2]
    onnx.save(model, folder / "model.onnx")
    sealed(folder)


def with_external_data(folder: Path) -> None:
    """Keep the weights in a file beside the model, as ``onnx.save`` can."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(folder / "model.onnx")
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    sealed(folder)


def with_hidden_external_data(folder: Path) -> None:
    """Keep one constant in another file, inside a branch of an If node: where no initializer is."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(folder / "model.onnx")
    tensor = onnx.TensorProto(data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../outside.bin")
    constant = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
    output = onnx.helper.make_tensor_value_info("c", 1, [1])
    branch = onnx.helper.make_graph([constant], "branch", [], [output])
    model.graph.node.append(onnx.helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))
    onnx.save(model, folder / "model.onnx")
    sealed(folder)


def with_context(folder: Path) -> None:
    """Have a runtime's own program loaded from another file."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(folder / "model.onnx")
    model.graph.node.append(onnx.helper.make_node("EPContext", [], ["y"], domain="com.microsoft", embed_mode=0))
    onnx.save(model, folder / "model.onnx")
    sealed(folder)


def with_a_loop(folder: Path) -> None:
    """Have a branch repeat something two billion times."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(folder / "model.onnx")
    one = onnx.helper.make_tensor_value_info("c", 1, [1])
    body = onnx.helper.make_graph([], "body", [], [])
    branch = onnx.helper.make_graph([onnx.helper.make_node("Loop", ["n", ""], ["c"], body=body)], "branch", [], [one])
    model.graph.node.append(onnx.helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))
    onnx.save(model, folder / "model.onnx")
    sealed(folder)


def with_two_graphs(folder: Path) -> None:
    """Append a second graph, which a reader of protobuf merges with the first."""
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\x3a\x00")
    sealed(folder)


def made_huge(path: Path, size: int) -> None:
    """Make a file huge without taking room on the disk."""
    with path.open("r+b") as file:
        file.truncate(size)


def replaced_by(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink()
    make(path)


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
    "no model": (lambda f: (f / "model.onnx").unlink(), "model.onnx is missing"),
    "no golden file": (lambda f: (f / "golden.npz").unlink(), "golden.npz is missing"),
    "no model card": (lambda f: (f / "MODEL_CARD.md").unlink(), "MODEL_CARD.md is missing"),
    "manifest is no JSON": (lambda f: (f / "manifest.json").write_text("{"), "manifest.json is not valid at"),
    "manifest is no text": (lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe"), "manifest.json cannot be read"),
    "edited manifest": (lambda f: edited(f, "demonstration", False), "manifest.json was edited"),
    "unknown key": (lambda f: edited(f, "colour", "red"), "'colour'"),
    "impossible network": (lambda f: edited(f, "network", {"width": 7}), "not a multiple of heads"),
    "wrong hash": (
        lambda f: (f / "model.onnx").write_bytes(b"other bytes"),
        "model.onnx has sha256 .* the manifest says",
    ),
    "changed golden file": (lambda f: (f / "golden.npz").write_bytes(b"PK"), "golden.npz has sha256"),
    "unlisted file": (lambda f: edited_files(f), "lists no golden.npz"),
    "truncated ONNX": (truncated, "not a complete ONNX file .*too early"),
    "empty ONNX": (lambda f: ((f / "model.onnx").write_bytes(b""), sealed(f)), "not a complete ONNX file .*no graph"),
    "wrong opset": (other_opset, "expected ONNX opset 20, model.onnx has 17"),
    "wrong input size": (other_input, r"expected input clip uint8 \(N, 4, 24, 24\), .*\(N, 4, 150, 24\)"),
    "missing output": (other_output, "expected output"),
    "weights in another file": (with_external_data, "takes weights from another file"),
    "a constant in another file": (with_hidden_external_data, "takes weights from another file"),
    "a program in another file": (with_context, "takes weights from another file"),
    "a loop": (with_a_loop, "has a loop, which may never end"),
    "two graphs": (with_two_graphs, "not a complete ONNX file .*2 graphs"),
    "huge manifest": (lambda f: made_huge(f / "manifest.json", 600 << 20), "manifest.json cannot be read .*larger"),
    "huge model": (lambda f: made_huge(f / "model.onnx", 13 << 30), "cannot be read .*larger than 2047 MiB"),
    "huge golden file": (lambda f: made_huge(f / "golden.npz", 13 << 30), "cannot be read .*larger than 1024 MiB"),
    "huge model card": (lambda f: made_huge(f / "MODEL_CARD.md", 600 << 20), "cannot be read .*larger than 1 MiB"),
    "endless manifest": (
        lambda f: replaced_by(f / "manifest.json", lambda path: path.symlink_to("/dev/zero")),
        "manifest.json cannot be read .*a device",
    ),
    "manifest is a pipe": (lambda f: replaced_by(f / "manifest.json", os.mkfifo), "cannot be read .*a pipe"),
    "model is a pipe": (lambda f: replaced_by(f / "model.onnx", os.mkfifo), "cannot be read .*a pipe"),
    **{f"{rate:g} frames/s": (partial(sealed, fps=rate), "not valid at 'fps'") for rate in (0.0, -5.0, 1e-300, 1e30)},
    "a scale of nothing": (lambda f: sealed(f, um_per_px=1e-300), "not valid at 'um_per_px'"),
    "integers that are not there": (
        lambda f: sealed(f, precision="int8"),
        "says precision int8 and lists no model.int8.onnx",
    ),
    "wrong manifest input": (lambda f: sealed(f, inputs=()), "expected input"),
}


def edited_files(folder: Path) -> None:
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_text())
    files = {name: value for name, value in manifest.files.items() if name != "golden.npz"}
    manifest = manifest.model_copy(update={"files": files})
    (folder / "manifest.json").write_text(manifest.model_copy(update={"sha256": manifest.digest()}).to_json())


@pytest.mark.parametrize("case", BROKEN)
def test_broken_artifacts_are_refused(artifact: Artifact, case: str) -> None:
    spoil, expected = BROKEN[case]
    spoil(artifact.folder)
    with pytest.raises(ArtifactError, match=expected) as caught:
        Artifact.open(artifact.folder)
    assert "\n" not in str(caught.value)
    assert str(artifact.folder) in str(caught.value)


def test_a_manifest_of_the_first_version_is_read(artifact: Artifact) -> None:
    """It says no precision: that is the one in which the weights are stored."""
    sealed(artifact.folder, schema_version=1, precision=None, precision_cost=None)
    text = (artifact.folder / "manifest.json").read_text()
    assert "precision" not in text
    opened = Artifact.open(artifact.folder)
    assert (opened.precision, opened.int8_path) == ("float32", None)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="expected a folder"):
        Artifact.open(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"no archive", "cannot be read"),
        ({"clips": np.zeros((1, 4, 24, 24), np.uint8)}, "cannot be read"),
        ({"clips": np.zeros((1, 4, 25, 24), np.uint8)}, "golden.npz holds clip uint8"),
        ({"grade": np.zeros((2, 5), np.float32)}, "golden.npz holds grade"),
    ],
)
def test_wrong_golden_files_are_refused(artifact: Artifact, content: Any, expected: str) -> None:
    path = artifact.folder / "golden.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif len(content) == 1 and "cannot" in expected:
        np.savez(path, **content)
    else:
        golden = artifact.golden()
        whole = {name: getattr(golden, name)[:1] for name in ("clips", "grade", "heads", "attention")}
        np.savez(path, **(whole | content))
    with pytest.raises(ArtifactError, match=expected):
        artifact.golden()


def test_the_header_is_what_the_onnx_package_reads(artifact: Artifact) -> None:
    onnx = pytest.importorskip("onnx")
    content = artifact.model_path.read_bytes()
    header, model = onnx_file.read_header(content), onnx.load_from_string(content)
    assert header.opset == model.opset_import[0].version
    assert [spec[0] for spec in header.inputs + header.outputs] == [
        value.name for value in [*model.graph.input, *model.graph.output]
    ]


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_setting_the_compute_type_changes_the_compute_casts_alone(artifact: Artifact, precision: Any) -> None:
    onnx = pytest.importorskip("onnx")
    content = artifact.model_path.read_bytes()
    changed, count = onnx_file.in_compute_type(content, precision)
    model = onnx.load_from_string(content)
    wanted = {"float16": onnx.TensorProto.FLOAT16, "float32": onnx.TensorProto.FLOAT}[precision]
    casts = [node for node in model.graph.node if node.name.startswith("compute/")]
    for node in casts:
        node.attribute[0].i = wanted
    assert count == len(casts) > 20
    assert onnx.load_from_string(changed) == model


@pytest.mark.parametrize("content", [b"", b"\x3a", b"\x3a\x7f", b"\x0b", b"\x80" * 12, b"\x38\x01"])
def test_bytes_that_are_no_model(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"it |field type|a number stands"):
        onnx_file.read_header(content)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"opset": 20', '"opset": "20"'), ('"fps": 15.0', '"fps": 99.0, "fps": 15.0'), ("{\n", "{ \n")],
    ids=["another type", "a key twice", "blanks"],
)
def test_a_manifest_that_says_the_same_otherwise_was_edited(artifact: Artifact, old: str, new: str) -> None:
    path = artifact.folder / "manifest.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ArtifactError, match=r"manifest\.json was edited"):
        Artifact.open(artifact.folder)


def test_files_that_may_not_be_read(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, _: int) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("engine.artifact.sha256_of", refuse)
    with pytest.raises(ArtifactError, match=r"cannot be read .*Permission denied"):
        Artifact.open(artifact.folder)


@pytest.mark.parametrize("size", [0, 60, -1])
def test_a_cut_off_golden_file(artifact: Artifact, size: int) -> None:
    path = artifact.folder / "golden.npz"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ArtifactError, match=r"golden\.npz cannot be read"):
        artifact.golden()


def test_golden_clips_must_be_there(artifact: Artifact) -> None:
    golden = artifact.golden().first(0)
    arrays = {name: getattr(golden, name) for name in ("clips", "grade", "heads", "attention")}
    np.savez(artifact.folder / "golden.npz", **arrays)
    with pytest.raises(ArtifactError, match="holds no clip"):
        artifact.golden()


def test_a_golden_file_that_unfolds_to_gigabytes(artifact: Artifact) -> None:
    path = artifact.folder / "golden.npz"
    with (
        zipfile.ZipFile(path, "w", compression=zipfile.ZIP_DEFLATED) as archive,
        archive.open("clips.npy", "w") as file,
    ):
        for _ in range(50):
            file.write(bytes(1 << 20))
    with pytest.raises(ArtifactError, match=r"golden\.npz cannot be read .*'clips' of 52428800 bytes is larger than"):
        artifact.golden()


def test_verify_refuses_a_model_with_weights_in_another_file(
    artifact: Artifact, capsys: pytest.CaptureFixture[str]
) -> None:
    with_external_data(artifact.folder)
    assert exit_code_of(main, ["verify", str(artifact.folder)]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "takes weights from another file" in errors
