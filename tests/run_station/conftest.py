"""The tiny artifact, for runs in which many windows are graded."""

from tests.support.tiny_artifact import tiny_artifact

__all__ = ["tiny_artifact"]
