"""The one loop in which networks answer for many clips, batch by batch, whatever runs the network.

It loads torch only where a torch network is asked for: exported models are scored without it. It knows neither votes
nor measures.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from trainer.data.loader import middle_frames

if TYPE_CHECKING:
    import torch

    from trainer.model.baselines import Baseline, BaselineOutput
    from trainer.model.rostfine import Rostfine, RostfineOutput

Pixels: TypeAlias = NDArray[np.uint8]
Answer = TypeVar("Answer")
Change: TypeAlias = Callable[[Pixels, int], Pixels]
"""Takes a clip (T, H, W) and its place, and returns the clip with something changed."""


class ClipSource(Protocol):
    """Clips that are read one by one: ``trainer.data.dataset.Clips``, or any other sequence of them."""

    def __len__(self) -> int:
        """Return the number of clips."""
        ...

    def pixels(self, index: int) -> Pixels:
        """Return one clip, (T, H, W) or (T, H, W, 3) uint8."""
        ...


def answers(
    forward: Callable[[Pixels], Answer],
    clips: ClipSource,
    frames: int,
    batch: int,
    change: Change | None = None,
) -> Iterator[Answer]:
    """Yield what a network says of the clips, a batch at a time, in their order.

    Args:
        forward: Takes (N, frames, H, W) uint8, N at most ``batch``.
        clips: The clips, of ``frames`` frames or a multiple of it, of which the middle ones are taken.
        frames: Frames that the network takes.
        batch: Clips at a time.
        change: Applied to each whole clip first.
    """
    for start in range(0, len(clips), batch):
        some = [(clips.pixels(index), index) for index in range(start, min(start + batch, len(clips)))]
        changed = [change(clip, index) if change else clip for clip, index in some]
        yield forward(np.stack([middle_frames(clip, frames) for clip in changed]))


@overload
def torch_forward(
    network: "Rostfine", device: "torch.device | str" = "cpu"
) -> Callable[[Pixels], "RostfineOutput"]: ...


@overload
def torch_forward(
    network: "Rostfine | Baseline", device: "torch.device | str" = "cpu"
) -> Callable[[Pixels], "RostfineOutput | BaselineOutput"]: ...


def torch_forward(
    network: "Rostfine | Baseline", device: "torch.device | str" = "cpu"
) -> "Callable[[Pixels], RostfineOutput] | Callable[[Pixels], RostfineOutput | BaselineOutput]":
    """Return the network, put into evaluation mode, as a function of pixels; it is on ``device`` already."""
    import torch

    network.eval()

    def forward(pixels: Pixels) -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(pixels).to(device))

    return forward
