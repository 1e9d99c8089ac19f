"""From an artifact to a runtime: which one is used, and why.

It only chooses; the runtimes do the work. Nothing is built here: if there is no plan, the next runtime is used.
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
    """What "auto" resolves to, and why the faster ones were not used."""

    runtime: Literal["onnxruntime", "tensorrt_rtx", "tensorrt"]
    refused: tuple[tuple[str, str], ...]
    """(runtime, reason) of those that would be faster."""


def choose(artifact: Artifact) -> Choice:
    """Return the fastest runtime that this machine has for an artifact.

    A GPU's packages take seconds to load, so they are tried only if the artifact has a plan for them.
    """
    refused: list[tuple[str, str]] = []
    for kind in KINDS:
        reason = why_not(artifact, kind)
        if not reason:
            return Choice(kind, tuple(refused))
        refused.append((kind, reason))
    return Choice("onnxruntime", tuple(refused))


def why_not(artifact: Artifact, kind: Kind) -> str:
    """Return why a TensorRT runtime cannot be used for an artifact on this machine; empty if it can."""
    if not any(plan.info.runtime == kind for plan in list_plans(artifact)):
        return f"no plan; build one with `python -m engine compile {artifact.folder} --runtime {kind}`"
    try:
        trt = load_tensorrt(kind)
        find_plan(artifact, kind, trt.__version__, str(open_device(load_cuda()).name()))
    except (ArtifactError, InputError, MissingExtraError) as error:
        return str(error)
    return ""


def open_runtime(artifact: Artifact, runtime: RuntimeName = "auto", threads: int = 0) -> Runtime:
    """Open a runtime without checking the golden clips (``engine verify`` does that itself). Close it when done.

    Args:
        artifact: An opened artifact.
        runtime: Which one; "auto": the one ``choose`` returns.
        threads: CPU threads; 0: all cores but one.

    Raises:
        MissingExtraError: A package of the requested runtime is missing.
        InputError: There is no usable GPU.
        ArtifactError: The model or its plan cannot be loaded.
    """
    name = choose(artifact).runtime if runtime == "auto" else runtime
    if name == "onnxruntime":
        return OnnxSession(artifact, threads)
    trt, cuda = load_tensorrt(name), load_cuda()
    plan = find_plan(artifact, name, trt.__version__, str(open_device(cuda).name()))
    return TensorRtSession(artifact, plan, trt, cuda)


def open_verified_runtime(artifact: Artifact, runtime: RuntimeName = "auto", threads: int = 0) -> Runtime:
    """Open a runtime and check it against the golden clips, as the station does. Raises ArtifactError on a mismatch."""
    session = open_runtime(artifact, runtime, threads)
    try:
        require_match(artifact, session)
    except BaseException:
        session.close()
        raise
    return session
