"""What is said of a session after it was recorded: labels, notes, and the marks of a reviewer.

They stand in ``annotations.jsonl`` beside the record and never in it: the record stays what was recorded. Lines are
chained as in the log (``station.session.event_log``), only ever appended, and each names the session that it is about,
so that a file copied to another session shows. A newer label replaces an older one on screen; both stay in the file.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from station.clock import NS_PER_S
from station.errors import SessionError
from station.files import PRIVATE, open_regular
from station.output import one_line, printable
from station.session.event_log import FIRST_CHAIN, MOST_DAMAGE, Event, Fault, Torn, chained, read_log
from station.session.records import Record
from station.transport.counters import Count

if sys.platform != "win32":
    import fcntl

ANNOTATIONS: Final = "annotations.jsonl"
MOST_TEXT: Final = 500
MOST_LABEL: Final = 80


class Moment(Record):
    """A moment of the session."""

    frame_seq: Count
    t_s: Annotated[float, Field(ge=0)]
    """Seconds from the first frame, on the source's own axis."""


class Label(Record):
    """What the session is called from now on; empty: nothing."""

    session: str
    text: Annotated[str, Field(max_length=MOST_LABEL)]


class Note(Record):
    """A remark about the session, or about a moment of it."""

    session: str
    text: Annotated[str, Field(max_length=MOST_TEXT)]
    at: Moment | None = None


class ReviewMark(Record):
    """A reviewer chose a sperm, at a moment of the session."""

    session: str
    sperm_id: Count
    text: Annotated[str, Field(max_length=MOST_TEXT)] = ""
    at: Moment | None = None


Annotation = Label | Note | ReviewMark
KINDS: Final[dict[str, type[Record]]] = {"label": Label, "note": Note, "mark": ReviewMark}
KIND_OF: Final = {record: kind for kind, record in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Written:
    """One annotation, and when it was written."""

    n: int
    when: datetime
    """UTC."""
    what: Annotation


@dataclass(frozen=True, slots=True)
class Annotations:
    """All annotations of a session, oldest first, and where the file is not as it was written."""

    written: tuple[Written, ...] = ()
    faults: tuple[str, ...] = ()
    chain: str = ""
    """The last value; empty where there are none."""

    @property
    def label(self) -> str | None:
        """The newest label; None where none was given later than the start."""
        labels = [one.what.text for one in self.written if isinstance(one.what, Label)]
        return labels[-1] if labels else None

    @property
    def remarks(self) -> list[Written]:
        """Notes and marks."""
        return [one for one in self.written if not isinstance(one.what, Label)]


def read_annotations(folder: Path, session: str) -> Annotations:
    """Return what is said of a session. Raises SessionError where the file is there and cannot be read."""
    path = folder / ANNOTATIONS
    try:
        if not path.exists():
            return Annotations()
    except OSError as error:
        raise SessionError(f"{path}: cannot be read ({error.strerror}); check the disk") from error
    written: list[Written] = []
    faults: list[str] = []
    others = 0
    chain = ""
    for item in read_log(path, KINDS):
        if isinstance(item, Torn):
            continue  # never acknowledged to anybody; the next to write takes it away
        if isinstance(item, Fault):
            if len(faults) < MOST_DAMAGE:
                faults.append(f"{ANNOTATIONS}, line {item.n}: {item.what}")
            else:
                others += 1
            continue
        chain, what = item.chain, item.record
        if not isinstance(what, Label | Note | ReviewMark):
            continue
        if what.session != session:
            faults.append(f"{ANNOTATIONS}, line {item.n}: is about session {one_line(what.session)[:MOST_LABEL]}")
            continue
        try:
            written.append(Written(item.n, datetime.fromtimestamp(item.t_ns / NS_PER_S, UTC), what))
        except (ValueError, OverflowError, OSError):
            faults.append(f"{ANNOTATIONS}, line {item.n}: was written at no time that there is")
    if others:
        faults.append(f"{ANNOTATIONS}: and {others} more lines that are not as they were written")
    return Annotations(tuple(written), tuple(faults), chain)


def annotate(folder: Path, what: Annotation) -> None:
    """Append one annotation, on the disk when this returns; nothing that stands there is changed.

    Raises SessionError where the folder or the disk does not take it, or where the file is damaged.
    """
    path = folder / ANNOTATIONS
    try:
        with _locked(path) as file:
            n, chain, end = _end(path)
            os.ftruncate(file, end)
            os.lseek(file, end, os.SEEK_SET)
            body = f'{{"n":{n},"t_ns":{time.time_ns()},"kind":"{KIND_OF[type(what)]}","data":{what.model_dump_json()}'
            line = f'{body},"chain":"{chained(chain, body.encode())}"}}\n'.encode()
            try:
                written = 0
                while written < len(line):
                    written += os.write(file, line[written:])
                os.fsync(file)
            except OSError:
                os.ftruncate(file, end)
                raise
    except OSError as error:
        raise SessionError(
            f"session {folder}: nothing can be written beside its record ({error.strerror or error}); make the folder "
            "writable, free some space, or copy the session to where it can be written"
        ) from error


def clean(text: str, most: int, what: str) -> str:
    """Return a label or note as it is stored: one line, no control characters. Raises SessionError if it is too long.

    ``most``: characters.
    """
    text = " ".join(printable(text).split())
    if len(text) > most:
        raise SessionError(f"a {what} of {len(text)} characters: at most {most} are kept")
    return text


def _end(path: Path) -> tuple[int, str, int]:
    """Return number and chain value for the next line, and where it begins: behind the last whole one."""
    n, chain = 0, FIRST_CHAIN
    for item in read_log(path, KINDS):
        if isinstance(item, Fault):
            raise SessionError(
                f"{path}: line {item.n} {item.what}; nothing is appended to a damaged file: move it elsewhere and "
                "write again"
            )
        if isinstance(item, Event):
            n, chain = item.n + 1, item.chain
    with open_regular(path) as file:
        return n, chain, file.read().rfind(b"\n") + 1


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open the file for writing; two writers take turns. Raises OSError."""
    flags = ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW")  # a link in a session from elsewhere may lead to any file
    file = os.open(path, os.O_RDWR | os.O_CREAT | sum(getattr(os, flag, 0) for flag in flags), PRIVATE)
    try:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)
