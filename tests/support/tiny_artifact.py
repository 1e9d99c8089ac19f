"""A tiny artifact with random weights, made once: a network that computes in no time what nobody will believe."""

import pytest

from engine.artifact import Artifact, NetworkConfig, TrainingData

TINY = NetworkConfig(
    branch="prenorm", frames=4, clip_px=24, image_px=24, patch_px=8, width=32, depth=3, heads=2, selected=3,
    branch_depth=2, branch_heads=2,
)  # fmt: skip


@pytest.fixture(scope="session")
def tiny_artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    torch = pytest.importorskip("torch", reason="making an artifact needs the extra [train]")
    from trainer.model.artifact_export import ArtifactFacts, export_artifact, pattern_clips
    from trainer.model.rostfine import Rostfine

    torch.manual_seed(1)
    network = Rostfine(TINY)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    facts = ArtifactFacts(
        name="tiny", preset="station", demonstration=True, training=TrainingData(description="Random weights."),
        metrics={"mse": 0.5}, um_per_px=0.25, fps=15.0,
    )  # fmt: skip
    clips = pattern_clips(4, (TINY.frames, TINY.clip_px, TINY.clip_px))
    return export_artifact(network, tmp_path_factory.mktemp("artifact") / "tiny", facts, clips, "float32")
