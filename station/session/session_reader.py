"""A recorded session, opened for reading: what it says of itself, its events, its frames.

A session that was cut off (killed, power lost) is read like any other, up to where it was cut. Damage is never an
error here but something that is said: frames that are not as they were recorded come without pixels, lines of the log
that are not as they were written are left out and listed. Whether a session is what was recorded is for
``station.session.verify`` to say.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station.errors import SessionError
from station.output import one_line
from station.session.event_log import MOST_DAMAGE, Event, Fault, Torn, read_log
from station.session.layout import LOG, MANIFEST, Manifest, SessionOutcome, read_manifest
from station.session.records import EndRecord, FrameRecord, OpenedRecord, StartRecord, StopRecord

EVENTS_AT_ONCE: Final = 500
MISSING: Final = "is missing"


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """One frame as it was recorded."""

    event: int
    record: FrameRecord
    pixels: NDArray[np.uint8] | None
    """(H, W) uint8, checked against the log; None where the video does not have it any more as it was recorded."""


class Session:
    """A session folder. Reading starts anew with each call of ``events`` or ``frames``.

    Raises SessionError where the folder holds no session that can be read.
    """

    def __init__(self, folder: Path, keep_going: Callable[[], object] = lambda: None) -> None:
        """``keep_going`` is called now and then while events are read: a long log takes a while."""
        self.folder = folder
        self._keep_going = keep_going
        self._said: list[str] = []
        self._events, self._frames = _Count(), _Count()
        """Of those that are not as they were recorded."""
        self.manifest: Manifest | None = None
        try:
            there, has_log = folder.is_dir(), (folder / LOG).is_file()
        except OSError as error:
            raise SessionError(f"session {folder}: cannot be read ({error.strerror}); give its folder") from error
        if not there:
            raise SessionError(f"session {folder}: no such folder; give the folder that holds session.json")
        if not has_log:
            raise SessionError(f"session {folder}: has no {LOG}; give the folder of a recorded session")
        try:
            self.manifest = read_manifest(folder)
        except SessionError as error:
            self._note(str(error))
        first = next(read_log(folder / LOG), None)
        if not isinstance(first, Event) or not isinstance(first.record, StartRecord):
            found = "it is empty" if first is None else getattr(first, "what", "it is incomplete")
            raise SessionError(f"session {folder}: {LOG} does not start with a start event ({found}); nothing to read")
        self.start: StartRecord = first.record
        self.opened: OpenedRecord | None = next(
            (e.record for e, _ in zip(self.events(), range(50), strict=False) if isinstance(e.record, OpenedRecord)),
            None,
        )
        """Source and model; None where the session was cut off before they were known."""

    @property
    def damage(self) -> list[str]:
        """What was found not to be as it was recorded, one line each, as far as it has been read."""
        others = [
            f"{LOG}: and {count.all - MOST_DAMAGE} more {what} that are not as they were recorded"
            for count, what in ((self._events, "events"), (self._frames, "frames"))
            if count.all > MOST_DAMAGE
        ]
        return self._said + others

    def events(self, *, until_broken: bool = False) -> Iterator[Event]:
        """Yield every event that can be read, in the order in which they were written.

        ``until_broken``: only up to the first that is not as it was written.
        """
        head = self.manifest.head if self.manifest is not None else None
        whole = 0
        for number, item in enumerate(read_log(self.folder / LOG)):
            if number % EVENTS_AT_ONCE == 0:
                self._keep_going()
            whole += not isinstance(item, Torn)
            if isinstance(item, Event):
                if head is not None and item.n == head.event and item.chain != head.chain:
                    self._note(f"{LOG}, event {item.n}: its chain value is not the one that {MANIFEST} holds")
                yield item
            elif isinstance(item, Fault):
                if self._events.is_to_be_said(item.n):
                    self._note(f"{LOG}, event {item.n}: {item.what}")
                if until_broken:
                    return
            elif isinstance(item, Torn):
                self._note(f"{LOG}: the last line (event {item.n}) is incomplete and was ignored")
        if head is not None and head.event >= whole:
            self._note(f"{LOG}, event {whole}: {MISSING}: {MANIFEST} holds event {head.event}")

    def frames(self, *, until_broken: bool = False) -> Iterator[RecordedFrame]:
        """Yield every frame that the log names, in the order in which they were recorded.

        ``until_broken``: only up to the first event that is not as it was written.
        """
        from station.session.chunk_reader import ChunkReader  # FFmpeg is loaded only where pixels are wanted

        with ExitStack() as stack:
            file, reader = "", None
            for event in self.events(until_broken=until_broken):
                record = event.record
                if not isinstance(record, FrameRecord):
                    continue
                if record.file != file or reader is None:
                    stack.close()
                    file, reader = record.file, stack.enter_context(ChunkReader(self.folder / record.file))
                header = record.header
                pixels = reader.find(record.pts_ms, header.height, header.width, record.crc32)
                if pixels is None and self._frames.is_to_be_said(event.n):
                    self._note(f"{record.file}: frame {header.seq} (event {event.n}) cannot be read as it was recorded")
                yield RecordedFrame(event.n, record, pixels)

    def outcome(self) -> SessionOutcome:
        """Return how the session ended, by its log; reads all of it."""
        last: Event | None = None
        stopped = False
        for event in self.events():
            last = event
            stopped |= isinstance(event.record, StopRecord)
        if last is None or not isinstance(last.record, EndRecord):
            return SessionOutcome.CUT_OFF
        return SessionOutcome.STOPPED if stopped else SessionOutcome.COMPLETE

    def _note(self, line: str) -> None:
        line = one_line(line)
        if line not in self._said:
            self._said.append(line)


@dataclass(slots=True)
class _Count:
    """How many there are of what may be wrong a million times; reading anew adds nothing."""

    all: int = 0
    newest: int = -1

    def is_to_be_said(self, event: int) -> bool:
        """Count one, by its event; return whether it is new and among the first. Events come in rising order."""
        new = event > self.newest
        if new:
            self.newest, self.all = event, self.all + 1
        return new and self.all <= MOST_DAMAGE
