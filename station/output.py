"""What is written to the terminal: it never ends the program, and no name in it gives the terminal an order.

A file's name, a camera's notice or a message of another program may hold escape codes, which move the cursor, colour
or hide text or change the title, or marks that turn text around. They come out as "?". All printing goes through here,
or through ``station.console`` where it is more than lines.
"""

import io
import os
import sys
import traceback
from typing import Protocol


def printable(text: str) -> str:
    """Return text without control characters and other invisible ones; lines stay lines."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else " " if char.isspace() else "?" for char in text)


def one_line(text: str) -> str:
    """Return text as ``printable`` does, on one line: a value from elsewhere cannot pass for a line of the program."""
    return printable(text).replace("\n", " ")


class Writable(Protocol):
    """What can be printed on."""

    def write(self, text: str, /) -> object:
        """Take a text in."""
        ...

    def flush(self) -> object:
        """Let it out."""
        ...


def say_line(*parts: object, file: Writable | None = None, flush: bool = False) -> None:
    """Print one line, whatever stands in the values that it is made of."""
    say(one_line(" ".join(map(str, parts))), file=file, flush=flush)


def say(*parts: object, file: Writable | None = None, flush: bool = False) -> None:
    """Print, as ``print`` does, on standard output or on ``file``."""
    print(printable(" ".join(map(str, parts))), file=file or sys.stdout, flush=flush)


def complain(text: str) -> None:
    """Print what went wrong."""
    print(printable(text), file=sys.stderr)


def make_output_forgiving() -> None:
    """Let signs that the terminal's encoding lacks come out as "?" instead of ending the run.

    A standard stream that was closed leads nowhere: its number would go to the next file or socket that is opened, and
    what is printed with it.
    """
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.excepthook = _show_defect


def _open_closed_streams() -> None:
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def discard_output() -> None:
    """Send what is still in the buffer nowhere: its reader has gone, and flushing it at exit would fail once more.

    So with what is printed from now on, also on standard error where that is the same terminal or pipe.
    """
    same = os.path.samestat(os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno()))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr) if same else (sys.stdout,):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _show_defect(_kind: type[BaseException], error: BaseException, _trace: object) -> None:
    """Print the traceback of a defect of the program; what it is about may have been given by anybody."""
    complain("".join(traceback.format_exception(error)).rstrip())
