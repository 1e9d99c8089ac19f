"""An ONNX file read as plain protobuf: its header, and the one change that compilers need.

This is enough to refuse a wrong or broken file within milliseconds, before any runtime starts, and to set the type the
network computes in, without the ``onnx`` package, which a station does not install. It follows field numbers of
onnx.proto (ModelProto -> GraphProto -> NodeProto, ValueInfoProto) and does not know operators or weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Spec = tuple[str, str, tuple[int, ...]]
"""Name, dtype, shape of a tensor; -1 for a dynamic size."""

ELEMENT_TYPES = {1: "float32", 2: "uint8", 7: "int64", 10: "float16", 16: "bfloat16"}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_BYTES = (2 << 30) - 1
"""Most that one protobuf message holds: a larger model keeps its weights in other files."""
COMPUTE_CAST = b"compute/"
"""Prefix of the names of the casts that bring weights and images into the compute type."""


PARTS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Kinds of message in which a tensor may lie, and which of their fields lead there."""
EXTERNAL_DATA, DATA_LOCATION = 13, 14
"""Fields of a tensor: in which other file its numbers are, and whether they are in one."""
OPERATOR = 4
"""Field of a node."""
OTHER_FILES = (b"EPContext",)
"""Operators that load a program from another file."""
ENDLESS = (b"Loop", b"Scan")
"""Operators that repeat a graph as often as a number in the file says."""
OUTSIDE = "takes weights from another file, which no hash of the manifest covers"
LOOPING = "has a loop, which may never end"


@dataclass(frozen=True, slots=True)
class OnnxHeader:
    """Opset of the default domain, and the graph's inputs and outputs."""

    opset: int
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]


def read_header(model: bytes) -> OnnxHeader:
    """Read a model's header. Raises ValueError if the bytes are not a complete ModelProto."""
    opset = 0
    for field, value, _ in fields(memoryview(model)):
        if field == 8:  # opset_import
            parts = _message(_view(value))
            if not _view(parts.get(1, b"")):  # no name: the default domain
                opset = _whole(parts.get(2, 0))
    sides: dict[int, list[Spec]] = {11: [], 12: []}
    for field, value, _ in fields(graph_of(memoryview(model))):
        if field in sides:
            sides[field].append(_spec(_view(value)))
    return OnnxHeader(opset, tuple(sides[11]), tuple(sides[12]))


def why_unfit(model: bytes) -> str:
    """Return what a model has that none of ours has and that may not be run, in a few words; empty where there is none.

    Raises ValueError if the bytes are not a complete ModelProto.
    """
    waiting = [("model", memoryview(model))]
    while waiting:
        kind, message = waiting.pop()
        parts = PARTS[kind]
        for field, value, _ in fields(message):
            if field in parts:
                waiting.append((parts[field], _view(value)))
            elif _leads_outside(kind, field, value):
                return OUTSIDE
            elif kind == "node" and field == OPERATOR and bytes(_view(value)) in ENDLESS:
                return LOOPING
    return ""


def _leads_outside(kind: str, field: int, value: int | memoryview) -> bool:
    if kind == "tensor":
        return field == EXTERNAL_DATA or (field == DATA_LOCATION and value != 0)
    return kind == "node" and field == OPERATOR and bytes(_view(value)) in OTHER_FILES


def in_compute_type(model: bytes, precision: Literal["float32", "float16", "bfloat16"]) -> tuple[bytes, int]:
    """Return the model with all its ``compute/`` casts set to a type, and how many there are.

    Everything between such casts follows them: graphs are strongly typed. Raises ValueError for a broken model.
    """
    element = next(number for number, name in ELEMENT_TYPES.items() if name == precision)
    changed = bytearray(model)
    count = 0
    for field, node, _ in fields(graph_of(memoryview(changed))):
        if field != 1:
            continue
        parts = [(number, value) for number, value, _ in fields(_view(node))]
        name = next((bytes(_view(value)) for number, value in parts if number == 3), b"")
        if not name.startswith(COMPUTE_CAST):
            continue
        for number, value in parts:
            attribute = _view(value) if number == 5 else memoryview(b"")
            for inner, _, end in fields(attribute):
                if inner == 3:  # AttributeProto.i; element types fit one byte
                    attribute[end - 1] = element
                    count += 1
    return bytes(changed), count


def graph_of(model: memoryview) -> memoryview:
    """Return the graph of a ModelProto. Raises ValueError where it does not hold just one."""
    graphs = [_view(value) for field, value, _ in fields(model) if field == 7]
    if len(graphs) != 1:  # a reader of protobuf would merge them
        raise ValueError(f"it holds {len(graphs) or 'no'} graph{'s' * (len(graphs) > 1)}")
    return graphs[0]


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview, int]]:
    """Yield (field number, value, position after it) of a message; messages and strings as views of their bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield field, value, at
            continue
        if kind == BYTES:
            size, at = _varint(message, at)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"field type {kind} at byte {at}")
        if at + size > len(message):
            raise ValueError(f"it ends {at + size - len(message)} bytes too early")
        at += size
        yield field, message[at - size : at], at


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the variable-length integer at a position, and the position after it."""
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("it ends within a number")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at


def _message(message: memoryview) -> dict[int, int | memoryview]:
    """Return the last value of each field."""
    return {field: value for field, value, _ in fields(message)}


def _spec(info: memoryview) -> Spec:
    """Read a ValueInfoProto: name, and the tensor type inside its type."""
    parts = _message(info)
    tensor = _message(_view(_message(_view(parts.get(2, b""))).get(1, b"")))
    shape = []
    for field, dimension, _ in fields(_view(tensor.get(2, b""))):
        if field == 1:
            size = _message(_view(dimension))
            shape.append(_whole(size[1]) if 1 in size else -1)
    element = _whole(tensor.get(1, 0))
    return bytes(_view(parts.get(1, b""))).decode(), ELEMENT_TYPES.get(element, f"type {element}"), tuple(shape)


def _view(value: int | memoryview | bytes) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number stands where a message is expected")
    return memoryview(value)


def _whole(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise ValueError("a message stands where a number is expected")
    return value
