"""The optional packages of a GPU station: imported on demand, with an error that says what is missing.

``tensorrt`` and ``tensorrt_rtx`` offer the same interface; ``pycuda.driver`` offers memory, streams and events. Only
``open_device`` touches a GPU.
"""

import importlib
from dataclasses import dataclass, field
from typing import Any

from engine.names import Kind
from station.errors import InputError, MissingExtraError

EXTRAS: dict[Kind, str] = {"tensorrt_rtx": "gpu", "tensorrt": "tensorrt"}
"""Which extra brings which: README says which card needs which."""
INSTALL = 'install it with pip install ".[{extra}]", or use the runtime onnxruntime'
NO_GPU = "fix the driver, or use the runtime onnxruntime"


def load_tensorrt(kind: Kind) -> Any:
    """Return the module. Raises MissingExtraError if it is not installed."""
    try:
        return importlib.import_module(kind)
    except ImportError as error:
        cure = INSTALL.format(extra=EXTRAS[kind])
        raise MissingExtraError(f"runtime {kind}: the package {kind} is missing ({error}); {cure}") from error


def load_cuda() -> Any:
    """Return ``pycuda.driver``. Raises MissingExtraError if it, or the NVIDIA driver's library, is not installed."""
    try:
        return importlib.import_module("pycuda.driver")
    except ImportError as error:
        cure = INSTALL.format(extra="gpu")
        raise MissingExtraError(f"the package pycuda or the NVIDIA driver is missing ({error}); {cure}") from error


def open_device(cuda: Any) -> Any:
    """Initialise the driver and return the first GPU. Raises InputError if there is none."""
    try:
        cuda.init()
        return cuda.Device(0)
    except cuda.Error as error:
        raise InputError(f"no usable NVIDIA GPU ({error}); {NO_GPU}") from error


@dataclass(slots=True)
class Log:
    """The lines that TensorRT logged at warning level and above."""

    lines: list[str] = field(default_factory=list)

    def last(self) -> str:
        """Return the latest line, for an error message."""
        return " ".join(self.lines[-1].split()) if self.lines else "no reason given"


def make_logger(trt: Any, log: Log) -> Any:
    """Return a TensorRT logger that writes into ``log``."""

    class Logger(trt.ILogger):  # type: ignore[misc]  # the base is known only at run time
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.WARNING, trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                log.lines.append(message)

    return Logger()
