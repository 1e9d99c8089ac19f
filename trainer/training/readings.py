"""Numbers that are looked at a little later than they are computed, so that a GPU need not stop for them.

They come in the order in which they were given. It knows no training.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

Fetch = Callable[[], float]
"""Waits for a number, and for nothing else that the device does, and returns it."""


class Readings:
    """Numbers on their way from the device, and what is to be done with each."""

    def __init__(self, in_flight: int, fetch: Callable[[Tensor], Fetch] | None = None) -> None:
        """Let so many be on their way; 0: each is looked at when it is given.

        Args:
            in_flight: How many.
            fetch: Begins to bring the number of a tensor of one element.
        """
        self._in_flight: Final = in_flight
        self._fetch: Final = fetch or _fetch
        self._pending: deque[tuple[Fetch, Callable[[float], None]]] = deque()

    def add(self, value: Tensor, then: Callable[[float], None]) -> None:
        """Do ``then`` with the number of a tensor of one element, when its turn comes."""
        self._pending.append((self._fetch(value), then))
        self._settle(self._in_flight)

    def settle(self) -> None:
        """Do what is left to do."""
        self._settle(0)

    def _settle(self, left: int) -> None:
        while len(self._pending) > left:
            fetch, then = self._pending.popleft()
            then(fetch())


def _fetch(value: Tensor) -> Fetch:
    if value.device.type != "cuda":
        return value.detach().clone().item
    # .item() would wait for all that the device has been given since: the copy alone is waited for.
    here = torch.empty((), dtype=value.dtype, pin_memory=True)
    here.copy_(value.detach(), non_blocking=True)
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()

    def fetch() -> float:
        event.synchronize()
        return here.item()

    return fetch
