"""From an artifact to a runtime: which one is used, in which precision, and why.

It only chooses; the runtimes do the work. Nothing is built here: if there is no plan, the next runtime is used. On a
CPU the choice between precisions is measured (``engine.selection``).
"""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast, get_args

from engine.artifact import Artifact, Precision
from engine.baseline_config import BaselineConfig
from engine.names import KINDS, AnyRuntime, Kind, PrecisionName, RuntimeName
from engine.onnx_runtime import OnnxSession, default_threads
from engine.openvino_runtime import OpenVinoSession
from engine.runtime import Runtime
from engine.selection import CpuRuntime, Selection, Way, in_one_line, select
from engine.tensorrt.driver import load_cuda, load_tensorrt, open_device
from engine.tensorrt.plans import Plan, find_plan, list_plans
from engine.verify import require_match
from station.errors import ArtifactError, InputError, MissingExtraError

NVIDIA_DRIVER = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"))
"""One of them is there, on Linux, where the driver of an NVIDIA GPU is loaded."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What "auto" resolves to, and why the others were not used."""

    runtime: AnyRuntime
    precision: Precision
    why: str
    """Why this one, in words."""
    refused: tuple[tuple[str, str], ...] = ()
    """(runtime, reason) of those that would be faster."""
    selection: Selection | None = None
    """The measurement it rests on; None where nothing was measured."""
    failed: tuple[tuple[str, str], ...] = ()
    """(runtime and precision, reason) of those that were chosen before it and did not start."""

    @property
    def notice(self) -> str:
        """What the operator is told: what the model was made for or what was chosen, and is not used; else empty."""
        reasons = dict(self.failed)
        if self.selection is not None:
            reasons |= {str(one.way): one.refused for one in self.selection.ways if one.refused}
        reasons.pop(f"{self.runtime} {self.precision}", None)
        return "; ".join(f"graded in {self.precision}, not with {way}: {reason}" for way, reason in reasons.items())


def choose(
    artifact: Artifact,
    runtime: RuntimeName = "auto",
    precision: PrecisionName = "auto",
    threads: int = 0,
    *,
    like: str = "",
    anew: bool = False,
    torch_failed: str = "",
) -> Choice:
    """Return what runs an artifact on this machine: what was asked for, else the fastest there is.

    A GPU's packages take seconds to load, so they are tried only if the artifact has a plan for them, and torch only
    where there is an NVIDIA driver.

    Args:
        artifact: An opened artifact.
        runtime: The runtime to use, or "auto".
        precision: The precision to use, or "auto".
        threads: CPU threads; 0: all cores but one.
        like: Name of the runtime of a recorded run, for its replay: the same is used where it is there.
        anew: Measure again.
        torch_failed: Why torch was tried and is not taken.

    Raises:
        InputError: The model or the runtime does not have that precision.
    """
    if threads < 0:
        raise InputError(f"threads {threads}: expected a number of CPU threads, or 0 for all cores but one")
    if like and runtime == precision == "auto" and (same := _as_recorded(artifact, like)) is not None:
        return same
    if runtime == "tensorrt_rtx" or runtime == "tensorrt":
        return Choice(runtime, _find_plan(artifact, runtime, precision)[0].info.precision, "asked for")
    refused: list[tuple[str, str]] = []
    if runtime == "auto":
        for kind in KINDS:
            reason = why_not(artifact, kind, precision)
            if not reason:
                found = _find_plan(artifact, kind, precision)[0].info.precision
                return Choice(kind, found, "the fastest that is ready", tuple(refused))
            refused.append((kind, reason))
        reason = (
            torch_failed
            or why_onnxruntime_alone(artifact)
            or ("it does not compute in int8" if precision == "int8" else why_not_torch())
        )
        if not reason and precision != "int8":
            wanted: Precision = "float16" if precision == "auto" else precision
            why = "the GPU's, in place of TensorRT: for that there is no plan that runs here"
            return Choice("torch", wanted, why, tuple(refused))
        refused.append(("torch", reason))
    if runtime == "torch":
        wanted = (
            "float32" if precision == "auto" and why_not_torch() else "float16" if precision == "auto" else precision
        )
        return Choice(runtime, wanted, "asked for")
    if precision != "auto":
        way = _asked_for(artifact, runtime, precision)
        return Choice(way.runtime, way.precision, "asked for", tuple(refused))
    ways = [way for way in ways_of(artifact) if runtime in ("auto", way.runtime)]
    if runtime == "openvino":
        way = ways[0] if ways else Way("openvino", "float32")
        return Choice(way.runtime, way.precision, "asked for")
    measured = select(
        artifact, ways, threads or default_threads(), lambda way: _open(artifact, way.runtime, way.precision, threads),
        anew=anew or bool(artifact.int8_fault),
    )  # fmt: skip
    taken = measured.taken
    why = measured.why
    if artifact.precision == "bfloat16" and not has_openvino():
        why = 'the model is proven for bfloat16 on openvino, which is missing: pip install ".[openvino]"'
    return Choice(taken.runtime, taken.precision, why, tuple(refused), measured)


def ways_of(artifact: Artifact) -> list[Way]:
    """Return the ways to run an artifact on this CPU that it was exported and proven for, float32 first."""
    ways = [Way("onnxruntime", "float32")]
    if artifact.precision == "int8":
        ways.append(Way("onnxruntime", "int8"))
    if artifact.precision == "bfloat16" and has_openvino():
        ways.append(Way("openvino", "bfloat16"))
    return ways


def has_openvino() -> bool:
    """Return whether the package is installed."""
    return find_spec("openvino") is not None


def why_not(artifact: Artifact, kind: Kind, precision: PrecisionName = "auto") -> str:
    """Return why a TensorRT runtime cannot be used for an artifact on this machine; empty if it can."""
    if not any(plan.info.runtime == kind for plan in list_plans(artifact)):
        return f"no plan; build one with `python -m engine compile {artifact.folder} --runtime {kind}`"
    try:
        _find_plan(artifact, kind, precision)
    except (ArtifactError, InputError, MissingExtraError) as error:
        return str(error)
    return ""


def why_onnxruntime_alone(artifact: Artifact) -> str:
    """Return why an artifact runs on ONNX Runtime alone; empty where others run it too."""
    network = artifact.manifest.network
    return f"it runs RoSTFine's graphs, not {network.system}'s" if isinstance(network, BaselineConfig) else ""


def has_nvidia_driver() -> bool:
    """Return whether the driver of an NVIDIA GPU is loaded."""
    return any(path.exists() for path in NVIDIA_DRIVER)


def why_not_torch() -> str:
    """Return why torch is not used unless it is named; empty where it sees a CUDA GPU.

    torch is loaded only where there is an NVIDIA driver.
    """
    if not has_nvidia_driver():
        return "no NVIDIA driver here"
    try:
        from engine.torch_session import load_torch

        return "" if load_torch().cuda.is_available() else "torch sees no CUDA GPU"
    except Exception as error:  # a package that is there and cannot be loaded, or a driver of another version
        return in_one_line(error)


def _find_plan(artifact: Artifact, kind: Kind, precision: PrecisionName) -> tuple[Plan, Any, Any]:
    """Return the plan for this machine, and the packages that run it."""
    trt = load_tensorrt(kind)
    cuda = load_cuda()
    wanted = None if precision == "auto" else precision
    return find_plan(artifact, kind, trt.__version__, str(open_device(cuda).name()), wanted), trt, cuda


def _asked_for(artifact: Artifact, runtime: RuntimeName, precision: Precision) -> Way:
    """Return the way to run a precision on a CPU; whether it is possible is said when it is opened."""
    if runtime != "auto":
        return Way(cast(CpuRuntime, runtime), precision)
    if precision == "float16":
        raise InputError(
            f"precision float16: a CPU computes float16 weights in float32; take float32, or build a plan for a GPU "
            f"with `python -m engine compile {artifact.folder}`"
        )
    return Way("openvino" if precision == "bfloat16" else "onnxruntime", precision)


def _as_recorded(artifact: Artifact, name: str) -> Choice | None:
    """Return the way that a runtime's name tells of, if this model and machine have it: "onnxruntime (CPU, int8)"."""
    runtime, _, details = name.removesuffix(")").partition(" (")
    told = details.rpartition(", ")[2]
    way = Way(cast(CpuRuntime, runtime), cast(Precision, told) if told in get_args(Precision) else "float32")
    return Choice(way.runtime, way.precision, "as recorded") if way in ways_of(artifact) else None


def open_runtime(
    artifact: Artifact, runtime: RuntimeName = "auto", threads: int = 0, precision: PrecisionName = "auto"
) -> Runtime:
    """Open a runtime without checking the golden clips (``engine verify`` does that itself). Close it when done.

    Args:
        artifact: An opened artifact.
        runtime: Which one; "auto": the one ``choose`` returns.
        threads: CPU threads; 0: all cores but one.
        precision: Which one; "auto": the fastest that holds.

    Raises:
        MissingExtraError: A package of the requested runtime is missing.
        InputError: There is no usable GPU, or no such precision.
        ArtifactError: The model or its plan cannot be loaded.
    """
    choice = choose(artifact, runtime, precision, threads)
    return _open(artifact, choice.runtime, choice.precision, threads)


def open_verified_runtime(
    artifact: Artifact, runtime: RuntimeName = "auto", threads: int = 0, precision: PrecisionName = "auto"
) -> Runtime:
    """Open a runtime and check it against the golden clips, as the station does. Raises ArtifactError on a mismatch."""
    return open_chosen(artifact, runtime, precision, threads)[1]


def open_chosen(
    artifact: Artifact,
    runtime: RuntimeName = "auto",
    precision: PrecisionName = "auto",
    threads: int = 0,
    *,
    like: str = "",
) -> tuple[Choice, Runtime]:
    """Choose as ``choose`` does, open and check it; go on to the next where what was not asked for does not start.

    A precision that was measured before and does not start now is measured again, once, and then given up for float32;
    torch is given up for the CPU. ``Choice.notice`` of what is returned says so.

    Raises:
        StationError: What was asked for, or float32, cannot be opened, or its golden clips do not match.
    """
    failed: dict[str, str] = {}
    choice = choose(artifact, runtime, precision, threads, like=like)
    torch_failed, again = "", False
    while True:
        try:
            session = open_choice(artifact, choice, threads)
        except Exception as error:
            if not _is_replaceable(choice, runtime, precision):
                raise
            reason = failed[f"{choice.runtime} {choice.precision}"] = in_one_line(error)
        else:
            return replace(choice, failed=tuple(failed.items())), session
        if choice.runtime == "torch":
            torch_failed = reason
            choice = choose(artifact, runtime, precision, threads, torch_failed=reason)
        elif not again:
            again = True
            choice = choose(artifact, runtime, precision, threads, anew=True, torch_failed=torch_failed)
        else:
            choice = Choice("onnxruntime", "float32", "what was chosen before it does not start", choice.refused)


def _is_replaceable(choice: Choice, runtime: RuntimeName, precision: PrecisionName) -> bool:
    """Return whether something else may run in place of a choice: it was not asked for, and there is something else."""
    if choice.runtime == "torch":
        return runtime == "auto" and precision in ("auto", "float32")
    on_a_cpu = choice.runtime in get_args(CpuRuntime)
    return on_a_cpu and choice.precision != "float32" and precision == "auto" and runtime in ("auto", "onnxruntime")


def open_choice(artifact: Artifact, choice: Choice, threads: int = 0) -> Runtime:
    """Open what was chosen and check it against the golden clips. Raises ArtifactError on a mismatch."""
    session = _open(artifact, choice.runtime, choice.precision, threads)
    try:
        require_match(artifact, session)
    except BaseException:
        session.close()
        raise
    return session


def _open(artifact: Artifact, runtime: AnyRuntime, precision: Precision, threads: int) -> Runtime:
    if runtime == "onnxruntime":
        return OnnxSession(artifact, threads, precision=precision)
    if elsewhere := why_onnxruntime_alone(artifact):
        raise InputError(f"runtime {runtime}: {elsewhere}; take the runtime onnxruntime")
    if runtime == "openvino":
        return OpenVinoSession(artifact, threads, precision)
    if runtime == "torch":
        from engine.torch_session import TorchSession

        return TorchSession(artifact, threads, precision)
    plan, trt, cuda = _find_plan(artifact, runtime, precision)
    from engine.tensorrt.session import TensorRtSession

    return TensorRtSession(artifact, plan, trt, cuda)
