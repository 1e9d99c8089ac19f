"""Owns the terminal while the dashboard is on it, and gives it back as it was.

It draws what it is given, when it is told to, into the output, which lets it out; it knows no messages and reads no
keys. Anything else written to the terminal meanwhile garbles the picture until it is drawn again.
"""

from dataclasses import dataclass
from typing import Self

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderResult
from rich.live import Live

from station.console import Console
from station.dashboard.nonblocking_output import NonblockingOutput
from station.dashboard.render import render
from station.dashboard.snapshot import Snapshot
from station.errors import InputError


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A snapshot that takes on the terminal's size when it is drawn, so that a resize needs no signal."""

    snapshot: Snapshot

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> RenderResult:
        yield render(self.snapshot, options.max_width, options.height or console.height)


class Screen:
    """The alternate screen of a terminal, from entering to leaving."""

    def __init__(self, output: NonblockingOutput, console: RichConsole | None = None) -> None:
        self._output = output
        self._console = console or Console(file=output)
        self._live: Live | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Draw it now, over what was there."""
        if self._live is None:
            raise RuntimeError("the screen is not open")
        self._live.update(_Fitted(snapshot), refresh=True)

    def close(self) -> None:
        """Give the terminal back, without the rest of a picture that nobody reads; may be called more than once."""
        live, self._live = self._live, None
        if live is not None:
            if not self._output.drained():
                self._output.drop()
            live.stop()
            self._output.drained()

    def __enter__(self) -> Self:
        """Take the terminal. Raises InputError where there is none."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            raise InputError(
                "the dashboard needs a terminal; standard output is a file, a pipe or a dumb terminal: use --headless"
            )
        live = Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        live.start()
        self._live = live
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
