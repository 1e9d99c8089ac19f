"""``verify``: is a session what was recorded, and if not, where does it first differ?

Checks the chain of the log, the head that ``session.json`` keeps, and the hash of every file that the log states. It
reads bytes and hashes; it decodes no picture.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from station.clock import NS_PER_S
from station.errors import SessionError
from station.files import open_regular
from station.output import one_line
from station.session.event_log import MOST_DAMAGE, Event, Fault, Torn, read_log
from station.session.layout import (
    LOG,
    MANIFEST,
    VIDEO,
    Manifest,
    SessionOutcome,
    SessionState,
    chunk_name,
    read_manifest,
)
from station.session.records import ChunkRecord, EndRecord, FileRecord, FrameRecord, Record, StartRecord, StopRecord

BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a session is not what was recorded."""

    file: str
    event: int
    """The event that the file contradicts, or that is itself not as it was written."""
    what: str

    def __str__(self) -> str:
        return one_line(f"{self.file}, event {self.event}: {self.what}")


@dataclass(slots=True)
class _Chunk:
    """What the log says of one video file."""

    stated: list[tuple[int, ChunkRecord]] = field(default_factory=list)
    frames: dict[int, int] = field(default_factory=dict)
    """Frame number by index in the file."""


@dataclass(slots=True)
class Verification:
    """What was found."""

    session: str = ""
    outcome: SessionOutcome = SessionOutcome.CUT_OFF
    events: int = 0
    frames: int = 0
    video_bytes: int = 0
    chain: str = ""
    """Of the last event."""
    duration_s: float = 0.0
    """From the first event to the last."""
    proved_s: float = 0.0
    """From the first event to the last that states what is in the video."""
    unproved_bytes: int = 0
    """Video behind what the log states: of the last second of a session that was cut off."""
    torn_bytes: int = 0
    breaks: list[Break] = field(default_factory=list)
    """By event, the first one first; of the lines of the log that are none, the first ``MOST_DAMAGE``."""
    more_faults: int = 0
    """Lines of the log that are none, behind those."""

    @property
    def intact(self) -> bool:
        """True where everything that the log states is so."""
        return not self.breaks


def verify_session(folder: Path) -> Verification:
    """Check a session folder. Raises SessionError where it holds none."""
    if not (folder / LOG).is_file():
        raise SessionError(f"session {folder}: has no {LOG}; give the folder of a recorded session")
    found = Verification()
    chunks: dict[str, _Chunk] = {}
    files: list[tuple[int, FileRecord]] = []
    manifest = _manifest(folder, found)
    for event in _events(folder, manifest, found):
        record = event.record
        if isinstance(record, ChunkRecord):
            chunks.setdefault(record.file, _Chunk()).stated.append((event.n, record))
        elif isinstance(record, FrameRecord):
            found.frames += 1
            chunks.setdefault(record.file, _Chunk()).frames[record.index] = record.header.seq
        elif isinstance(record, FileRecord):
            files.append((event.n, record))
    for file, chunk in chunks.items():
        found.breaks += _check_chunk(folder, file, chunk, found)
    for n, stated in files:
        found.breaks += _check_file(folder, n, stated)
    found.breaks += _unknown_files(folder, set(chunks), found)
    found.breaks.sort(key=lambda place: place.event)
    return found


def _manifest(folder: Path, found: Verification) -> Manifest | None:
    try:
        return read_manifest(folder)
    except SessionError as error:
        found.breaks.append(Break(MANIFEST, 0, str(error).partition(": ")[2]))
        return None


def _other_start(manifest: Manifest | None, start: StartRecord) -> Iterator[Break]:
    """Yield where ``session.json`` says another thing of the session than the log."""
    for name in ("notice", "session", "started_utc", "program"):
        if manifest is not None and getattr(manifest, name) != getattr(start, name):
            yield Break(MANIFEST, 0, f"was changed: {name} is not what the log says")


def _events(folder: Path, manifest: Manifest | None, found: Verification) -> Iterator[Event]:
    """Yield the events; note what is wrong with the log itself."""
    first_ns: int | None = None
    ended = stopped = False
    faults = 0
    head = manifest.head if manifest is not None else None
    for item in read_log(folder / LOG):
        if isinstance(item, Torn):
            found.torn_bytes = item.bytes
            continue
        found.events = item.n + 1
        if isinstance(item, Fault):
            faults += 1
            if faults <= MOST_DAMAGE:
                found.breaks.append(Break(LOG, item.n, item.what))
            continue
        record: Record = item.record
        if item.n == 0 and isinstance(record, StartRecord):
            found.session = record.session
            found.breaks += _other_start(manifest, record)
        elif item.n == 0:
            found.breaks.append(Break(LOG, 0, "is not the start of a session"))
        if ended:
            found.breaks.append(Break(LOG, item.n, "comes after the end of the session"))
        ended |= isinstance(record, EndRecord)
        stopped |= isinstance(record, StopRecord)
        first_ns = item.t_ns if first_ns is None else first_ns
        found.chain = item.chain
        found.duration_s = (item.t_ns - first_ns) / NS_PER_S
        if isinstance(record, ChunkRecord):
            found.proved_s = found.duration_s
        if head is not None and item.n == head.event and item.chain != head.chain:
            found.breaks.append(Break(LOG, item.n, f"its chain value is not the one that {MANIFEST} holds"))
        yield item
    found.more_faults = max(0, faults - MOST_DAMAGE)
    found.outcome = (
        (SessionOutcome.STOPPED if stopped else SessionOutcome.COMPLETE) if ended else SessionOutcome.CUT_OFF
    )
    if head is not None and head.event >= found.events:
        what = f"is missing: {MANIFEST} holds event {head.event}, the log ends before"
        found.breaks.append(Break(LOG, found.events, what))
    elif manifest is not None and manifest.state is not SessionState.RECORDING and not ended:
        found.breaks.append(Break(LOG, found.events, f"is missing: {MANIFEST} says {manifest.state.value}"))
    if ended and found.torn_bytes:
        found.breaks.append(Break(LOG, found.events, "comes after the end of the session"))


def _check_chunk(folder: Path, file: str, chunk: _Chunk, found: Verification) -> Iterator[Break]:
    """Yield the first place where a video file is not what the log states."""
    path = folder / file
    try:
        size = path.stat().st_size
        found.video_bytes += size
        digest, done, good_frames = hashlib.sha256(), 0, 0
        with open_regular(path) as content:
            for n, stated in chunk.stated:
                digest_size = _feed(content, digest, stated.bytes - done)
                done += digest_size
                if done < stated.bytes:
                    yield Break(file, n, f"has {size} bytes, {stated.bytes} were recorded by then")
                    return
                if digest.hexdigest() != stated.sha256:
                    yield Break(file, n, f"was changed{_where(chunk, good_frames, stated.frames)}")
                    return
                good_frames = stated.frames
    except OSError as error:
        n = chunk.stated[0][0] if chunk.stated else found.events - 1
        if chunk.stated or found.outcome is not SessionOutcome.CUT_OFF:
            yield Break(file, n, f"cannot be read ({error.strerror})")
        return
    closed = bool(chunk.stated) and chunk.stated[-1][1].closed
    if closed and size > done:
        yield Break(file, chunk.stated[-1][0], f"has {size} bytes, {done} were recorded")
    elif not closed and found.outcome is not SessionOutcome.CUT_OFF:
        yield Break(file, found.events - 1, "was never closed, though the session ended")
    elif not closed:
        found.unproved_bytes += size - done


def _feed(content: object, digest: "hashlib._Hash", count: int) -> int:
    done = 0
    while done < count and (block := content.read(min(BLOCK_BYTES, count - done))):  # type: ignore[attr-defined]
        digest.update(block)
        done += len(block)
    return done


def _where(chunk: _Chunk, first: int, end: int) -> str:
    """Return which frames lie in the part of a file that was changed."""
    numbers = [chunk.frames[index] for index in range(first, end) if index in chunk.frames]
    return f", in frames {numbers[0]} to {numbers[-1]}" if numbers else ""


def _check_file(folder: Path, n: int, stated: FileRecord) -> Iterator[Break]:
    digest = hashlib.sha256()
    try:
        with open_regular(folder / stated.file) as content:
            size = _feed(content, digest, stated.bytes + 1)
    except OSError as error:
        yield Break(stated.file, n, f"cannot be read ({error.strerror})")
        return
    if (size, digest.hexdigest()) != (stated.bytes, stated.sha256):
        yield Break(stated.file, n, "was changed")


def _unknown_files(folder: Path, known: set[str], found: Verification) -> Iterator[Break]:
    """Yield files among the video that the log does not name; one just begun when a session was cut off is none."""
    numbers = [int(file.removeprefix(f"{VIDEO}/").partition(".")[0]) for file in known]
    begun = chunk_name(max(numbers, default=-1) + 1) if found.outcome is SessionOutcome.CUT_OFF else ""
    paths = sorted((folder / VIDEO).iterdir()) if (folder / VIDEO).is_dir() else []
    for path in paths:
        name = f"{VIDEO}/{path.name}"
        if name not in known and name != begun:
            yield Break(name, found.events, "is not named by any event")
