"""How a person or the system asks the program to end, or to stand still for a while, whatever the way."""

import os
import signal
from collections.abc import Sequence
from multiprocessing import resource_tracker
from types import FrameType
from typing import Protocol

TERMINAL = [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]
"""What a terminal sends to all of its processes: Ctrl-C, and that it is gone (not on Windows)."""
JOB_CONTROL = hasattr(signal, "SIGTSTP")
"""Whether there are Ctrl-Z and ``fg`` (not on Windows)."""


class Borrowed(Protocol):
    """What the program has taken from its terminal: the keyboard's mode, the screen."""

    def close(self) -> None:
        """Give it back; may be called more than once."""
        ...

    def __enter__(self) -> object:
        """Take it again."""
        ...


class StopRequest:
    """Turns Ctrl-C, SIGTERM and a closed terminal into a flag, so that the run always ends through the same door.

    Make it before the processes are spawned, and before any thread is started: the processes inherit that Ctrl-C and a
    closed terminal are ignored, which reach every process of a terminal but are for the main one alone. There they wait
    until ``listen``. Ctrl-Z stops the others at once; the main process gives the terminal back first.
    """

    def __init__(self) -> None:
        self.made = False
        self._borrowed: Sequence[Borrowed] = ()
        self._suspend = False
        self._resumed = False
        signal.signal(signal.SIGTERM, self._on_signal)
        resource_tracker.ensure_running()  # started later, it would let the signals through that are held back here
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL)
        for number in TERMINAL:
            signal.signal(number, signal.SIG_IGN)

    def listen(self) -> None:
        """Act on what the terminal says too, from now on."""
        for number in TERMINAL:
            signal.signal(number, self._on_signal)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINAL)

    def lend(self, borrowed: Sequence[Borrowed]) -> None:
        """Give these back to the terminal while the program is suspended; ``attend`` must then be called often."""
        self._borrowed = borrowed
        if JOB_CONTROL:
            signal.signal(signal.SIGTSTP, self._on_suspend)
            signal.signal(signal.SIGCONT, self._on_resumed)

    def attend(self) -> None:
        """Stand still where Ctrl-Z asked for it; afterwards, take the terminal again as it was before.

        Not where the end was asked for: a terminal that has gone says so first, and then to continue.
        """
        if self.made or not (self._suspend or self._resumed):
            return
        for one in reversed(self._borrowed):
            one.close()
        if self._suspend:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)  # returns when the program is continued
            signal.signal(signal.SIGTSTP, self._on_suspend)
        self._suspend = self._resumed = False
        for one in self._borrowed:
            one.__enter__()

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self.made = True

    def _on_suspend(self, _signum: int, _frame: FrameType | None) -> None:
        self._suspend = True

    def _on_resumed(self, _signum: int, _frame: FrameType | None) -> None:
        self._resumed = True
