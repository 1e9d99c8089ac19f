"""How a person or the system asks the program to end, whatever the way."""

import signal
from types import FrameType

TERMINAL = [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]
"""What a terminal sends to all of its processes: Ctrl-C, and that it is gone (not on Windows)."""


class StopRequest:
    """Turns Ctrl-C, SIGTERM and a closed terminal into a flag, so that the run always ends through the same door.

    Make it before the processes are spawned: they inherit that Ctrl-C and a closed terminal are ignored. Those reach
    every process of a terminal but are for the main one alone.
    """

    def __init__(self) -> None:
        self.made = False
        signal.signal(signal.SIGTERM, self._on_signal)
        for number in TERMINAL:
            signal.signal(number, signal.SIG_IGN)

    def listen(self) -> None:
        """Act on what the terminal says too, from now on."""
        for number in TERMINAL:
            signal.signal(number, self._on_signal)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self.made = True
