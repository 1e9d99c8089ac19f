"""The operators of an exported graph in torch: what ``engine.torch_session`` runs a graph with.

Floating-point tensors are torch's; shapes, axes and other whole-number constants stay numpy arrays on the host, so that
nothing of them reaches a GPU. torch is passed in: this module imports none of it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.onnx_file import COMPUTE_CAST
from engine.onnx_nodes import Graph, Node

Values = dict[str, Any]
FLOAT = 1
"""ONNX's number of float32."""


class Operators:
    """Runs nodes in a compute type.

    Args:
        torch: The module.
        device: Where tensors lie.
        compute: torch's type that the compute casts give.
    """

    def __init__(self, torch: Any, device: Any, compute: Any) -> None:
        self._torch, self._device, self._compute = torch, device, compute
        self._kinds: dict[str, Callable[[Node, list[Any]], Any]] = {
            "Cast": self._cast, "Reshape": self._reshape, "Transpose": self._transpose, "Slice": self._slice,
            "Concat": self._concat, "Expand": self._expand, "Unsqueeze": self._unsqueeze, "Shape": self._shape,
            "Gemm": self._gemm, "MatMul": lambda _, x: torch.matmul(*x), "Softmax": self._softmax,
            "Gelu": lambda _, x: torch.nn.functional.gelu(x[0]), "LayerNormalization": self._layer_norm,
            "ReduceMean": self._reduce("mean"), "ReduceSum": self._reduce("sum"), "TopK": self._top,
            "GatherND": self._gather, "Add": lambda _, x: self._on_device(x[0]) + self._on_device(x[1]),
            "Sub": lambda _, x: self._on_device(x[0]) - self._on_device(x[1]),
            "Mul": lambda _, x: self._on_device(x[0]) * self._on_device(x[1]), "Div": self._divide,
        }  # fmt: skip

    def unknown(self, graph: Graph) -> set[str]:
        """Return the operators of a graph that are not known here."""
        return {node.kind for node in graph.nodes} - set(self._kinds)

    def constants(self, graph: Graph) -> Values:
        """Return a graph's constants: whole numbers as they are, all else on the device."""
        return {
            name: values if values.dtype == np.int64 else self._torch.from_numpy(values.copy()).to(self._device)
            for name, values in graph.constants.items()
        }

    def run(self, nodes: list[Node], values: Values) -> None:
        """Run nodes in order; what they give is added to the values."""
        for node in nodes:
            found = self._kinds[node.kind](node, [values[name] for name in node.inputs])
            values.update(zip(node.outputs, found if node.kind == "TopK" else (found,), strict=True))

    def _on_device(self, value: Any) -> Any:
        return self._torch.from_numpy(value.copy()).to(self._device) if isinstance(value, np.ndarray) else value

    def _cast(self, node: Node, x: list[Any]) -> Any:
        if node.attributes["to"] != FLOAT:
            raise ValueError(f"node {node.name} casts to type {node.attributes['to']}")
        return x[0].to(self._compute if node.name.encode().startswith(COMPUTE_CAST) else self._torch.float32)

    def _reshape(self, _: Node, x: list[Any]) -> Any:
        return x[0].reshape([int(size) for size in x[1]])

    def _transpose(self, node: Node, x: list[Any]) -> Any:
        return x[0].permute(node.attributes["perm"])

    def _slice(self, _: Node, x: list[Any]) -> Any:
        data, starts, ends, axes = x
        for start, end, axis in zip(starts, ends, axes, strict=True):
            data = data.narrow(int(axis), int(start), int(end - start))
        return data

    def _concat(self, node: Node, x: list[Any]) -> Any:
        axis: Any = node.attributes["axis"]
        if all(isinstance(one, np.ndarray) for one in x):
            return np.concatenate(x, axis=axis)
        return self._torch.cat(x, dim=axis)

    def _expand(self, _: Node, x: list[Any]) -> Any:
        """Repeat the axes of size 1; an axis that the shape says is 1 stays as it is."""
        data, shape = x[0], [int(size) for size in x[1]]
        given = [1] * (len(shape) - data.dim()) + list(data.shape)
        return data.expand([max(size, wanted) for size, wanted in zip(given, shape, strict=True)])

    def _unsqueeze(self, _: Node, x: list[Any]) -> Any:
        (axis,) = x[1]
        return x[0].unsqueeze(int(axis))

    def _shape(self, node: Node, x: list[Any]) -> Any:
        return np.array(x[0].shape, np.int64)[node.attributes["start"] : node.attributes["end"]]

    def _gemm(self, _: Node, x: list[Any]) -> Any:
        return self._torch.addmm(x[2], x[0], x[1]) if len(x) > 2 else self._torch.mm(x[0], x[1])

    def _softmax(self, node: Node, x: list[Any]) -> Any:
        return self._torch.softmax(x[0], dim=node.attributes["axis"])

    def _layer_norm(self, node: Node, x: list[Any]) -> Any:
        data, scale, bias = x
        return self._torch.nn.functional.layer_norm(data, scale.shape, scale, bias, node.attributes["epsilon"])

    def _reduce(self, name: str) -> Callable[[Node, list[Any]], Any]:
        def reduce(node: Node, x: list[Any]) -> Any:
            axes = [int(axis) for axis in x[1]]
            return getattr(x[0], name)(dim=axes, keepdim=bool(node.attributes["keepdims"]))

        return reduce

    def _top(self, node: Node, x: list[Any]) -> Any:
        (count,) = x[1]
        return x[0].topk(int(count), dim=node.attributes["axis"])

    def _gather(self, node: Node, x: list[Any]) -> Any:
        """Take rows by their place along the axis behind the batch's."""
        data, at = x
        return data.gather(node.attributes["batch_dims"], at.expand(*at.shape[:-1], data.shape[-1]))

    def _divide(self, _: Node, x: list[Any]) -> Any:
        left, right = (self._on_device(one) for one in x)
        return left / right if left.is_floating_point() else self._torch.div(left, right, rounding_mode="floor")
