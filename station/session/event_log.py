"""The log of a session: one JSON object a line, each chained to the one before it.

A line is ``{"n":...,"t_ns":...,"kind":"...","data":{...},"chain":"<64 hex digits>"}``, where ``chain`` is the SHA-256
of the chain value before it (64 zeros at first), as 64 ASCII digits, followed by the line's bytes up to the comma
before ``"chain"``. So a changed, missing or added line shows at its place. A line is written by one call without a
buffer: what a killed process wrote is there, and at most the last line of a full disk or a power cut is torn.

What a chain does not show: one that was computed anew as a whole. The last value, noted elsewhere, does.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from pydantic import ValidationError

from station.clock import now_ns
from station.errors import SessionError
from station.files import PRIVATE, open_regular
from station.output import one_line
from station.session.layout import LogHead
from station.session.records import KIND_OF, KINDS, Record

FIRST_CHAIN: Final = "0" * 64
HEX_DIGITS: Final = frozenset(b"0123456789abcdef")
SUFFIX_BYTES: Final = len(',"chain":"') + 64 + len('"}')
MAX_LINE_BYTES: Final = 4 << 20
"""A line is far shorter; anything longer is no line of ours."""
MOST_DAMAGE: Final = 100
"""So many damaged lines or frames are said one by one; the others are counted."""
MOST_SAID: Final = 80
"""Characters: what a line says of itself may be as long as the line."""


def chained(chain: str, body: bytes) -> str:
    """Return the chain value of a line whose bytes up to its ``,"chain"`` are ``body``."""
    return hashlib.sha256(chain.encode("ascii") + body).hexdigest()


class EventLog:
    """Appends events to a log file. Raises OSError where the disk does not take them."""

    def __init__(self, path: Path, head: LogHead | None = None, size: int = 0) -> None:
        """A new file; with ``head``, its last event, one that is there, of which ``size`` bytes are whole lines."""
        new = os.O_CREAT | os.O_EXCL if head is None else 0
        self._file = os.open(path, os.O_WRONLY | new | getattr(os, "O_BINARY", 0), PRIVATE)
        self._next = head.event + 1 if head is not None else 0
        self._chain = head.chain if head is not None else FIRST_CHAIN
        self._bytes = size
        if head is not None:
            os.ftruncate(self._file, size)
            os.lseek(self._file, size, os.SEEK_SET)
        self._closed = False

    @property
    def head(self) -> LogHead | None:
        """The newest event."""
        return LogHead(event=self._next - 1, chain=self._chain) if self._next else None

    @property
    def bytes(self) -> int:
        """How much has been written."""
        return self._bytes

    def append(self, record: Record) -> tuple[int, int]:
        """Write one event of now; return its number and its time on the station clock, ns.

        On OSError the log is as it was before.
        """
        t_ns = now_ns()
        kind = KIND_OF[type(record)]
        body = f'{{"n":{self._next},"t_ns":{t_ns},"kind":"{kind}","data":{record.model_dump_json()}'.encode()
        chain = chained(self._chain, body)
        line = body + f',"chain":"{chain}"}}\n'.encode("ascii")
        try:
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError:
            os.ftruncate(self._file, self._bytes)
            os.lseek(self._file, self._bytes, os.SEEK_SET)
            raise
        self._bytes += len(line)
        self._chain = chain
        self._next += 1
        return self._next - 1, t_ns

    def sync(self) -> None:
        """Have everything on the disk itself when this returns."""
        if not self._closed:
            os.fsync(self._file)

    def close(self) -> None:
        """Close the file; may be called more than once."""
        if not self._closed:
            self._closed = True
            os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a log."""

    n: int
    t_ns: int
    kind: str
    record: Record
    chain: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that is not as it was written."""

    n: int
    """Number of the event that should stand there."""
    what: str


@dataclass(frozen=True, slots=True)
class Torn:
    """The end of a log whose last line was not written to its end: what a power cut or a full disk leaves."""

    n: int
    bytes: int


def read_log(path: Path, kinds: Mapping[str, type[Record]] = KINDS) -> Iterator[Event | Fault | Torn]:
    """Yield the events of a log in order, a Fault for each line that is not one, and a Torn at most as the last.

    ``kinds``: the records that may stand in it, by name.

    Behind a faulty line reading goes on with the chain as that line states it, so that one change is one fault.
    Raises SessionError where the file cannot be read at all.
    """
    chain, n = FIRST_CHAIN, 0
    try:
        with open_regular(path) as file:
            while line := file.readline(MAX_LINE_BYTES):
                if not line.endswith(b"\n"):
                    rest = line.rstrip(b"\0")
                    if file.read(1):
                        yield Fault(n, f"a line of more than {MAX_LINE_BYTES} bytes")
                        return
                    if rest:
                        yield Torn(n, len(rest))
                    return
                found = _parse(line[:-1], n, chain, kinds)
                yield found
                chain, n = _stated_chain(line[:-1]) or chain, n + 1
    except OSError as error:
        raise SessionError(f"{path}: cannot be read ({error.strerror}); give the folder of a session") from error


def _parse(line: bytes, n: int, chain: str, kinds: Mapping[str, type[Record]]) -> Event | Fault:
    stated = _stated_chain(line)
    if stated is None:
        return Fault(n, "is not a chained line")
    body = line[:-SUFFIX_BYTES]
    if chained(chain, body) != stated:
        return Fault(n, "its chain value does not match: this line or the one before was changed, added or removed")
    try:
        parts = json.loads(body + b"}")
        if parts["n"] != n:
            return Fault(n, one_line(f"says that it is event {parts['n']}"[:MOST_SAID]))
        record = kinds[parts["kind"]].model_validate(parts["data"])
        return Event(n, stated_time_ns(parts), str(parts["kind"]), record, stated)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        said = one_line(f"{place}: {first['msg']}"[:MOST_SAID])
        return Fault(n, f"is not an event of format version 1 ({said})")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return Fault(n, f"is not an event of format version 1 ({type(error).__name__})")


def stated_time_ns(parts: dict[str, Any]) -> int:
    """Return when a line's event happened. Raises ValueError, KeyError where that is no time that a clock has."""
    t_ns = parts["t_ns"]
    if type(t_ns) is not int or not 0 <= t_ns < 1 << 63:
        raise ValueError("t_ns")
    return t_ns


def _stated_chain(line: bytes) -> str | None:
    """Return the chain value that a line ends with; None where it does not end like that."""
    suffix = line[-SUFFIX_BYTES:]
    digits = suffix[len(b',"chain":"') : -2]
    if not (suffix.startswith(b',"chain":"') and suffix.endswith(b'"}') and len(digits) == 64):
        return None
    return digits.decode("ascii") if set(digits) <= HEX_DIGITS else None  # capitals would be a change nobody notices
