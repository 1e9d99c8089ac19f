"""A network's matrices in integers: the exported graph with quantized layers, and which layers stay as they are.

Static quantization as ONNX writes it (QuantizeLinear and DequantizeLinear around each product): inputs of a layer as
uint8 with one scale, its weights as int8 with a scale per output channel, sums in int32. Weights use 7 of the 8 bits:
then no sum of two products exceeds 16 bits, and a processor without VNNI computes the same integers
(docs/decisions/0070). Products of two activations, softmax, norms and the picture stay in float32.

It works on graphs of ``trainer.model.onnx_graph`` alone, needs no torch, and knows neither votes nor artifacts.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from engine.onnx_runtime import cpu_session
from station.machine import usable_cores

Clips = NDArray[np.uint8]
Ranges = dict[str, tuple[float, float]]
"""Smallest and largest value of each layer's input, by the input's name; 0 lies between."""
Report = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps in total."""

INPUT_LEVELS: Final = 255
WEIGHT_LIMIT: Final = 63
ERROR_BUDGET: Final = 1e-5
"""Mean square difference that the quantized layers may make together; what makes the most stays in float32."""
MOST_SENSITIVITY_S: Final = 600.0
"""Time for measuring the layers one by one; fewer clips are taken where it would take longer."""


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers that take the same input: they share its integers, so they are quantized together or not at all."""

    input: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantized graph."""

    model: ModelProto
    left_out: tuple[str, ...]
    """The layers that stay in float32, the most sensitive first: "gemm_559 (192 x 5)"."""


def quantize(model: ModelProto, ranging: Clips, weighing: Clips, report: Report) -> Quantized:
    """Return the graph with its layers in integers, but for those that cost the grades the most.

    Args:
        model: A graph of ``trainer.model.onnx_graph``.
        ranging: (N, T, H, W) uint8, the clips that the ranges of values are taken from.
        weighing: (N, T, H, W) uint8, other clips, on which each layer's cost is measured.
        report: Called as the work goes on.
    """
    found = ranges(model, ranging, report)
    errors = own_errors(model, found, weighing, report)
    allowed = sum(errors.values())
    left_out: list[str] = []
    for layers in sorted(errors, key=lambda layers: -errors[layers]):
        if allowed <= ERROR_BUDGET:
            break
        allowed -= errors[layers]
        left_out += layers.names
    shapes = _shapes(model)
    return Quantized(
        in_integers(model, found, frozenset(left_out)),
        tuple(f"{name} ({' x '.join(map(str, shapes[name]))})" for name in left_out),
    )


def layers_of(model: ModelProto) -> list[Layers]:
    """Return the layers with weights, by the input they take."""
    names: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type == "Gemm":
            names.setdefault(node.input[0], []).append(node.name)
    return [Layers(source, tuple(layers)) for source, layers in names.items()]


def ranges(model: ModelProto, clips: Clips, report: Report) -> Ranges:
    """Return the ranges of the layers' inputs over some clips, in float32."""
    watched = ModelProto()
    watched.CopyFrom(model)
    names = [layers.input for layers in layers_of(model)]
    del watched.graph.output[:]
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = cpu_session(watched.SerializeToString(), usable_cores())
    lowest, highest = np.zeros(len(names)), np.zeros(len(names))
    for index in range(len(clips)):
        values = session.run(names, {"clip": clips[index : index + 1]})
        lowest = np.minimum(lowest, [value.min() for value in values])
        highest = np.maximum(highest, [value.max() for value in values])
        report("ranges of values", index + 1, len(clips))
    return {name: (float(low), float(high)) for name, low, high in zip(names, lowest, highest, strict=True)}


def own_errors(model: ModelProto, found: Ranges, clips: Clips, report: Report) -> dict[Layers, float]:
    """Return the mean square difference of the grades that each layer makes when it alone is quantized."""
    groups = layers_of(model)
    started_s = time.monotonic()
    true = grades(model, clips[:1])
    clip_s = time.monotonic() - started_s
    clips = clips[: max(2, min(len(clips), int(MOST_SENSITIVITY_S / (clip_s * len(groups)))))]
    true = grades(model, clips)
    everything = {name for layers in groups for name in layers.names}
    errors: dict[Layers, float] = {}
    for index, layers in enumerate(groups):
        changed = in_integers(model, found, frozenset(everything - set(layers.names)))
        errors[layers] = float(np.mean((grades(changed, clips) - true) ** 2))
        report("cost of each layer", index + 1, len(groups))
    return errors


def grades(model: ModelProto, clips: Clips) -> NDArray[np.float64]:
    """Return what a graph says of clips, (N, 5), one clip at a time as the station runs it on a CPU."""
    session = cpu_session(model.SerializeToString(), usable_cores())
    found = [session.run(["grade"], {"clip": clips[index : index + 1]})[0] for index in range(len(clips))]
    return np.concatenate(found).astype(np.float64)


def in_integers(model: ModelProto, found: Ranges, left_out: frozenset[str]) -> ModelProto:
    """Return the graph with the layers in integers that are not left out, by name."""
    quantized = ModelProto()
    quantized.CopyFrom(model)
    writer = _Writer(quantized, found)
    for node in model.graph.node:
        if node.op_type == "Gemm" and node.name not in left_out:
            writer.layer(node)
        else:
            writer.nodes.append(node)
    writer.finish()
    onnx.checker.check_model(quantized)
    return quantized


def _shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shape of each layer's matrix, (in, out), by the layer's name."""
    stored = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    cast_from = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Cast"}
    return {n.name: stored[cast_from[n.input[1]]] for n in model.graph.node if n.op_type == "Gemm"}


class _Writer:
    """Writes quantized layers into a copy of a graph; what several layers share is written once."""

    def __init__(self, model: ModelProto, found: Ranges) -> None:
        self.nodes: list[NodeProto] = []
        self._graph = model.graph
        self._ranges = found
        self._stored = {tensor.name: tensor for tensor in model.graph.initializer}
        self._cast_from = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Cast"}
        self._inputs: dict[str, np.float32] = {}
        """Scale of each quantized input."""
        self._weights: dict[str, NDArray[np.float32]] = {}
        """Scales of each quantized matrix."""

    def layer(self, node: NodeProto) -> None:
        """Write a layer on the integers of its input and weights; its bias has the scale of their product."""
        source, weight = node.input[:2]
        scale, scales = self._input(source), self._weight(weight)
        inputs = [f"{source}_real", f"{weight}_real"]
        if len(node.input) > 2:
            inputs.append(self._bias(node.name, self._values(node.input[2]), scale * scales))
        self.nodes.append(helper.make_node("Gemm", inputs, list(node.output), name=node.name))

    def finish(self) -> None:
        """Put the nodes into the graph, without the weights and casts that nothing reads any more."""
        wanted = {output.name for output in self._graph.output}
        kept: list[NodeProto] = []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                wanted.update(node.input)
                kept.append(node)
        initializers = [tensor for tensor in self._graph.initializer if tensor.name in wanted]
        del self._graph.node[:]
        self._graph.node.extend(reversed(kept))
        del self._graph.initializer[:]
        self._graph.initializer.extend(initializers)

    def _input(self, name: str) -> np.float32:
        if name not in self._inputs:
            low, high = self._ranges[name]
            scale = np.float32(max((high - low) / INPUT_LEVELS, float(np.finfo(np.float32).tiny)))
            zero = np.uint8(np.clip(np.rint(-low / scale), 0, INPUT_LEVELS))
            parameters = self._add(f"{name}_scale", scale), self._add(f"{name}_zero", zero)
            self._node("QuantizeLinear", name, *parameters, out=f"{name}_integer")
            self._node("DequantizeLinear", f"{name}_integer", *parameters, out=f"{name}_real")
            self._inputs[name] = scale
        return self._inputs[name]

    def _weight(self, name: str) -> NDArray[np.float32]:
        if name not in self._weights:
            values = self._values(name)  # (in, out): a scale for each column
            scales = (np.abs(values).max(axis=0) / WEIGHT_LIMIT).astype(np.float32)
            scales[scales == 0] = 1
            self._dequantized(name, np.rint(values / scales).astype(np.int8), scales, axis=1)
            self._weights[name] = scales
        return self._weights[name]

    def _bias(self, layer: str, values: NDArray[np.float64], scales: NDArray[np.float32]) -> str:
        limits = np.iinfo(np.int32)
        integers = np.clip(np.rint(values / scales.astype(np.float64)), limits.min, limits.max)
        return self._dequantized(f"{layer}_bias", integers.astype(np.int32), scales.astype(np.float32), axis=0)

    def _dequantized(self, name: str, integers: NDArray[Any], scales: NDArray[np.float32], axis: int) -> str:
        zeros = np.zeros(len(scales), integers.dtype)
        stored = (self._add(f"{name}_integer", integers), self._add(f"{name}_scale", scales),
                  self._add(f"{name}_zero", zeros))  # fmt: skip
        return self._node("DequantizeLinear", *stored, out=f"{name}_real", axis=axis)

    def _values(self, name: str) -> NDArray[np.float64]:
        return numpy_helper.to_array(self._stored[self._cast_from[name]]).astype(np.float64)

    def _add(self, name: str, values: Any) -> str:
        self._graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _node(self, kind: str, *inputs: str, out: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=out, **attributes))
        return out
