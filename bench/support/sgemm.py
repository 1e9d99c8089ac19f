"""The machine's ceiling: how fast ONNX Runtime multiplies large float32 matrices, with the engine's own settings.

The model is one MatMul with constant weights, written directly as protobuf bytes (fields of onnx.proto), so that the
bench needs no package that a station lacks.
"""

import time
from collections.abc import Iterable

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]

from engine.artifact import OPSET
from engine.onnx_runtime import session_options

FLOAT = 1


class Sgemm:
    """An (M, K) by (K, N) product in ONNX Runtime."""

    def __init__(self, m: int, k: int, n: int, threads: int) -> None:
        rng = np.random.default_rng(0)
        self._x = rng.standard_normal((m, k), np.float32)
        self._operations = 2 * m * k * n
        model = _matmul_model(rng.standard_normal((k, n), np.float32), m)
        self._session = ort.InferenceSession(model, session_options(threads), providers=["CPUExecutionProvider"])

    def gflops(self) -> float:
        """Run once and return the rate in 1e9 operations a second."""
        start = time.perf_counter_ns()
        self._session.run(None, {"x": self._x})
        return self._operations / (time.perf_counter_ns() - start)


def _matmul_model(weights: np.ndarray[tuple[int, int], np.dtype[np.float32]], m: int) -> bytes:
    """Return an ONNX model y = x @ weights for x (m, K)."""
    k, n = weights.shape
    dims = b"".join(_number(1, size) for size in (k, n))
    initializer = dims + _number(2, FLOAT) + _text(8, "w") + _bytes(9, weights.tobytes())
    node = _text(1, "x") + _text(1, "w") + _text(2, "y") + _text(4, "MatMul")
    graph = _bytes(1, node) + _text(2, "ceiling") + _bytes(5, initializer)
    graph += _bytes(11, _value("x", (m, k))) + _bytes(12, _value("y", (m, n)))
    return _number(1, 10) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, OPSET))


def _value(name: str, shape: Iterable[int]) -> bytes:
    """Return a ValueInfoProto of a float tensor."""
    dims = b"".join(_bytes(1, _number(1, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, FLOAT) + _bytes(2, dims)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
