"""Says hello on a link: at its start, at every change, and once a second for those who join late."""

import time

from station.build_info import program
from station.config import Config
from station.transport.bus import Publisher
from station.transport.control_messages import Command
from station.transport.hello import HelloHeader

EVERY_S = 1.0


class Herald:
    """Of one link. It knows what was opened; not what the link carries."""

    def __init__(self, link: Publisher, config: Config, start: Command) -> None:
        """``start``: the command that started the process, with source, model and stride."""
        self._link = link
        self._next_s = 0.0
        self._hello: HelloHeader | None = None
        if start.source is not None and start.model is not None:
            self._hello = HelloHeader(
                seq=0,
                program=program(),
                source=start.source,
                model=start.model,
                window_frames=config.window.frames,
                window_px=config.window.size,
                stride=start.stride or 1,
            )

    def rescale(self, objective: str, um_per_px: float) -> None:
        """Say from now on, and at once, that this objective is in use."""
        if self._hello is not None:
            source = self._hello.source.model_copy(update={"um_per_px": um_per_px, "objective": objective})
            self._hello, self._next_s = self._hello.model_copy(update={"source": source}), 0.0

    def tell(self, *, withheld: bool) -> None:
        """Say from now on, and at once, whether grades are withheld."""
        if self._hello is not None and self._hello.withheld is not withheld:
            self._hello, self._next_s = self._hello.model_copy(update={"withheld": withheld}), 0.0

    def speak(self) -> None:
        """Say it where it is due; called in every round of a process's loop."""
        if self._hello is not None and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + EVERY_S
            self._link.send(self._hello.model_copy(update={"seq": self._link.next_seq}))
