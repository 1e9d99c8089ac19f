"""How a person or the system asks the program to end, whatever the way."""

import signal
from types import FrameType


class StopRequest:
    """Turns Ctrl-C, SIGTERM and a closed terminal into a flag, so that the run always ends through the same door.

    Make it before the stages are spawned: they inherit that Ctrl-C is ignored, which reaches every process of a
    terminal but is for the main one alone.
    """

    def __init__(self) -> None:
        self.made = False
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._on_signal)

    def listen(self) -> None:
        """Act on Ctrl-C too, from now on."""
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self.made = True
