"""What people see of a run and what they press: the screen and the keys of a terminal, or lines on standard output."""

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from station.dashboard.headless import HeadlessReport
from station.dashboard.keyboard import Keyboard
from station.dashboard.nonblocking_output import NonblockingOutput
from station.dashboard.snapshot import Snapshot
from station.output import say

if TYPE_CHECKING:
    from station.dashboard.screen import Screen


class Display:
    """Draws a snapshot a few times a second, and at once after a key. Entering takes the terminal."""

    def __init__(self, output: NonblockingOutput, *, headless: bool, hz: float) -> None:
        """``headless``: no screen, only a line now and then."""
        self.headless = headless
        self._output = output
        self._interval_s = 1 / hz
        self._next_s = 0.0
        self._keyboard = Keyboard()
        self._screen = None if headless else _screen(output)
        self._report = HeadlessReport(output)
        self._stack = ExitStack()

    @property
    def borrowed(self) -> "list[Keyboard | Screen]":
        """What the terminal gets back while the program is suspended."""
        return [self._keyboard] if self._screen is None else [self._keyboard, self._screen]

    @property
    def due(self) -> bool:
        """Whether it is time to show how things are."""
        return time.monotonic() >= self._next_s

    def keys(self) -> list[str]:
        """Return the keys pressed since the last call; what they do is shown at once."""
        keys = self._keyboard.poll()
        if keys:
            self._next_s = 0.0
        return keys

    def show(self, snapshot: Snapshot | None) -> None:
        """Show it now, or None: let out the rest of the one before. One that comes before that is out is not shown.

        Raises OSError where the terminal, or the reader of the output, has gone.
        """
        if snapshot is not None:
            self._next_s = time.monotonic() + self._interval_s
            if not self._output.busy:
                (self._report if self._screen is None else self._screen).show(snapshot)
        self._output.go_on()

    def say(self, text: str) -> None:
        """Print the last words of a run; where nobody reads them, that is given up after a moment."""
        say(text, file=self._output)
        self._output.drained()

    def close(self) -> None:
        """Give the terminal back; may be called more than once."""
        self._stack.close()

    def __enter__(self) -> Self:
        """Take the terminal. Raises InputError where there is none for a screen."""
        with self._stack:
            self._stack.enter_context(self._keyboard)
            if self._screen is not None:
                self._stack.enter_context(self._screen)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _screen(output: NonblockingOutput) -> "Screen":
    from station.dashboard.screen import Screen  # rich, which a run without a screen starts without

    return Screen(output)
