"""From an artifact to a runtime: which one is taken, and why.

It decides; the runtimes themselves do the work. Nothing is built here: a plan that does not exist is not waited for.
"""

from typing import Literal

from engine.artifact import Artifact
from engine.onnx_runtime import OnnxSession
from engine.runtime import Runtime
from engine.verify import require_match

RuntimeName = Literal["auto", "onnxruntime"]


def open_runtime(artifact: Artifact, runtime: RuntimeName = "auto", threads: int = 0) -> Runtime:
    """Open a runtime without asking for the golden answers (``engine verify`` does that itself). Close it when done.

    Args:
        artifact: An opened artifact.
        runtime: Which one; "auto": the fastest that this machine has.
        threads: CPU threads; 0: all cores but one.

    Raises:
        ArtifactError: The model cannot be loaded.
    """
    del runtime
    return OnnxSession(artifact, threads)


def open_verified_runtime(artifact: Artifact, runtime: RuntimeName = "auto", threads: int = 0) -> Runtime:
    """Open a runtime and hold it to the golden answers, as the station does. Raises ArtifactError for a mismatch."""
    session = open_runtime(artifact, runtime, threads)
    try:
        require_match(artifact, session)
    except BaseException:
        session.close()
        raise
    return session
