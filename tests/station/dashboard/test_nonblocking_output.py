"""What a run writes holds nothing up: a pipe or a terminal that nobody reads, or reads again, or never again."""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TextIO

import pytest

from station.build_info import ROOT
from station.dashboard.nonblocking_output import CANCEL, NonblockingOutput

if sys.platform == "win32":
    pytest.skip("there writing waits", allow_module_level=True)

import pty
import tty

LINE = "a picture \u00e4\u00f6\u00fc that nobody looks at\n"
MUCH = LINE * 20_000
STOP = b"\x13"
"""Ctrl-S"""
AT_ONCE_S = 5.0
"""Far below "never", far above what it takes."""


class End:
    """The other end of a stream."""

    def __init__(self, reader: int, writer: int) -> None:
        self.reader = reader
        self.stream: TextIO = os.fdopen(writer, "w", encoding="utf-8")

    def read(self) -> bytes:
        """All that can be read."""
        seen = b""
        while select.select([self.reader], [], [], 0)[0] and (piece := os.read(self.reader, 1 << 16)):
            seen += piece
        return seen


@pytest.fixture(params=["pipe", "terminal"])
def end(request: pytest.FixtureRequest) -> Iterator[End]:
    if request.param == "pipe":
        found = End(*os.pipe())
    else:
        found = End(*pty.openpty())
        tty.setraw(found.stream.fileno())
    yield found
    found.stream.close()
    with contextlib.suppress(OSError):
        os.close(found.reader)


@pytest.fixture(params=["a descriptor of its own", "another user's terminal"])
def output(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, end: End) -> Iterator[NonblockingOutput]:
    if request.param != "a descriptor of its own":

        def refused(path: str, _flags: int) -> int:
            raise PermissionError(13, "Permission denied", path)

        monkeypatch.setattr("station.dashboard.nonblocking_output.os.open", refused)
    monkeypatch.setattr("station.dashboard.nonblocking_output.discard_output", lambda: None)
    with NonblockingOutput(end.stream) as found:
        yield found


def test_who_reads_later_gets_it_whole_and_nobody_waits_for_it(end: End, output: NonblockingOutput) -> None:
    output.write(MUCH)
    start = time.monotonic()
    for _ in range(20):
        output.go_on()
    assert time.monotonic() - start < AT_ONCE_S
    assert output.busy
    seen = b""
    while output.busy:
        seen += end.read()
        output.go_on()
    assert (seen + end.read()).decode() == MUCH
    assert not output.busy


def test_at_the_end_it_is_given_up_after_a_moment_and_only_once(end: End, output: NonblockingOutput) -> None:
    output.write(MUCH)
    start = time.monotonic()
    assert not output.drained()
    assert time.monotonic() - start < AT_ONCE_S
    start = time.monotonic()
    assert not any(output.drained() for _ in range(50)), "no second wait"
    assert time.monotonic() - start < AT_ONCE_S
    end.read()
    output.drop()
    output.write("last")
    assert output.drained()
    assert end.read().endswith(CANCEL + b"last")


def test_a_reader_that_has_gone(end: End, output: NonblockingOutput) -> None:
    os.close(end.reader)
    output.write(LINE)
    with pytest.raises(OSError, match=r"Broken pipe|Input/output error"):
        output.go_on()
    assert not output.drained()
    assert not output.busy


@pytest.mark.parametrize("stopped", [False, True])
def test_a_terminal_that_nobody_reads_has_room_for_the_last_words(stopped: bool) -> None:
    end = End(*pty.openpty())
    with NonblockingOutput(end.stream) as output:
        if stopped:
            os.write(end.reader, STOP)
        output.write(MUCH)
        assert not output.drained()
        output.drop()
        output.write("last")
        assert output.drained()
    assert end.read().endswith(CANCEL + b"last")
    end.stream.close()
    os.close(end.reader)


def test_the_program_ends_with_its_last_words_unread() -> None:
    """What is printed later, on the same pipe, would wait as well."""
    script = (
        "import sys\n"
        "from station.dashboard.nonblocking_output import NonblockingOutput\n"
        "from station.output import complain\n"
        "with NonblockingOutput(sys.stdout) as output:\n"
        "    output.write('x' * 10_000_000)\n"
        "complain('y' * 10_000_000)\n"
        "sys.exit(3)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.wait(30.0) == 3


def test_the_descriptor_of_others_waits_as_before(end: End) -> None:
    with NonblockingOutput(end.stream) as output:
        output.write(LINE)
        assert os.get_blocking(end.stream.fileno())
        assert output.drained()


def test_a_file_is_written_where_it_ends(tmp_path: object) -> None:
    path = f"{tmp_path}/log"
    with open(path, "w", encoding="utf-8") as stream:
        os.write(stream.fileno(), b"before\n")
        with NonblockingOutput(stream) as output:
            output.write(LINE)
    with open(path, encoding="utf-8") as stream:
        assert stream.read() == "before\n" + LINE
