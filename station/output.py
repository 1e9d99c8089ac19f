"""Standard output and error that never end the program: not by a name they cannot write, not by a reader that left."""

import io
import os
import sys


def make_output_forgiving() -> None:
    """Let signs that the terminal's encoding lacks come out as "?" instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def discard_output() -> None:
    """Send what is still in the buffer nowhere: its reader has gone, and flushing it at exit would fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
