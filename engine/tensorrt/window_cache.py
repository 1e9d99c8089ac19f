"""The latest window of each sperm, cached in GPU memory as a ring of frames.

A window shares all but its newest frames with the previous one, so a new frame costs one upload of H x W bytes instead
of T x H x W; the ring is then laid out oldest first by copies within GPU memory. It knows bytes and addresses, no
network.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.runtime import WindowId

SPERM = 64
"""Sperm whose frames are cached; beyond that, the least recently seen one is uploaded again."""


@dataclass(slots=True)
class _Ring:
    """One sperm's frames."""

    slot: int
    start: int
    """Place of the oldest frame."""
    frame_seqs: tuple[int, ...]
    """Oldest first."""


class WindowCache:
    """Rings of frames on the device. Owns their memory until ``close``."""

    def __init__(self, cuda: Any, shape: tuple[int, ...], sperm: int = SPERM) -> None:
        self._cuda = cuda
        self._frames = shape[0]
        self._frame_bytes = int(np.prod(shape[1:]))
        self._sperm = sperm
        self._memory = cuda.mem_alloc(sperm * self._frames * self._frame_bytes)
        self._rings: OrderedDict[int, _Ring] = OrderedDict()

    def place(
        self, window: WindowId, clip: NDArray[np.uint8], pinned: NDArray[np.uint8], target: int, stream: Any
    ) -> int:
        """Queue the copies that lay a window out at a device address; return how many frames are uploaded.

        Args:
            window: What the clip shows.
            clip: (T, H, W) uint8; read before this returns.
            pinned: (T, H, W) uint8 pinned memory for this window alone, untouched until the stream has finished.
            target: Device address of T * H * W bytes.
            stream: The stream to queue the copies on.
        """
        ring = self._ring(window.sperm_id)
        known = _overlap(ring.frame_seqs, window.frame_seqs)
        fresh = self._frames - known
        pinned[:fresh] = clip[known:]
        base = int(self._memory) + ring.slot * self._frames * self._frame_bytes
        done = 0
        for place, count in _pieces(ring.start, fresh, self._frames):  # over the oldest frames
            address = base + place * self._frame_bytes
            self._cuda.memcpy_htod_async(address, pinned[done : done + count], stream)
            done += count
        ring.start = (ring.start + fresh) % self._frames
        ring.frame_seqs = window.frame_seqs
        for place, count in _pieces(ring.start, self._frames, self._frames):
            size = count * self._frame_bytes
            self._cuda.memcpy_dtod_async(target, base + place * self._frame_bytes, size, stream)
            target += size
        return fresh

    def forget(self) -> None:
        """Upload everything again: after a failure the device memory is undefined."""
        self._rings.clear()

    def close(self) -> None:
        """Free the memory; call it once."""
        self._memory.free()

    def _ring(self, sperm_id: int) -> _Ring:
        """Return the sperm's ring, now the most recently used; a new one takes a free slot or the oldest one's."""
        ring = self._rings.pop(sperm_id, None)
        if ring is None:
            full = len(self._rings) == self._sperm
            slot = self._rings.popitem(last=False)[1].slot if full else len(self._rings)
            ring = _Ring(slot, 0, ())
        self._rings[sperm_id] = ring
        return ring


def _overlap(held: tuple[int, ...], wanted: tuple[int, ...]) -> int:
    """Return how many of the newest held frames are the oldest wanted ones."""
    return next((count for count in range(len(held), 0, -1) if held[-count:] == wanted[:count]), 0)


def _pieces(start: int, count: int, size: int) -> list[tuple[int, int]]:
    """Return (place, count) of the one or two contiguous pieces of a range in a ring."""
    first = min(count, size - start)
    return [piece for piece in ((start, first), (0, count - first)) if piece[1]]
