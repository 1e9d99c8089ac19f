"""The nodes and weights of an exported graph, read as plain protobuf: for a runtime that runs them itself.

It reads what ``trainer.model.onnx_graph`` writes (field numbers of onnx.proto), without the ``onnx`` package, which a
station does not install; it knows no operator.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.onnx_file import ELEMENT_TYPES, fields, graph_of

Attribute = int | float | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Attribute]


@dataclass(frozen=True, slots=True)
class Graph:
    """Operations in the order in which they run, and constants by name."""

    nodes: tuple[Node, ...]
    constants: dict[str, NDArray[Any]]


def read_graph(model: bytes) -> Graph:
    """Return a model's graph. Raises ValueError for bytes that are no complete model, or constants of another kind."""
    nodes, constants = [], {}
    for field, value in _parts(graph_of(memoryview(model))):
        if field == 1:
            nodes.append(_node(_bytes(value)))
        elif field == 5:
            name, values = _tensor(_bytes(value))
            constants[name] = values
    return Graph(tuple(nodes), constants)


def _node(message: memoryview) -> Node:
    kind = name = ""
    inputs, outputs, attributes = [], [], {}
    for field, value in _parts(message):
        if field == 1:
            inputs.append(_text(value))
        elif field == 2:
            outputs.append(_text(value))
        elif field == 3:
            name = _text(value)
        elif field == 4:
            kind = _text(value)
        elif field == 5:
            key, attribute = _attribute(_bytes(value))
            attributes[key] = attribute
    return Node(kind, name, tuple(inputs), tuple(outputs), attributes)


def _attribute(message: memoryview) -> tuple[str, Attribute]:
    name, found, several = "", None, list[int]()
    for field, value in _parts(message):
        if field == 1:
            name = _text(value)
        elif field == 2:
            found = float(struct.unpack("<f", _bytes(value))[0])
        elif field == 3 and isinstance(value, int):
            found = _signed(value)
        elif field == 8:
            several += _integers(value)
    return name, tuple(several) if found is None else found


def _tensor(message: memoryview) -> tuple[str, NDArray[Any]]:
    name, element, shape, raw = "", 0, list[int](), memoryview(b"")
    for field, value in _parts(message):
        if field == 1:
            shape += _integers(value)
        elif field == 2 and isinstance(value, int):
            element = value
        elif field == 8:
            name = _text(value)
        elif field == 9:
            raw = _bytes(value)
    dtype = ELEMENT_TYPES.get(element)
    if dtype is None or dtype == "bfloat16":
        raise ValueError(f"constant {name} is of type {element}")
    return name, np.frombuffer(raw, dtype).reshape(shape)


def _parts(message: memoryview) -> list[tuple[int, int | memoryview]]:
    return [(field, value) for field, value, _ in fields(message)]


def _integers(value: int | memoryview) -> list[int]:
    """Return a repeated number: one at a time, or packed."""
    if isinstance(value, int):
        return [_signed(value)]
    packed, found = bytes(value), []
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            found.append(_signed(number))
            number = shift = 0
    return found


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message is expected")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_bytes(value)).decode()
