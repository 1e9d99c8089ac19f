"""The sessions of a folder, each in a few numbers, found by reading little: the ends of each log, never all of it.

Nothing is cached, so nothing shown is out of date. What a log does not say at its ends (a session that was cut off, or
one of before the counts stood in its last event) is counted by a search through its bytes, for so many bytes a list;
what is not counted is not guessed.
"""

import json
import mmap
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from station.archive.removal import is_leftover
from station.clock import NS_PER_S
from station.errors import SessionError
from station.files import open_regular
from station.session.annotations import read_annotations
from station.session.event_log import MAX_LINE_BYTES, Event, read_log, stated_time_ns
from station.session.layout import LOG, RECORDING_S, SessionOutcome, SessionState, began_utc, read_manifest
from station.session.records import EndRecord, StartRecord

TAIL_BYTES: Final = 64 << 10
SEARCH_BYTES: Final = 256 << 20
"""So many bytes of logs are searched for counts in one list, the newest sessions first."""
LONG_ENOUGH_S: Final = 5.0
ACTION: Final = re.compile(
    rb'"kind":"action","data":\{"action":\{"v":1,"seq":\d{1,19},"t_ns":\d{1,19},"name":"(mark|note)"'
)
SPERM: Final = re.compile(rb'"sperm_id":(\d{1,18})(?!\d)')
"""Of more digits is no number that this program writes; it is not counted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One session, as a list shows it."""

    folder: Path
    session: str
    began: datetime | None
    """UTC."""
    label: str
    length_s: float | None
    """From its first event to its last."""
    sperm: int | None
    marks: int | None
    notes: int | None
    """None in these: not counted."""
    remarks: int
    """Notes and marks that were written later."""
    size_bytes: int
    outcome: SessionOutcome
    recording: bool
    """It is being recorded, or ended seconds ago without an end."""
    trouble: str
    """Why it cannot be read; empty where it can."""

    @property
    def ended(self) -> str:
        """How it ended, in a word or two."""
        if self.trouble:
            return "unreadable"
        return "recording" if self.recording else "whole" if self.outcome is SessionOutcome.COMPLETE else self.outcome


@dataclass(frozen=True, slots=True)
class _End:
    t_ns: int
    counters: dict[str, int] | None
    """None where the session has no end."""


def catalogue(parent: Path) -> list[Entry]:
    """Return the sessions of a folder, oldest first. Raises SessionError where the folder cannot be read."""
    try:
        folders = (
            [entry for entry in parent.iterdir() if (entry / LOG).is_file() and not is_leftover(entry)]
            if parent.is_dir()
            else []
        )
    except OSError as error:
        raise SessionError(f"session folder {parent}: cannot be read ({error.strerror}); give another") from error
    left = SEARCH_BYTES
    entries: list[Entry] = []
    for folder in sorted(folders, key=lambda folder: folder.name, reverse=True):
        entry, searched = _entry(folder, left)
        left -= searched
        entries.append(entry)
    return entries[::-1]


def describe(folder: Path) -> Entry:
    """Return one session, all counts included."""
    return _entry(folder, 1 << 62)[0]


def _entry(folder: Path, search_bytes: int) -> tuple[Entry, int]:
    """Return a session and how many bytes were searched for what its ends do not say."""
    size_bytes = folder_bytes(folder)
    try:
        start_ns, start = _start(folder)
        end = _end(folder / LOG)
        stopped = _state(folder) is SessionState.STOPPED
        changed_s = time.time() - (folder / LOG).stat().st_mtime
        counters = end.counters
        searched = 0
        if counters is None or "marks" not in counters:
            log_bytes = (folder / LOG).stat().st_size
            if log_bytes <= search_bytes:
                counters, searched = count(folder / LOG), log_bytes
        counters = counters or {}
        annotations = read_annotations(folder, start.session)
        entry = Entry(
            folder=folder,
            session=start.session,
            began=began(start),
            label=annotations.label if annotations.label is not None else recorded_label(start),
            length_s=(end.t_ns - start_ns) / NS_PER_S,
            sperm=counters.get("sperm"),
            marks=counters.get("marks"),
            notes=counters.get("notes"),
            remarks=len(annotations.remarks),
            size_bytes=size_bytes,
            outcome=_outcome(end, stopped),
            recording=end.counters is None and changed_s < RECORDING_S,
            trouble="",
        )
    except (SessionError, OSError, ValueError, OverflowError) as error:  # one session hides no other
        why = error.strerror if isinstance(error, OSError) else str(error)
        entry = Entry(
            folder, folder.name, None, "", None, None, None, None, 0, size_bytes, SessionOutcome.CUT_OFF, False,
            why or "cannot be read",
        )  # fmt: skip
        searched = 0
    return entry, searched


def began(start: StartRecord) -> datetime | None:
    """Return when a session began, UTC; None where its record does not say it."""
    return began_utc(start.started_utc)


def recorded_label(start: StartRecord) -> str:
    """Return the label that was given at the start."""
    return str(start.config.get("label") or "")


def count(log: Path) -> dict[str, int]:
    """Return how many sperm, marks and notes are in a log, by its bytes. Raises OSError."""
    with open_regular(log) as file:
        if os.fstat(file.fileno()).st_size == 0:
            return {"sperm": 0, "marks": 0, "notes": 0}
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            names = [found.group(1) for found in ACTION.finditer(content)]
            newest = max({int(found.group(1)) for found in SPERM.finditer(content)}, default=0)
    return {"sperm": newest, "marks": names.count(b"mark"), "notes": names.count(b"note")}


def folder_bytes(folder: Path) -> int:
    """Return how much a folder takes on the disk, links left out; what cannot be read counts nothing."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_size
    return total


def lasts_s(entries: Iterable[Entry], parent: Path, reserve_bytes: int) -> float | None:
    """Return for how long the disk takes recordings like the newest ones; None where that cannot be said.

    ``reserve_bytes``: what recording leaves free.
    """
    rates = [e.size_bytes / e.length_s for e in entries if e.length_s is not None and e.length_s >= LONG_ENOUGH_S]
    while not parent.exists() and parent.parent != parent:
        parent = parent.parent
    free = shutil.disk_usage(parent).free - reserve_bytes
    return max(0, free) / rates[-1] if rates and rates[-1] > 0 else None


def _start(folder: Path) -> tuple[int, StartRecord]:
    first = next(read_log(folder / LOG), None)
    if not isinstance(first, Event) or not isinstance(first.record, StartRecord):
        raise SessionError(f"{LOG} does not begin with the start of a session")
    return first.t_ns, first.record


def _state(folder: Path) -> SessionState | None:
    with suppress(SessionError):
        return read_manifest(folder).state
    return None


def _outcome(end: _End, stopped: bool) -> SessionOutcome:
    if end.counters is None:
        return SessionOutcome.CUT_OFF
    return SessionOutcome.STOPPED if stopped else SessionOutcome.COMPLETE


def _end(log: Path) -> _End:
    """Return what the last whole line of a log says. Raises SessionError where there is none, OSError."""
    for line in _last_lines(log):
        with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            event: dict[str, Any] = json.loads(line)
            counters = EndRecord.model_validate(event["data"]).counters if event["kind"] == "end" else None
            return _End(stated_time_ns(event), counters)
    raise SessionError(f"{LOG} has no event that can be read at its end")


def _last_lines(log: Path) -> Iterator[bytes]:
    """Yield the whole lines at the end of a log, the last first; few of them."""
    with open_regular(log) as file:
        size = os.fstat(file.fileno()).st_size
        span = TAIL_BYTES
        while True:
            file.seek(max(0, size - span))
            lines = file.read(span).split(b"\n")
            if len(lines) > 2 or span >= min(size, 2 * MAX_LINE_BYTES):
                break
            span *= 8
    whole = lines[:-1] if span >= size else lines[1:-1]
    yield from (line for line in reversed(whole[-3:]) if line.strip(b"\0"))
