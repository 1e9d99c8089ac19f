"""From an artifact to a runtime: which one is taken, and why.

It decides; the runtimes themselves do the work. Nothing is built here: a plan that does not exist is not waited for.
"""

from dataclasses import dataclass
from typing import Literal

from engine.artifact import Artifact
from engine.onnx_runtime import OnnxSession
from engine.runtime import Runtime
from engine.tensorrt.driver import load_cuda, load_tensorrt, open_device
from engine.tensorrt.plans import KINDS, Kind, find_plan, list_plans
from engine.tensorrt.session import TensorRtSession
from engine.verify import require_match
from station.errors import ArtifactError, InputError, MissingExtraError

RuntimeName = Literal["auto", "onnxruntime", "tensorrt_rtx", "tensorrt"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What "auto" takes, and why not what stands before it."""

    runtime: Literal["onnxruntime", "tensorrt_rtx", "tensorrt"]
    refused: tuple[tuple[str, str], ...]
    """(runtime, reason) of those that would be faster."""


def choose(artifact: Artifact) -> Choice:
    """Return the fastest runtime that this machine has for an artifact.

    A GPU's packages take seconds to load: they are looked at only where the artifact has a plan for them.
    """
    refused: list[tuple[str, str]] = []
    for kind in KINDS:
        reason = why_not(artifact, kind)
        if not reason:
            return Choice(kind, tuple(refused))
        refused.append((kind, reason))
    return Choice("onnxruntime", tuple(refused))


def why_not(artifact: Artifact, kind: Kind) -> str:
    """Return why a TensorRT runtime cannot be used for an artifact on this machine; empty where it can."""
    if not any(plan.info.runtime == kind for plan in list_plans(artifact)):
        return f"no plan; build one with `python -m engine compile {artifact.folder} --runtime {kind}`"
    try:
        trt = load_tensorrt(kind)
        find_plan(artifact, kind, trt.__version__, str(open_device(load_cuda()).name()))
    except (ArtifactError, InputError, MissingExtraError) as error:
        return str(error)
    return ""


def open_runtime(artifact: Artifact, runtime: RuntimeName = "auto", threads: int = 0) -> Runtime:
    """Open a runtime without asking for the golden answers (``engine verify`` does that itself). Close it when done.

    Args:
        artifact: An opened artifact.
        runtime: Which one; "auto": what ``choose`` says.
        threads: CPU threads; 0: all cores but one.

    Raises:
        MissingExtraError: A package of the asked-for runtime is missing.
        InputError: There is no usable GPU.
        ArtifactError: The model or its plan cannot be loaded.
    """
    taken = choose(artifact).runtime if runtime == "auto" else runtime
    if taken == "onnxruntime":
        return OnnxSession(artifact, threads)
    trt, cuda = load_tensorrt(taken), load_cuda()
    plan = find_plan(artifact, taken, trt.__version__, str(open_device(cuda).name()))
    return TensorRtSession(artifact, plan, trt, cuda)


def open_verified_runtime(artifact: Artifact, runtime: RuntimeName = "auto", threads: int = 0) -> Runtime:
    """Open a runtime and hold it to the golden answers, as the station does. Raises ArtifactError for a mismatch."""
    session = open_runtime(artifact, runtime, threads)
    try:
        require_match(artifact, session)
    except BaseException:
        session.close()
        raise
    return session
