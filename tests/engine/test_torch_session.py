"""The exported graph run by torch: the same answers as ONNX Runtime, on the CPU, and on a GPU where there is one."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from engine.artifact import Artifact
from engine.factory import choose, open_runtime
from engine.onnx_file import MOST_BYTES
from engine.onnx_nodes import read_graph
from engine.onnx_runtime import OnnxSession
from engine.torch_session import TorchSession
from engine.verify import compare
from station.build_info import ROOT
from station.errors import ArtifactError, InputError, MissingExtraError
from station.files import read_bounded

torch = pytest.importorskip("torch", reason="needs the extra [gpu] or [train]")


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU to run on: torch sees no CUDA")
    return str(request.param)


@pytest.mark.parametrize("count", [1, 3, 9])
def test_gives_the_answers_of_onnx_runtime(tiny_artifact: Artifact, device: str, count: int) -> None:
    shape = (count, *tiny_artifact.manifest.inputs[0].shape[1:])
    clips = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    with TorchSession(tiny_artifact, 1, device=device) as session, OnnxSession(tiny_artifact, 1) as plain:
        found, again, expected = session.infer(clips), session.infer(clips), plain.infer(clips)
    for one in (found, again):
        np.testing.assert_allclose(one.grade, expected.grade, atol=1e-4)
        np.testing.assert_allclose(one.heads, expected.heads, atol=1e-4)
        np.testing.assert_allclose(one.attention, expected.attention, atol=1e-3)


def test_the_authors_order_of_tokens_and_the_resize(tmp_path: Any) -> None:
    from engine.artifact import TrainingData
    from trainer.model.artifact_export import ArtifactFacts, export_artifact, pattern_clips
    from trainer.model.rostfine import Rostfine, preset

    torch.manual_seed(0)
    config = preset(
        "station", branch="reference", frames=4, clip_px=30, image_px=24, patch_px=8, width=32, depth=2, heads=2,
        selected=3, branch_depth=2, branch_heads=4, features=("g", "s", "t"),
    )  # fmt: skip
    facts = ArtifactFacts(
        name="small", preset="station", demonstration=True, training=TrainingData(description="Random weights."),
        metrics={}, um_per_px=None, fps=None,
    )  # fmt: skip
    artifact = export_artifact(Rostfine(config), tmp_path / "small", facts, pattern_clips(2, (4, 30, 30)), "float32")
    with TorchSession(artifact, 1, device="cpu") as session:
        assert all(difference.passed for difference in compare(artifact, session))


def test_a_precision_of_its_own(tiny_artifact: Artifact, device: str) -> None:
    precision: Any = "float16" if device == "cuda" else "bfloat16"
    with TorchSession(tiny_artifact, 1, precision, device) as session:
        assert precision in session.name
        differences = compare(tiny_artifact, session)
    assert all(difference.passed for difference in differences)
    assert differences[0].largest > 1e-6


def test_what_it_cannot_do_is_said(tiny_artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="does not compute in int8"):
        TorchSession(tiny_artifact, precision="int8")
    with pytest.raises(InputError, match="does not compute in float16 on cpu"):
        TorchSession(tiny_artifact, precision="float16", device="cpu")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"torch is missing .*\[gpu\]"):
        open_runtime(tiny_artifact, "torch")


def test_an_operator_that_it_does_not_know(artifact: Artifact) -> None:
    content = artifact.model_path.read_bytes()
    artifact.model_path.write_bytes(content.replace(b"LayerNormalization", b"LayerNormalizatiox"))
    with pytest.raises(ArtifactError, match=r"torch cannot run model\.onnx .*LayerNormalizatiox"):
        TorchSession(artifact, device="cpu")


def test_nodes_and_constants_are_what_the_onnx_package_reads(tiny_artifact: Artifact) -> None:
    onnx = pytest.importorskip("onnx")
    content = read_bounded(tiny_artifact.model_path, MOST_BYTES)
    graph, theirs = read_graph(content), onnx.load_from_string(content).graph
    assert [node.kind for node in graph.nodes] == [node.op_type for node in theirs.node]
    assert [node.inputs for node in graph.nodes] == [tuple(node.input) for node in theirs.node]
    for node, other in zip(graph.nodes, theirs.node, strict=True):
        expected = {one.name: onnx.helper.get_attribute_value(one) for one in other.attribute}
        assert {k: list(v) if isinstance(v, tuple) else v for k, v in node.attributes.items()} == expected
    for tensor in theirs.initializer:
        np.testing.assert_array_equal(graph.constants[tensor.name], onnx.numpy_helper.to_array(tensor))


def test_torch_is_loaded_only_where_it_is_named(tiny_artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"""
import sys
from engine.artifact import Artifact
from engine.factory import choose, open_runtime
artifact = Artifact.open({str(tiny_artifact.folder)!r})
assert choose(artifact).runtime == "onnxruntime"
open_runtime(artifact, threads=1).close()
assert "torch" not in sys.modules
"""
    if not torch.cuda.is_available():
        subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=120)
        refused = dict(choose(tiny_artifact).refused)
        assert refused["torch"] == "no NVIDIA driver here"
    # With a driver and a GPU it stands in for TensorRT, and says so.
    monkeypatch.setattr("engine.factory.why_not_torch", lambda: "")
    choice = choose(tiny_artifact)
    assert (choice.runtime, choice.precision) == ("torch", "float16")
    assert "in place of TensorRT" in choice.why
    assert choose(tiny_artifact, precision="float32").precision == "float32"
