"""Clips that stay in memory once they were read, up to a bound: a GPU learns from them faster than they are read anew.

It keeps bytes as they came from the files, and knows nothing of what is done with them.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainer.data.dataset import Clips


class KeptClips:
    """The pixels of a folder's clips. Several threads may ask."""

    def __init__(self, clips: Clips, most_bytes: int) -> None:
        """Keep as many of the first clips that are asked for as fit; 0: each is read anew."""
        self._clips: Final = clips
        self._most: Final = most_bytes // int(np.prod(clips.shape))
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Return one clip, (T, H, W) uint8, which nobody may change."""
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        clip = self._clips.pixels(index)
        clip.flags.writeable = False
        if len(self._kept) < self._most:
            self._kept[index] = clip
        return clip

    def __len__(self) -> int:
        """Return how many clips there are."""
        return len(self._clips)
