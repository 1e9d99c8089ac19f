"""A clip as one lossless PNG: its frames below each other, as a browser takes them. Keeps what it has made.

It knows folders of clips; it does not know who looks.
"""

import threading
from collections import OrderedDict
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from station.errors import InputError
from trainer.data.dataset import Clips

MOST_BYTES: Final = 512 << 20
QUICK: Final = 1
"""PNG's compression: noise leaves little to gain."""


class ClipPictures:
    """PNG files of the clips of one folder, by id; may be asked from several threads."""

    def __init__(self, clips: Clips, most_bytes: int = MOST_BYTES) -> None:
        self._clips = clips
        self._places = {row.id: place for place, row in enumerate(clips.rows)}
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __contains__(self, clip: object) -> bool:
        return clip in self._places

    @property
    def frames(self) -> int:
        """Of every clip."""
        return self._clips.shape[0]

    def fps(self, clip: str) -> float:
        """Return the clip's own frames a second."""
        return self._clips.rows[self._places[clip]].fps

    def png(self, clip: str) -> bytes:
        """Return the clip. Raises InputError where its file can no longer be read."""
        with self._lock:
            if clip in self._kept:
                self._kept.move_to_end(clip)
                return self._kept[clip]
        made = strip(self._clips.pixels(self._places[clip]))
        with self._lock:
            if clip not in self._kept:
                self._kept[clip] = made
                self._bytes += len(made)
            while self._bytes > self._most_bytes and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        return made


def strip(clip: NDArray[np.uint8]) -> bytes:
    """Return a clip (T, H, W) as a PNG of T * H rows."""
    made, data = cv2.imencode(".png", clip.reshape(-1, clip.shape[2]), (cv2.IMWRITE_PNG_COMPRESSION, QUICK))
    if not made:
        raise InputError(f"no picture could be made of a clip of {clip.shape}; make the clips again")
    return data.tobytes()
