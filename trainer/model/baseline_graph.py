"""A baseline as one ONNX graph: what torch.onnx makes of it, with the preprocessing inside and one output, ``grade``.

Unlike RoSTFine's graph (``trainer.model.onnx_graph``) it is not written by hand, so other runtimes than ONNX Runtime
are not promised to take it. Weights are stored as float32, or as float16 with a cast behind each.
"""

import logging
import warnings
from typing import Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from engine.artifact import MAX_BATCH, OPSET, Stored, tensor_specs
from station.notice import NOTICE
from trainer.model.baselines import Baseline

IR_VERSION: Final = 10
SMALL: Final = 16
"""Numbers up to which a constant stays as it is: shapes and scales are no weights."""


class _GradeAlone(nn.Module):
    """A baseline whose answer is one tensor."""

    def __init__(self, network: Baseline) -> None:
        super().__init__()
        self.network = network

    def forward(self, clip: Tensor) -> Tensor:
        """Grade clips (N, T, H, W) uint8."""
        grade: Tensor = self.network(clip).grade
        return grade


def baseline_graph(network: Baseline, stored: Stored) -> onnx.ModelProto:
    """Return the checked model; the network is put into evaluation mode."""
    config = network.config
    clip = torch.zeros((2, config.frames, config.clip_px, config.clip_px), dtype=torch.uint8)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter about itself
            program = torch.onnx.export(
                _GradeAlone(network.eval()), (clip,), dynamo=True, verbose=False, opset_version=OPSET,
                input_names=["clip"], output_names=["grade"],
                dynamic_shapes=({0: torch.export.Dim("N", min=1, max=MAX_BATCH)},),
            )  # fmt: skip
    finally:
        logger.setLevel(level)
    assert program is not None
    made = program.model_proto
    initializers, casts = _stored(list(made.graph.initializer), stored)
    nodes = [*casts, *made.graph.node]
    for node in nodes:  # the exporter writes down where in which file each came from
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    inputs, outputs = ([_value(spec.name, spec.dtype, spec.shape) for spec in side] for side in tensor_specs(config))
    graph = helper.make_graph(nodes, config.system, inputs, outputs, initializers)
    model = helper.make_model(
        graph, producer_name="rostfine-station", ir_version=IR_VERSION, functions=list(made.functions),
        opset_imports=[helper.make_opsetid("", OPSET)],
    )  # fmt: skip
    helper.set_model_props(model, {"licence": NOTICE})
    onnx.checker.check_model(model, full_check=True)
    return model


def _value(name: str, dtype: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    element = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}[dtype]
    return helper.make_tensor_value_info(name, element, ["N" if size < 0 else size for size in shape])


def _stored(weights: list[TensorProto], stored: Stored) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
    """Return the weights in the type that they are stored in, and the casts that bring them back to float32."""
    kept, casts = [], []
    for weight in weights:
        values = numpy_helper.to_array(weight)
        if stored == "float32" or values.dtype != np.float32 or values.size <= SMALL:
            kept.append(numpy_helper.from_array(values, weight.name))  # without the exporter's remarks
            continue
        name = f"{weight.name}/stored"
        kept.append(numpy_helper.from_array(values.astype(np.float16), name))
        casts.append(helper.make_node("Cast", [name], [weight.name], name=f"widen/{weight.name}", to=TensorProto.FLOAT))
    return kept, casts
