"""Single keys from the terminal, without waiting and without echo.

The terminal's mode is restored on leaving, whatever happened in between. Where standard input is not a terminal, or the
program runs in the background, there are no keys and nothing is touched. It does not know what a key means; Ctrl-C
stays a signal.
"""

import codecs
import contextlib
import os
import re
import sys
from typing import Self

ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[0-~]|[^\[O])")
"""What arrow and function keys, Alt and pasting send (ECMA-48): their letters must not act as keys of their own."""
PARTIAL_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?$")
TOKEN = re.compile(rf"{ESCAPE_SEQUENCE.pattern}|.", re.DOTALL)
UP, DOWN, PAGE_UP, PAGE_DOWN, ESCAPE, ENTER, BACKSPACE = (
    "up",
    "down",
    "page up",
    "page down",
    "esc",
    "enter",
    "backspace",
)
NAMES = {
    "\x1b[A": UP, "\x1bOA": UP, "\x1b[B": DOWN, "\x1bOB": DOWN, "\x1b[5~": PAGE_UP, "\x1b[6~": PAGE_DOWN,
    "\r": ENTER, "\n": ENTER, "\x7f": BACKSPACE, "\b": BACKSPACE,
}  # fmt: skip
"""Keys that are called by name; all others that send a sequence are left out."""
WINDOWS_NAMES = {"H": UP, "P": DOWN, "I": PAGE_UP, "Q": PAGE_DOWN}

if sys.platform == "win32":
    import msvcrt

    class Keyboard:
        """Keys from the Windows console."""

        def __init__(self) -> None:
            self._open = False

        def poll(self) -> list[str]:
            """Return the keys pressed since the last call, oldest first."""
            keys = []
            while self._open and msvcrt.kbhit():
                key = msvcrt.getwch()
                if key in "\x00\xe0":  # an arrow or function key: its second half follows
                    keys += [WINDOWS_NAMES[half]] if (half := msvcrt.getwch()) in WINDOWS_NAMES else []
                else:
                    keys.append(ESCAPE if key == "\x1b" else NAMES.get(key, key))
            return keys

        def close(self) -> None:
            """Stop reading; may be called more than once."""
            self._open = False

        def __enter__(self) -> Self:
            self._open = sys.stdin is not None and sys.stdin.isatty()
            return self

        def __exit__(self, *exc: object) -> None:
            self.close()

else:
    import select
    import termios
    import tty

    class Keyboard:
        """Keys from the terminal on standard input."""

        def __init__(self) -> None:
            self._fd: int | None = None
            self._saved: list[int | list[bytes | int]] = []
            self._partial = ""
            self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")

        def poll(self) -> list[str]:
            """Return the keys pressed since the last call, oldest first: characters, and names of keys."""
            text = self._read()
            waited, self._partial = self._partial, ""
            if waited and not text:  # nothing followed: the Escape key alone, or a sequence that broke off
                return [ESCAPE] if waited == "\x1b" else []
            text = waited + text
            partial = PARTIAL_SEQUENCE.search(text)
            if partial:  # the rest of a sequence may come with the next call
                self._partial, text = partial.group(), text[: partial.start()]
            keys = [NAMES.get(token, token) for token in TOKEN.findall(text)]
            return [key for key in keys if not key.startswith("\x1b")]

        def close(self) -> None:
            """Put the terminal's mode back; may be called more than once."""
            fd, self._fd = self._fd, None
            if fd is None or not _in_foreground(fd):
                return
            with contextlib.suppress(termios.error):  # the terminal is gone: nothing to put back
                termios.tcflush(fd, termios.TCIFLUSH)  # keys not read are not for the shell
                termios.tcsetattr(fd, termios.TCSANOW, self._saved)

        def __enter__(self) -> Self:
            fd = _terminal()
            if fd is not None:
                self._saved = termios.tcgetattr(fd)
                self._fd = fd
                tty.setcbreak(fd, termios.TCSANOW)
            return self

        def __exit__(self, *exc: object) -> None:
            self.close()

        def _read(self) -> str:
            data = b""
            # Asked each time: a job can be sent to the background, and reading there would stop the process.
            while self._fd is not None and _in_foreground(self._fd) and select.select([self._fd], [], [], 0)[0]:
                try:
                    chunk = os.read(self._fd, 1024)
                except OSError:
                    chunk = b""
                if not chunk:  # the terminal was hung up
                    self.close()
                    break
                data += chunk
            return self._decoder.decode(data)  # the rest of a character may come with the next call

    def _terminal() -> int | None:
        """Return the descriptor of standard input where it is a terminal that is ours to change."""
        try:
            fd = sys.stdin.fileno()
        except (AttributeError, OSError, ValueError):  # none, replaced, or closed
            return None
        return fd if os.isatty(fd) and _in_foreground(fd) else None

    def _in_foreground(fd: int) -> bool:
        try:
            return os.tcgetpgrp(fd) == os.getpgrp()
        except OSError:
            return False
