"""Building a TensorRT plan from an artifact: compilation and its progress, not execution.

``tensorrt_rtx`` builds on any machine, with or without a GPU, plans that run on every GPU it supports; ``tensorrt``
needs the GPU that the plan is for. The network is strongly typed: its compute casts set the precision.
"""

import hashlib
import time
from collections.abc import Callable
from typing import Any

from engine.artifact import EXPORT_HINT, Artifact, TensorSpec
from engine.baseline_config import BaselineConfig
from engine.names import Kind, PlanPrecision
from engine.onnx_file import MOST_BYTES, in_compute_type
from engine.tensorrt.driver import Log, load_cuda, load_tensorrt, make_logger, open_device
from engine.tensorrt.plans import BATCHES, PORTABLE, Plan, PlanInfo, save_plan
from station.errors import ArtifactError, InputError
from station.files import read_bounded

Progress = Callable[[str, int, int], None]
"""Called with the name of a phase, steps done and steps in total."""


def build_plan(artifact: Artifact, kind: Kind, precision: PlanPrecision, report: Progress) -> Plan:
    """Compile an artifact and store the plan beside it.

    Args:
        artifact: An opened artifact.
        kind: Which compiler.
        precision: The precision the plan computes in.
        report: Called as the build goes on.

    Raises:
        MissingExtraError: The compiler is not installed.
        InputError: ``tensorrt`` finds no GPU, or the graph is not RoSTFine's.
        ArtifactError: The compiler refuses the graph, or its inputs and outputs are not the manifest's.
    """
    if isinstance(artifact.manifest.network, BaselineConfig):
        raise InputError(
            f"model {artifact.folder}: plans are built of RoSTFine's graphs, not {artifact.manifest.network.system}'s; "
            "take the runtime onnxruntime"
        )
    trt = load_tensorrt(kind)
    gpu = PORTABLE if kind == "tensorrt_rtx" else str(open_device(load_cuda()).name())
    log = Log()
    logger = make_logger(trt, log)
    started_s = time.monotonic()
    builder = trt.Builder(logger)
    # A flag before version 10, the only mode since.
    strongly = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strongly is None else 1 << int(strongly))
    parser = trt.OnnxParser(network, logger)
    model, casts = in_compute_type(read_bounded(artifact.model_path, MOST_BYTES), precision)
    if not casts:
        raise ArtifactError(
            f"model {artifact.folder}: model.onnx has no compute casts, so its plan would not be {precision}; "
            f"{EXPORT_HINT}"
        )
    if not parser.parse(model):
        reasons = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise ArtifactError(
            f"model {artifact.folder}: {kind} cannot read model.onnx ({reasons or log.last()}); {EXPORT_HINT}"
        )
    _require_io(artifact, trt, network)

    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    shape = artifact.manifest.inputs[0].shape[1:]
    profile.set_shape("clip", *((batch, *shape) for batch in BATCHES))
    config.add_optimization_profile(profile)
    # TF32 would silently round float32 to 10 bits of mantissa.
    config.clear_flag(trt.BuilderFlag.TF32)
    config.progress_monitor = _monitor(trt, report)
    content = builder.build_serialized_network(network, config)
    if content is None:
        raise ArtifactError(f"model {artifact.folder}: {kind} {trt.__version__} built no plan ({log.last()})")
    plan = bytes(content)
    info = PlanInfo(
        runtime=kind,
        version=trt.__version__,
        gpu=gpu,
        precision=precision,
        model_sha256=artifact.model_sha256,
        inputs=artifact.manifest.inputs,
        outputs=artifact.manifest.outputs,
        build_s=round(time.monotonic() - started_s, 2),
        plan_sha256=hashlib.sha256(plan).hexdigest(),
    )
    return save_plan(artifact, info, plan)


def _require_io(artifact: Artifact, trt: Any, network: Any) -> None:
    """Raise ArtifactError if the parsed network's inputs and outputs are not the manifest's."""
    found = [
        [_spec(trt, side(index)) for index in range(count)]
        for side, count in ((network.get_input, network.num_inputs), (network.get_output, network.num_outputs))
    ]
    expected = [list(artifact.manifest.inputs), list(artifact.manifest.outputs)]
    if found != expected:
        raise ArtifactError(
            f"model {artifact.folder}: expected {expected}, {trt.__name__} reads {found} from model.onnx; {EXPORT_HINT}"
        )


def _spec(trt: Any, tensor: Any) -> TensorSpec:
    types = {trt.uint8: "uint8", trt.float32: "float32"}
    return TensorSpec.model_construct(
        name=tensor.name, dtype=types.get(tensor.dtype, str(tensor.dtype)), shape=tuple(tensor.shape)
    )


def _monitor(trt: Any, report: Progress) -> Any:
    """Return a progress monitor that passes the outermost phase's steps on."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # the base is known only at run time
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self.steps[phase_name] = num_steps
                report(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self.steps:
                report(phase_name, step + 1, self.steps[phase_name])
            return True

        def phase_finish(self, phase_name: str) -> None:
            if phase_name in self.steps:
                report(phase_name, self.steps[phase_name], self.steps[phase_name])

    return Monitor()
