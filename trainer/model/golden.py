"""An artifact's golden clips, and what the network says of them: the answers that every runtime must give again."""

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from engine.artifact import Golden

if TYPE_CHECKING:
    from trainer.model.systems import Network

GOLDEN_CLIPS: Final = 4


def golden_answers(network: "Network", clips: NDArray[np.uint8]) -> Golden:
    """Return the network's float32 answers, one clip at a time on one thread, so that they are the same every time."""
    import torch

    threads, training = torch.get_num_threads(), network.training
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            network.eval()
            answers = [network(torch.from_numpy(clips[index : index + 1])) for index in range(len(clips))]
    finally:
        torch.set_num_threads(threads)
        network.train(training)
    kept = [name for name in ("grade", "heads", "attention") if hasattr(answers[0], name)]
    return Golden(clips, **{name: torch.cat([getattr(one, name) for one in answers]).numpy() for name in kept})


def pattern_clips(count: int, shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Return seeded clips (N, T, H, W): a bright spot that wanders over a grey ground with noise."""
    rng = np.random.default_rng(seed)
    t, h, w = shape
    centre = rng.uniform(0.3, 0.7, (count, 1, 2)) + rng.normal(0, 0.01, (count, t, 2)).cumsum(axis=1)
    down, across = np.arange(h)[:, None] / h, np.arange(w) / w
    squared = (down - centre[..., :1, None]) ** 2 + (across - centre[..., 1:, None]) ** 2
    grey = 120 + 90 * np.exp(-squared / 0.004) + rng.normal(0, 8, (count, t, h, w))
    clips: NDArray[np.uint8] = np.clip(grey, 0, 255).astype(np.uint8)
    return clips
