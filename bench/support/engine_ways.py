"""Every way at hand of running one model, as calls to be timed: the engine's runtimes, and what one would use instead.

torch's own network has random weights: its time does not depend on them. What is not there is named with the reason.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.artifact import Artifact, Precision
from engine.factory import open_runtime
from engine.names import AnyRuntime
from engine.verify import compare
from station.errors import StationError

OURS: tuple[tuple[AnyRuntime, Precision], ...] = (
    ("onnxruntime", "float32"), ("onnxruntime", "int8"), ("openvino", "float32"), ("openvino", "bfloat16"),
    ("torch", "float32"), ("torch", "float16"), ("torch", "bfloat16"), ("tensorrt_rtx", "float16"),
    ("tensorrt", "float16"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Timed:
    """One way."""

    name: str
    call: Callable[[], Any]
    grade_off: float | None
    """Largest difference of the golden grades; None for random weights."""


def engine_ways(artifact: Artifact, threads: int, stack: ExitStack, missing: dict[str, str]) -> Iterator[Timed]:
    """Yield the engine's own ways, open until the stack is left; ``missing`` takes those that are not there."""
    clip = clip_of(artifact)
    for runtime, precision in OURS:
        name = f"{runtime} {precision}"
        try:
            session = stack.enter_context(open_runtime(artifact, runtime, threads, precision))
            differences = compare(artifact, session)
        except StationError as error:
            missing[name] = str(error)
            continue
        wrong = next((one for one in differences if not one.passed), None)
        if wrong is not None:
            missing[name] = f"its golden clips' {wrong.output} is off by {wrong.largest:.2g}, so its time means nothing"
            continue
        yield Timed(name, functools.partial(session.infer, clip), differences[0].largest)


def torch_ways(artifact: Artifact, threads: int, missing: dict[str, str], *, compiled: bool) -> Iterator[Timed]:
    """Yield torch's network, eager and, on request, by ``torch.compile``: that takes a minute, and a compiler."""
    try:
        import torch

        from trainer.model.rostfine import Rostfine
    except ImportError as error:
        missing["eager torch"] = f'{error}; pip install ".[train]" brings it'
        return
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = Rostfine(artifact.rostfine).eval()
    clip = torch.from_numpy(clip_of(artifact))

    def forward(function: Callable[..., Any]) -> Any:
        with torch.inference_mode():
            return function(clip)

    yield Timed("eager torch float32", functools.partial(forward, network), None)
    if not compiled:
        missing["torch.compile float32"] = "left out by --quick: compiling takes a minute"
        return
    faster = torch.compile(network)
    try:
        forward(faster)
    except Exception as error:  # compilers fail in many ways: their words are the result
        missing["torch.compile float32"] = " ".join(str(error).split())[:200]
        return
    yield Timed("torch.compile float32", functools.partial(forward, faster), None)


def clip_of(artifact: Artifact) -> NDArray[np.uint8]:
    """Return one clip of noise, (1, T, H, W)."""
    shape = (1, *artifact.manifest.inputs[0].shape[1:])
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)
