"""The recorder's ends of all data links.

It knows sockets and how much may wait in them; what becomes of the messages is the recorder's business.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final, Literal, Self, get_args

import zmq

from station.processes.process import ProcessContext
from station.transport.buffers import Buffer, ByteFifo, Fifo, Received
from station.transport.bus import FromZero
from station.transport.endpoints import Endpoint
from station.transport.receivers import LosslessReceiver, PolledReceiver, Receiver

WINDOWS_MB: Final = 64
LARGE, SMALL = 64, 20_000
"""So many messages may wait in the sockets: with pixels until somebody looks, the others as long as a disk may take."""
LinkName = Literal["frames", "tracks", "windows", "grades"]


class Links:
    """Open from the moment it is made."""

    def __init__(self, context: ProcessContext) -> None:
        lossless, endpoints = context.lossless, context.endpoints
        self._stack = ExitStack()
        # Not the process's own: its threads began before this process lowered its priority, and would keep the old one.
        sockets = self._stack.enter_context(zmq.Context[zmq.Socket[bytes]]())
        self.queue = ByteFifo(context.config.record.queue_mb * 1_000_000)
        self._with_pixels: list[PolledReceiver[Received]] = []
        self._expected: dict[LinkName, FromZero] = {name: FromZero() for name in get_args(LinkName)}

        def polled(
            name: LinkName, endpoint: Endpoint, buffer: Buffer[Received], queue: int
        ) -> PolledReceiver[Received]:
            number = self._expected[name]
            link = self._stack.enter_context(PolledReceiver(sockets, endpoint, buffer, queue=queue, expected=number))
            if queue == LARGE:
                self._with_pixels.append(link)
            return link

        self.frames: Receiver[Received]
        # Offline the frames alone set the pace: what follows from a frame is never more than a few frames behind.
        if lossless:
            self.frames = self._stack.enter_context(LosslessReceiver[Received](sockets, endpoints.frames, Fifo(None)))
            self.windows = polled("windows", endpoints.windows, Fifo(None), LARGE)
        else:
            self.frames = polled("frames", endpoints.frames, self.queue, LARGE)
            self.windows = polled("windows", endpoints.windows, ByteFifo(WINDOWS_MB * 1_000_000), LARGE)
        self.tracks = polled("tracks", endpoints.tracks, Fifo(None), SMALL)
        self.grades = polled("grades", endpoints.grades, Fifo(None), SMALL)

    def expect(self, next_seq: Mapping[str, int]) -> None:
        """Count on from what a recorder before has seen, by link; what came in between is missing in the record."""
        for name, number in self._expected.items():
            number.value = next_seq.get(name, 0)

    @property
    def all(self) -> dict[LinkName, Receiver[Received]]:
        """By name."""
        return {"frames": self.frames, "tracks": self.tracks, "windows": self.windows, "grades": self.grades}

    @property
    def ended(self) -> bool:
        """True once every sender has said that nothing more comes."""
        return all(link.ended for link in self.all.values())

    def drain(self) -> None:
        """Move messages with pixels out of the sockets, which hold few; may be called from any thread."""
        for link in self._with_pixels:
            link.drain()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()
