"""A copy of the tiny artifact that a test may damage."""

import shutil
from pathlib import Path

import pytest

from engine.artifact import Artifact
from tests.support.tiny_artifact import tiny_artifact

__all__ = ["tiny_artifact"]


@pytest.fixture
def artifact(tiny_artifact: Artifact, tmp_path: Path) -> Artifact:
    """A copy that a test may change."""
    shutil.copytree(tiny_artifact.folder, tmp_path / "model")
    return Artifact.open(tmp_path / "model")
