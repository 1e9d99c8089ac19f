"""The real TensorRT-RTX compiler, which needs no GPU."""

import os

import pytest

from engine import __main__ as command
from engine.artifact import Artifact, TrainingData
from engine.tensorrt.compile import build_plan
from engine.tensorrt.plans import BATCHES, list_plans
from station.errors import ArtifactError

trt = pytest.importorskip("tensorrt_rtx", reason="compiling needs the package tensorrt-rtx-cu12 (extra [gpu])")


def built(artifact: Artifact) -> None:
    """Build a float16 plan and check what the compiler made of the graph."""
    phases: list[tuple[str, int, int]] = []
    plan = build_plan(artifact, "tensorrt_rtx", "float16", lambda *step: phases.append(step))
    assert plan.info.version == trt.__version__
    assert plan.info.inputs == artifact.manifest.inputs
    assert plan.info.outputs == artifact.manifest.outputs
    assert plan.info.batches == BATCHES == (1, 4, 8)
    assert phases[-1][1] == phases[-1][2] > 0
    content = plan.read()
    assert list_plans(artifact) == [plan]
    # The runtime reads the header without a GPU, and tells a plan of its own from any other bytes.
    runtime = trt.Runtime(trt.Logger(trt.Logger.INTERNAL_ERROR))
    malformed = int(trt.EngineInvalidityDiagnostics.MALFORMED_ENGINE)
    assert not int(runtime.get_engine_validity(content[: runtime.engine_header_size])[1]) & malformed
    assert int(runtime.get_engine_validity(b"x" * runtime.engine_header_size)[1]) & malformed


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "station",
        pytest.param(
            "base", marks=pytest.mark.skipif(not os.environ.get("TEST_BASE"), reason="on request: TEST_BASE=1")
        ),
    ],
)
def test_builds_the_presets(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    torch = pytest.importorskip("torch")
    from trainer.model.artifact_export import ArtifactFacts, export_artifact, pattern_clips
    from trainer.model.rostfine import Rostfine, preset

    torch.manual_seed(0)
    config = preset(name)  # type: ignore[arg-type]
    facts = ArtifactFacts(
        name=name, preset=name, demonstration=True, training=TrainingData(description="Random weights."), metrics={},
        um_per_px=None, fps=None,
    )  # fmt: skip
    clips = pattern_clips(1, (config.frames, config.clip_px, config.clip_px))
    built(export_artifact(Rostfine(config), tmp_path_factory.mktemp(name), facts, clips))


def test_a_graph_without_compute_casts_is_refused(artifact: Artifact) -> None:
    """Its plan would be labelled float16 but be float32."""
    artifact.model_path.write_bytes(artifact.model_path.read_bytes().replace(b"compute/", b"no_cast/"))
    with pytest.raises(ArtifactError, match="no compute casts"):
        build_plan(artifact, "tensorrt_rtx", "float16", lambda *_: None)


def test_the_command_builds_into_the_folder(artifact: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["compile", str(artifact.folder), "--precision", "float32"]) == 0
    assert "MB in" in capsys.readouterr().out
    (plan,) = list_plans(artifact)
    assert plan.path.name == f"tensorrt_rtx-{trt.__version__}-portable-float32-{artifact.model_sha256[:12]}.plan"
    assert command.main(["info", str(artifact.folder)]) == 0
    assert "plan:" in capsys.readouterr().out
