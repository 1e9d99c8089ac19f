"""One engine in a separate process, so that its peak memory is its own: timed, and its memory reported.

``python -m bench.support.engine_worker KIND FOLDER THREADS COUNT BATCH...`` prints one JSON document. KIND is a runtime
of the engine, or ``timesformer``: Hugging Face's TimeSformer of the same size in eager torch, keeping every attention
map. It has no branches, so it does less than the engine. Both take the same uint8 clips.
"""

import functools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.support.memory import peak_mb
from bench.support.report import sample_ms
from engine.artifact import Artifact, NetworkConfig
from engine.factory import open_runtime
from station.output import say

WARM_UP = 2
Call = tuple[int, Callable[[], Any]]
"""Batch size, and the call to time."""


def engine_calls(kind: Any, folder: Path, threads: int, batches: list[int]) -> Iterator[Call]:
    """Yield the calls of a runtime."""
    artifact = Artifact.open(folder)
    with open_runtime(artifact, kind, threads) as runtime:
        for batch in batches:
            shape = (batch, *artifact.manifest.inputs[0].shape[1:])
            clips = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
            yield batch, functools.partial(runtime.infer, clips)


def timesformer_calls(network: NetworkConfig, threads: int, batches: list[int]) -> Iterator[Call]:
    """Yield the calls of the eager TimeSformer."""
    import torch
    import transformers

    torch.set_num_threads(threads)
    library: Any = transformers  # its type stubs lack the options that every configuration takes
    config = library.TimesformerConfig(
        image_size=network.image_px, patch_size=network.patch_px, num_frames=network.frames, num_labels=5,
        hidden_size=network.width, num_hidden_layers=network.depth, num_attention_heads=network.heads,
        intermediate_size=network.mlp_ratio * network.width, attn_implementation="eager",
    )  # fmt: skip
    model = library.TimesformerForVideoClassification(config).eval()
    for batch in batches:
        clips = torch.zeros(batch, network.frames, network.image_px, network.image_px, dtype=torch.uint8)

        def call(clips: torch.Tensor = clips) -> Any:
            with torch.inference_mode():
                pixels = ((clips / 255 - 0.45) / 0.225)[:, :, None].expand(-1, -1, 3, -1, -1)
                return model(pixels, output_attentions=True)

        if len(call().attentions) != network.depth:
            raise RuntimeError("the attention maps were not kept")
        yield batch, call


def main(argv: list[str]) -> int:
    """Measure one engine."""
    kind, folder, threads, count, *batches = argv
    sizes = [int(batch) for batch in batches]
    document: dict[str, Any] = {"ms": {}, "peak_mb": {}}
    if kind == "timesformer":
        from transformers import TimesformerForVideoClassification  # noqa: F401 (counts as a library)

        calls = timesformer_calls(Artifact.open(folder).rostfine, int(threads), sizes)
    else:
        calls = engine_calls(kind, Path(folder), int(threads), sizes)
    document["libraries_mb"] = peak_mb()
    for batch, call in calls:
        document["ms"][batch] = sample_ms(call, count=int(count), warm_up=WARM_UP)
        document["peak_mb"][batch] = peak_mb()
    say(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
