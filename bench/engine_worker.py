"""One engine in a process of its own, so that its peak memory is its own: timed, and its memory told.

``python -m bench.engine_worker KIND FOLDER THREADS COUNT BATCH...`` prints one JSON document. KIND is a runtime of the
engine, or ``timesformer``: Hugging Face's TimeSformer of the same size in eager torch, every attention map kept. That one
has no branches and no preprocessing: it does less than the engine.
"""

import json
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import sample_ms
from engine.artifact import Artifact, NetworkConfig

WARM_UP = 2


def peak_mb() -> float:
    """Return the most memory this process has held so far, in MB."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / (1e6 if sys.platform == "darwin" else 1e3 / 1.024)


def engine_calls(
    kind: Any, folder: Path, threads: int, batches: list[int]
) -> Iterator[tuple[str, int, Callable[[], Any]]]:
    """Yield (name, batch, call) of a runtime."""
    from engine.opening import open_runtime

    artifact = Artifact.open(folder)
    with open_runtime(artifact, kind, threads) as runtime:
        for batch in batches:
            shape = (batch, *artifact.manifest.inputs[0].shape[1:])
            clips = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
            yield runtime.name, batch, lambda clips=clips: runtime.infer(clips)


def timesformer_calls(
    network: NetworkConfig, threads: int, batches: list[int]
) -> Iterator[tuple[str, int, Callable[[], Any]]]:
    """Yield (name, batch, call) of the eager TimeSformer."""
    import torch
    from transformers import TimesformerConfig, TimesformerForVideoClassification  # type: ignore[import-untyped]

    torch.set_num_threads(threads)
    config = TimesformerConfig(
        image_size=network.image_px, patch_size=network.patch_px, num_frames=network.frames, num_labels=5,
        hidden_size=network.width, num_hidden_layers=network.depth, num_attention_heads=network.heads,
        intermediate_size=network.mlp_ratio * network.width, attn_implementation="eager",
    )  # fmt: skip
    model = TimesformerForVideoClassification(config).eval()
    for batch in batches:
        clips = torch.zeros(batch, network.frames, 3, network.image_px, network.image_px)

        def call(clips: torch.Tensor = clips) -> Any:
            with torch.inference_mode():
                return model(clips, output_attentions=True)

        if len(call().attentions) != network.depth:
            raise RuntimeError("the attention maps were not kept")
        yield "eager TimeSformer, attention maps kept", batch, call


def main(argv: list[str]) -> int:
    """Measure one engine."""
    kind, folder, threads, count, *batches = argv
    sizes = [int(batch) for batch in batches]
    if kind == "timesformer":
        calls = timesformer_calls(Artifact.open(folder).manifest.network, int(threads), sizes)
    else:
        calls = engine_calls(kind, Path(folder), int(threads), sizes)
    document: dict[str, Any] = {"name": "", "ms": {}, "peak_mb": {}}
    for name, batch, call in calls:
        document["name"] = name
        document["ms"][batch] = sample_ms(call, count=int(count), warm_up=WARM_UP)
        document["peak_mb"][batch] = peak_mb()
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
