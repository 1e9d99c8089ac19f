"""Standard output of a run that never blocks it, whether anybody reads it or not.

A terminal stands still at Ctrl-S or with its connection, a pipe with the program behind it. What is written here is
kept and goes out as far as the other end takes it. Who writes asks first whether it is ``busy`` and leaves out what has
grown old meanwhile, so that little waits: here nothing is dropped but at the end. It does not know what it writes. On
Windows, and where the stream is no file of the system, writing waits as it does anywhere.
"""

import contextlib
import os
import select
import stat
import sys
import time
from typing import Final, Self, TextIO

from station.output import discard_output

BRIEF_S: Final = 0.005
"""A reader that is there takes the next piece within this time."""
TURN_S: Final = 0.02
"""The longest that one turn of the run's loop writes."""
PATIENCE_S: Final = 0.5
"""At the end: who takes nothing for so long does not read."""
AT_MOST_S: Final = 2.0
"""At the end: the longest that a slow reader is waited for."""
PIECE_BYTES: Final = 256
"""What a descriptor takes that says it takes anything, where it cannot be told not to wait."""
CANCEL: Final = b"\x18"
"""Ends an escape sequence of which only the beginning went out (ECMA-48)."""


class NonblockingOutput:
    """A text stream in front of another. Leaving it gives up what nobody takes, and what is printed later."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting = b""
        self._text = ""
        self._given_up = False
        self._gone = False
        """The other end."""
        self._own: int | None = None
        """A descriptor that does not wait: to say so of the one that was given would say it to the shell, too."""
        self._fd = _descriptor(stream)
        if self._fd is not None and (os.isatty(self._fd) or stat.S_ISFIFO(os.fstat(self._fd).st_mode)):
            with contextlib.suppress(OSError):  # no /proc, or another user's terminal
                self._own = os.open(f"/proc/self/fd/{self._fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)

    @property
    def busy(self) -> bool:
        """Whether something that was written has not gone out."""
        return bool(self._waiting or self._text)

    @property
    def encoding(self) -> str:
        """The stream's."""
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the stream's descriptor. Raises OSError where it has none."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Take a text in; it goes out with the next ``go_on``."""
        if self._fd is None:
            return self._stream.write(text)
        self._text += text
        return len(text)

    def flush(self) -> None:
        """Close what was written so far."""
        if self._fd is None:
            self._stream.flush()
            return
        self._waiting += self._text.encode(self.encoding, self._stream.errors or "strict")
        self._text = ""

    def go_on(self) -> None:
        """Write what the other end takes now. Raises OSError where it has gone."""
        self._let_out(BRIEF_S, TURN_S)

    def drained(self) -> bool:
        """Wait for a moment until everything is out; return whether it is. Once given up there is no second wait."""
        with contextlib.suppress(OSError):  # the other end has gone
            self._let_out(0.0 if self._given_up else PATIENCE_S, AT_MOST_S)
        self._given_up = self.busy
        return not (self._given_up or self._gone)

    def drop(self) -> None:
        """Forget what has not been read yet, so that what is written next has room; Ctrl-S no longer holds it."""
        self._waiting, self._text = CANCEL, ""
        if self._fd is not None and os.isatty(self._fd) and not _in_background(self._fd):
            import termios

            with contextlib.suppress(termios.error, OSError):  # the terminal is gone
                termios.tcflush(self._fd, termios.TCOFLUSH)
                termios.tcflow(self._fd, termios.TCOOFF)  # alone, the next one undoes this one only, not Ctrl-S
                termios.tcflow(self._fd, termios.TCOON)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self.drained():
            discard_output()
        own, self._own = self._own, None
        if own is not None:
            os.close(own)

    def _let_out(self, patience_s: float, at_most_s: float) -> None:
        """Write until all is out, nothing was taken for ``patience_s``, or ``at_most_s`` have passed."""
        self.flush()
        if self._fd is None or not self._waiting:
            return
        fd, piece = (self._fd, PIECE_BYTES) if self._own is None else (self._own, len(self._waiting))
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        now = time.monotonic()
        end_s, patient_until_s = now + at_most_s, now + patience_s
        while self._waiting and poll.poll(max(0.0, min(end_s, patient_until_s) - now) * 1000):
            try:
                taken = os.write(fd, self._waiting[:piece])
            except BlockingIOError:
                taken = 0
            except OSError:
                self._waiting, self._gone = b"", True
                raise
            now = time.monotonic()
            self._waiting = self._waiting[taken:]
            if taken:
                self._given_up, patient_until_s = False, now + patience_s
            elif now >= patient_until_s:
                return
            if now >= end_s:
                return


def _descriptor(stream: TextIO) -> int | None:
    """Return the descriptor that can be asked whether it takes anything."""
    if sys.platform == "win32":
        return None
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):  # none, replaced, or closed
        return None


def _in_background(fd: int) -> bool:
    """Return whether a job that changes its terminal now would be stopped for it."""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # not the terminal that controls this process
        return False
