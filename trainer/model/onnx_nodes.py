"""ONNX nodes and initializers in the order they are made: what ``trainer.model.onnx_graph`` writes with.

It knows names, constants and the two storage types of weights; it knows no network. The same calls give the same bytes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from engine.artifact import NUM_GRADES, Stored

Array = NDArray[np.float64]


class NodeList:
    """Collects nodes and initializers; every method returns the name of what it made."""

    def __init__(self, precision: Stored) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._stored = np.dtype(precision)
        self._constants: dict[tuple[int, ...], str] = {}
        self._weights: dict[tuple[tuple[int, ...], bytes], str] = {}

    def op(self, kind: str, *inputs: str, out: str = "", name: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        out = out or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=name or out, **attributes))
        return out

    def weight(self, values: Array) -> str:
        """Add a weight, used in the compute type. Equal weights are stored once.

        Large matrices are stored in the graph's precision. All else is stored as float32: biases, norms, embeddings and
        heads are a hundredth of the file, and the grades notice their rounding as much as that of the matrices.
        """
        large = values.ndim == 2 and min(values.shape) > NUM_GRADES
        stored = np.ascontiguousarray(values.astype(self._stored if large else np.float32))
        key = (stored.shape, stored.tobytes())
        if key not in self._weights:
            name = f"weight_{len(self._weights)}"
            self.initializers.append(numpy_helper.from_array(stored, name))
            self._weights[key] = self.compute(name)
        return self._weights[key]

    def exact(self, name: str, values: Array) -> str:
        """Add float32 numbers that no precision touches."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values.astype(np.float32)), name))
        return name

    def compute(self, tensor: str) -> str:
        """Bring a tensor into the compute type: the casts that a compiler may set to float16."""
        return self.op("Cast", tensor, name=f"compute/{tensor}", to=TensorProto.FLOAT)

    def ints(self, *values: int) -> str:
        """Return a constant int64 vector, made once."""
        if values not in self._constants:
            self._constants[values] = f"ints_{'_'.join(map(str, values)).replace('-', 'm')}"
            self.initializers.append(numpy_helper.from_array(np.array(values, np.int64), self._constants[values]))
        return self._constants[values]

    def reshape(self, tensor: str, *shape: int) -> str:
        """Give a tensor another shape; -1 for what follows from the others."""
        return self.op("Reshape", tensor, self.ints(*shape))

    def transpose(self, tensor: str, *perm: int) -> str:
        """Reorder axes."""
        return self.op("Transpose", tensor, perm=list(perm))

    def cut(self, tensor: str, axis: int, start: int, end: int) -> str:
        """Take the places from ``start`` up to ``end`` along an axis."""
        return self.op("Slice", tensor, self.ints(start), self.ints(end), self.ints(axis))
