"""What people see of a run and what they press: the screen and the keys of a terminal, or lines on standard output."""

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from station.dashboard.headless import HeadlessReport
from station.dashboard.keyboard import Keyboard
from station.dashboard.snapshot import Snapshot

if TYPE_CHECKING:
    from station.dashboard.screen import Screen


class Display:
    """Draws a snapshot a few times a second, and at once after a key. Entering takes the terminal."""

    def __init__(self, *, headless: bool, hz: float) -> None:
        """``headless``: no screen, only a line now and then."""
        self.headless = headless
        self._interval_s = 1 / hz
        self._next_s = 0.0
        self._keyboard = Keyboard()
        self._screen = None if headless else _screen()
        self._report = HeadlessReport()
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

    def show(self, snapshot: Snapshot) -> None:
        """Show it now."""
        self._next_s = time.monotonic() + self._interval_s
        if self._screen is None:
            self._report.show(snapshot)
        else:
            self._screen.show(snapshot)

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


def _screen() -> "Screen":
    from station.dashboard.screen import Screen  # rich, which a run without a screen starts without

    return Screen()
