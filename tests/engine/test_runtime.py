"""ONNX Runtime behind the protocol, verification, and the choice of a runtime."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine import __main__ as command
from engine.artifact import Artifact
from engine.factory import choose, open_runtime, open_verified_runtime, why_not
from engine.onnx_runtime import PROVIDERS, OnnxSession, available_providers, default_threads
from engine.runtime import Grades
from engine.tensorrt.plans import PORTABLE, PlanInfo, find_plan, list_plans, save_plan
from engine.verify import compare, require_match
from station.errors import ArtifactError, MissingExtraError


def clips_of(artifact: Artifact, count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, *artifact.manifest.inputs[0].shape[1:]), np.uint8)


@pytest.mark.parametrize("count", [1, 8, 9, 17])
def test_batches(tiny_artifact: Artifact, count: int) -> None:
    clips = clips_of(tiny_artifact, count)
    with OnnxSession(tiny_artifact, threads=1) as session:
        grades, one_by_one = session.infer(clips), [session.infer(clips[i : i + 1]) for i in range(count)]
    assert grades.grade.shape == (count, 5)
    assert grades.heads.shape == (count, 3, 5)
    assert grades.attention.shape == (count, 4, 9)
    np.testing.assert_allclose(grades.grade.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(grades.grade, np.concatenate([one.grade for one in one_by_one]), atol=1e-6)


def test_the_same_clips_give_the_same_bytes(tiny_artifact: Artifact) -> None:
    clips = clips_of(tiny_artifact, 5)
    found = []
    for _ in range(2):
        with OnnxSession(tiny_artifact, threads=2) as session:
            found += [session.infer(clips).grade.tobytes() for _ in range(3)]
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    "clips",
    [
        np.zeros((4, 24, 24), np.uint8),
        np.zeros((0, 4, 24, 24), np.uint8),
        np.zeros((1, 4, 24, 25), np.uint8),
        np.zeros((1, 4, 24, 24), np.float32),
    ],
    ids=["no batch", "empty", "size", "type"],
)
def test_clips_of_another_shape_or_type_are_refused(tiny_artifact: Artifact, clips: Any) -> None:
    with (
        OnnxSession(tiny_artifact, threads=1) as session,
        pytest.raises(ValueError, match=r"expected clips \(N, 4, 24"),
    ):
        session.infer(clips)


def test_leaves_the_tracker_a_core() -> None:
    assert 1 <= default_threads() <= max(1, len(__import__("os").sched_getaffinity(0)) - 1)


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (["AzureExecutionProvider", "CPUExecutionProvider"], ["CPU"]),
        (["CPUExecutionProvider", "CUDAExecutionProvider"], ["CUDA", "CPU"]),
        (["OpenVINOExecutionProvider", "CPUExecutionProvider", "CUDAExecutionProvider"], ["CUDA", "OpenVINO", "CPU"]),
    ],
)
def test_order_of_providers(monkeypatch: pytest.MonkeyPatch, installed: list[str], expected: list[str]) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: installed)
    assert [PROVIDERS[name] for name in available_providers()] == expected


def test_a_clips_grades_do_not_depend_on_its_neighbours(tiny_artifact: Artifact) -> None:
    clips = clips_of(tiny_artifact, 5)
    with OnnxSession(tiny_artifact, threads=1) as session:
        alone, together = session.infer(clips[2:3]), session.infer(clips)
    np.testing.assert_array_equal(alone.grade[0], together.grade[2])
    np.testing.assert_array_equal(alone.attention[0], together.attention[2])


def test_a_graph_that_the_runtime_refuses(artifact: Artifact) -> None:
    content = artifact.model_path.read_bytes()
    artifact.model_path.write_bytes(content.replace(b"LayerNormalization", b"LayerNormalizatiox"))
    with pytest.raises(ArtifactError, match=r"ONNX Runtime cannot load model\.onnx"):
        OnnxSession(artifact, threads=1)


@dataclass
class Liar:
    """A runtime whose grades are slightly off."""

    inner: OnnxSession
    grade: float = 0.0
    attention: float = 0.0
    name: str = "liar"
    precision: Any = "float32"

    def infer(self, clips: Any, ids: Any = None) -> Grades:
        true = self.inner.infer(clips, ids)
        return Grades(true.grade + np.float32(self.grade), true.heads, true.attention + np.float32(self.attention))

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("grade", "attention", "precision", "failed"),
    [
        (0.0, 0.0, "float32", []),
        (1e-6, 1e-4, "float32", []),
        (1e-3, 0.0, "float32", ["grade", "sum of grade - 1"]),
        (0.0, 1e-2, "float32", ["attention"]),
        (0.0, 1e-2, "float16", []),
        (float("nan"), 0.0, "float16", ["grade", "sum of grade - 1"]),
    ],
)
def test_verification(
    tiny_artifact: Artifact, grade: float, attention: float, precision: str, failed: list[str]
) -> None:
    with OnnxSession(tiny_artifact, threads=1) as session:
        liar: Any = Liar(session, grade, attention, precision=precision)
        assert [difference.output for difference in compare(tiny_artifact, liar) if not difference.passed] == failed
        if failed:
            with pytest.raises(ArtifactError, match=rf"on liar the golden clips' {failed[0]} .*engine compile"):
                require_match(tiny_artifact, liar)
        else:
            require_match(tiny_artifact, liar)


def test_a_network_that_asks_for_terabytes_is_refused_in_a_line_and_prints_nothing(
    artifact: Artifact, capfd: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx")
    path = artifact.folder / "model.onnx"
    model = onnx.load(path)
    make = onnx.helper
    for node in model.graph.node:
        node.output[:] = ["small" if output == "grade" else output for output in node.output]
    model.graph.initializer.append(make.make_tensor("shape", onnx.TensorProto.INT64, [1], [10**13]))
    one = make.make_tensor("one", onnx.TensorProto.FLOAT, [1], [1.0])
    model.graph.node.extend([
        make.make_node("ConstantOfShape", ["shape"], ["huge"], name="\x1b[31mhuge", value=one),
        make.make_node("ReduceMax", ["huge"], ["largest"], keepdims=0),
        make.make_node("Mul", ["small", "largest"], ["grade"]),
    ])  # fmt: skip
    onnx.save(model, path)
    with OnnxSession(artifact, threads=1) as session, pytest.raises(ArtifactError, match="cannot run its golden") as e:
        require_match(artifact, session)
    assert "\n" not in str(e.value)
    assert capfd.readouterr() == ("", "")


def test_a_model_with_other_weights_is_refused_at_start(artifact: Artifact) -> None:
    """The golden answers catch what hashes cannot: here, golden clips of another model."""
    golden = artifact.golden()
    np.savez(
        artifact.folder / "golden.npz", clips=golden.clips, heads=golden.heads, attention=golden.attention,
        grade=golden.grade[:, ::-1],
    )  # fmt: skip
    with pytest.raises(ArtifactError, match="the golden clips' grade is off by"):
        open_verified_runtime(artifact, threads=1)


def store_plan(artifact: Artifact, **changes: Any) -> None:
    values: dict[str, Any] = {
        "runtime": "tensorrt_rtx", "version": "1.7", "gpu": PORTABLE, "precision": "float16",
        "model_sha256": artifact.model_sha256, "inputs": artifact.manifest.inputs,
        "outputs": artifact.manifest.outputs, "build_s": 1.0, "plan_sha256": hashlib.sha256(b"plan").hexdigest(),
    }  # fmt: skip
    save_plan(artifact, PlanInfo(**(values | changes)), b"plan")


def test_plans_are_found_by_version_gpu_and_model(artifact: Artifact) -> None:
    with pytest.raises(ArtifactError, match=r"expected a plan of tensorrt_rtx 1\.7 for A, found none; build it"):
        find_plan(artifact, "tensorrt_rtx", "1.7", "A")
    store_plan(artifact, model_sha256="0" * 64)
    assert not list_plans(artifact)
    store_plan(artifact, version="1.6")
    with pytest.raises(ArtifactError, match=r"found 1\.6 for portable"):
        find_plan(artifact, "tensorrt_rtx", "1.7", "A")
    store_plan(artifact, precision="float32")
    store_plan(artifact)
    assert find_plan(artifact, "tensorrt_rtx", "1.7", "A").info.precision == "float16"
    store_plan(artifact, gpu="A", precision="float32")
    assert find_plan(artifact, "tensorrt_rtx", "1.7", "A").info.gpu == "A"
    assert find_plan(artifact, "tensorrt_rtx", "1.7", "B").info.gpu == PORTABLE
    (artifact.folder / "compiled" / "half-written.plan.json").write_text("{")
    assert len(list_plans(artifact)) == 4
    assert Artifact.open(artifact.folder), "plans do not touch the artifact"


def test_auto_takes_the_cpu_where_there_is_no_plan(artifact: Artifact) -> None:
    choice = choose(artifact)
    assert choice.runtime == "onnxruntime"
    assert [name for name, _ in choice.refused] == ["tensorrt_rtx", "tensorrt", "torch"]
    assert all("engine compile" in reason for _, reason in choice.refused[:2])
    with open_runtime(artifact, threads=1) as session:
        assert session.name == "onnxruntime (CPU, 1 thread)"


def test_a_missing_package_names_its_extra(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt_rtx", None)
    store_plan(artifact)
    assert "[gpu]" in why_not(artifact, "tensorrt_rtx")
    assert choose(artifact).runtime == "onnxruntime"
    with pytest.raises(MissingExtraError, match=r"tensorrt_rtx is missing .*\[gpu\]"):
        open_runtime(artifact, "tensorrt_rtx")


class TestCommands:
    def test_info(self, artifact: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
        store_plan(artifact)
        assert command.main(["info", str(artifact.folder)]) == 0
        said = capsys.readouterr().out
        for expected in (
            "tiny (demonstration",
            "used:        onnxruntime",
            "0.25 um/px",
            "mse 0.5",
            "portable",
            "research use",
        ):
            assert expected in said

    def test_no_name_in_a_model_passes_for_a_verdict(
        self, artifact: Artifact, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = artifact.folder / "manifest.json"
        content = json.loads(path.read_text())
        verdict = f"model {artifact.folder}: verified"
        content["name"] = content["training"]["description"] = f"x\n{verdict}\n"
        path.write_text(json.dumps(content))
        reseal(artifact.folder)
        assert command.main(["info", str(artifact.folder)]) == 0
        assert verdict not in capsys.readouterr().out.splitlines()

    def test_verify(self, artifact: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(["verify", str(artifact.folder), "--threads", "1"]) == 0
        assert "verified" in capsys.readouterr().out

    def test_verify_says_how_to_rebuild(self, artifact: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
        wrong = replace(artifact.golden(), grade=np.full((4, 5), 0.2, np.float32))
        arrays = {name: getattr(wrong, name) for name in ("clips", "grade", "heads", "attention")}
        np.savez(artifact.folder / "golden.npz", **arrays)
        reseal(artifact.folder)
        assert command.main(["verify", str(artifact.folder), "--threads", "1"]) == 1
        said = capsys.readouterr().out
        assert "TOO LARGE" in said
        assert "trainer export" in said

    def test_threads_below_zero(self, artifact: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(["verify", str(artifact.folder), "--threads", "-3"]) == 2
        assert capsys.readouterr().err.startswith("rostfine: threads -3: expected")

    def test_a_mistake_is_one_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert command.main(["info", str(tmp_path / "nothing")]) == 2
        assert capsys.readouterr().err.startswith("rostfine: model ")


def reseal(folder: Path) -> None:
    from engine.artifact import FILES, Manifest
    from station.files import sha256_of

    manifest = Manifest.model_validate_json((folder / "manifest.json").read_text())
    manifest = manifest.model_copy(update={"files": {name: sha256_of(folder / name) for name in FILES}})
    (folder / "manifest.json").write_text(manifest.model_copy(update={"sha256": manifest.digest()}).to_json())
