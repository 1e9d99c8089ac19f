"""A session that is being recorded: log, video, pre-trigger buffer and tables, and the end of it, good or bad.

Whatever the disk does, an OSError ends here: recording stops, says why, and leaves what is on the disk in good order.
This module knows a session; not links, processes or the operator's keys.
"""

import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from station.clock import NS_PER_S
from station.config import RecordSettings
from station.files import PRIVATE
from station.session.chunk_sequence import ChunkLimits, ChunkRow
from station.session.codec_choice import CodecChoice
from station.session.continuation import Continuation
from station.session.disk import DiskThread, Room
from station.session.event_log import EventLog
from station.session.layout import LOG, LogHead, Manifest, SessionState, write_manifest
from station.session.pre_trigger import PreTrigger
from station.session.provenance import utc_now
from station.session.records import EndRecord, FrameRecord, KeepRecord, Record, StartRecord, StopRecord
from station.session.tables import ContinuedTables, Tables
from station.transport.messages import FrameHeader

SPARE: Final = ".spare"
SPARE_BYTES: Final = 1 << 18
"""Given back when the disk is full, so that the log can still say so."""
LOOK_S: Final = 1.0
MANIFEST_S: Final = 5.0


@dataclass(slots=True)
class SessionCounters:
    """What a session holds so far."""

    frames: int = 0
    lost: int = 0
    """Frames that are missing in it."""
    kept: int = 0
    bytes: int = 0
    sperm: int = 0
    """So many were followed."""
    marks: int = 0
    notes: int = 0


class SessionWriter:
    """Writes one session. No method raises OSError: ``stopped`` says why nothing is written any more."""

    def __init__(
        self, folder: Path, start: StartRecord, settings: RecordSettings, before: Continuation | None = None
    ) -> None:
        """Begin in ``folder``, new and empty but for the folder of the video; or, with ``before``, go on there.

        Raises OSError.
        """
        self.folder = folder
        self.stopped = ""
        """Why recording stopped before the run, one line; empty while it goes on."""
        self.counters = SessionCounters()
        self._settings = settings
        self._start = start
        self._codec = CodecChoice("ffv1", 1, "")
        self._used: list[str] = []
        self._disk = DiskThread()
        self._spare = folder / SPARE
        self._spare.touch(PRIVATE)
        self._spare.write_bytes(bytes(SPARE_BYTES))
        head = before.head if before is not None else None
        write_manifest(folder, _manifest(start, SessionState.RECORDING, head))  # a log is never there without it
        self._log = EventLog(folder / LOG, head, before.log_bytes if before is not None else 0)
        self._synced: Future[None] | None = None
        self._tables = Tables(folder) if before is None else ContinuedTables(folder, before.head.event + 1)
        self.room = Room(folder, settings.reserve_mb * 1_000_000, _bytes(settings.max_session_mb))
        limits = ChunkLimits(settings.chunk_s, settings.chunk_mb * 1_000_000)
        first, video_bytes = (before.next_chunk, before.video_bytes) if before is not None else (0, 0)
        self._row = ChunkRow(folder, self._disk, limits, self._codec.threads, first, video_bytes)
        self._limits = limits
        self.pre_trigger: PreTrigger | None = None
        self._recent: deque[FrameRecord] = deque()
        self._looked_s = self._manifest_s = -MANIFEST_S
        self._closed = False
        self.lacks_tables = False
        """True where the session ended without tables: there was no time to take in what the log had of before."""
        if before is None:
            self.event(start)
        else:
            self._go_on(before)

    @property
    def head(self) -> LogHead | None:
        """The newest event of the log."""
        return self._log.head

    @property
    def complete(self) -> bool:
        """True once the session was ended in good order."""
        return self._closed and not self.stopped

    @property
    def codec(self) -> str:
        """What frames were coded with, in the order of first use; the first may be all there is."""
        return ", ".join(self._used)

    def use(self, codec: CodecChoice) -> None:
        """Code frames like this from the next one on."""
        if self._start.mode == "keep" and self.pre_trigger is None:
            settings = self._settings
            self.pre_trigger = PreTrigger(settings.pre_trigger_s, settings.pre_trigger_mb * 1_000_000, codec.threads)
        self._row.threads = codec.threads
        self._codec = codec
        if codec.name not in self._used:
            self._used.append(codec.name)

    def begin_chunk(self) -> None:
        """Write the next frame to a new file, by encoder threads of the caller's priority."""
        if self.stopped or self._closed:
            return
        try:
            self._row.close_chunk()
            self._append_due()
        except OSError as error:
            self.stop(_reason(error))

    def event(self, record: Record) -> None:
        """Write one event of now."""
        if self.stopped or self._closed:
            return
        try:
            self._append(record)
        except OSError as error:
            self.stop(_reason(error))

    def frame(self, header: FrameHeader, pixels: NDArray[np.uint8]) -> None:
        """Write one frame, or take it into the pre-trigger buffer."""
        if self.stopped:
            return
        if self.pre_trigger is not None:
            self.pre_trigger.add(header, pixels, self._codec.name)
            return
        try:
            self._row.add(header, pixels, self._codec.name)
            self._append_due()
        except OSError as error:
            self.stop(_reason(error))

    def keep(self, beat: Callable[[], object]) -> KeepRecord | None:
        """Save the pre-trigger buffer, or mark its span where every frame is recorded; None where there is no frame."""
        if self.stopped:
            return None
        try:
            if self.pre_trigger is not None:
                self._save_pre_trigger(self.pre_trigger, beat)
            if not self._recent:
                return None
            first, last = self._recent[0].header, self._recent[-1].header
            record = KeepRecord(
                first_seq=first.seq,
                last_seq=last.seq,
                frames=len(self._recent),
                seconds=max(0, last.t_source_ns - first.t_source_ns) / NS_PER_S,
            )
            self._append(record)
        except OSError as error:
            self.stop(_reason(error))
            return None
        self.counters.kept += 1
        return record

    def tick(self, now_s: float) -> None:
        """Do what time asks for: bring bytes to the disk, look how much room there is. Called many times a second."""
        if self.stopped or self._closed:
            return
        try:
            self._row.tick(now_s)
            self._append_due()
            self._tables.tick(now_s)
            if now_s - self._looked_s >= LOOK_S:
                self._looked_s = now_s
                self._sync_log()
                reason = self.room.look(now_s, self.counters.bytes)
                if reason:
                    self.stop(reason)
                    return
            if now_s - self._manifest_s >= MANIFEST_S:
                self._manifest_s = now_s
                self._write_manifest(SessionState.RECORDING)
        except OSError as error:
            self.stop(_reason(error))

    def stop(self, reason: str) -> None:
        """Stop recording for good, in good order, because of ``reason``."""
        if self.stopped or self._closed:
            return
        self._give_back_spare()
        with contextlib.suppress(OSError):
            self._finish_video()
        with contextlib.suppress(OSError):
            self._append(StopRecord(reason=reason))
        self.stopped = reason
        self.pre_trigger = None
        self._end(SessionState.STOPPED)

    def close(self) -> None:
        """End the session as complete; may be called more than once."""
        if self.stopped or self._closed:
            return
        self.pre_trigger = None
        try:
            self._finish_video()
        except OSError as error:
            self.stop(_reason(error))
            return
        self._end(SessionState.COMPLETE)

    def leave_open(self) -> None:
        """Close everything as it is, for another to go on: the session has not ended."""
        if self.stopped or self._closed:
            return
        try:
            self._finish_video()
        except OSError as error:
            self.stop(_reason(error))
            return
        self._closed = True
        self._tables.discard()
        self._log.close()
        self._disk.close()

    def _go_on(self, before: Continuation) -> None:
        """State the video that was left open, and count on."""
        self.counters = SessionCounters(
            frames=before.frames, lost=before.lost, kept=before.kept, sperm=before.sperm, marks=before.marks,
            notes=before.notes,
        )  # fmt: skip
        self._used = list(before.codecs)
        for record in before.unclosed:
            self.event(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the session; not as complete where it is left by an error, for then more was to come."""
        if kind is not None:
            self.stop(f"the recorder failed ({kind.__name__})")
        self.close()

    def _finish_video(self) -> None:
        try:
            self._row.close_chunk()
        finally:
            self._row.wait()
            self._append_due()

    def _end(self, state: SessionState) -> None:
        """Write tables, the last event and the manifest, as far as the disk takes them, and close everything."""
        self._give_back_spare()
        try:
            records = list(self._tables.close())
            self.lacks_tables = not records
            for record in records:
                self._append(record)
        except OSError as error:
            self._tables.discard()  # the log needs the room more, and they can be made from it
            if not self.stopped:
                self.stopped, state = _reason(error), SessionState.STOPPED
                with contextlib.suppress(OSError):
                    self._append(StopRecord(reason=self.stopped))
        try:
            self._append(EndRecord(ended_utc=utc_now(), counters=asdict(self.counters)))
        except OSError as error:  # then the session is one that was cut off, and says so
            self.stopped, state = self.stopped or _reason(error), SessionState.RECORDING
        self._closed = True
        with contextlib.suppress(OSError):
            self._disk.submit(self._log.sync).result()
        with contextlib.suppress(OSError):
            write_manifest(self.folder, _manifest(self._start, state, self._log.head))
        self._log.close()
        self._disk.close()

    def _save_pre_trigger(self, pre_trigger: PreTrigger, beat: Callable[[], object]) -> None:
        self._recent.clear()
        for segment in pre_trigger.take():
            segment.chunk.file = self._row.next_name()
            self._row.add_whole(segment.sink.data, segment.chunk)
            self._append_due()  # file by file: a kill leaves at most one that no event names
            beat()
        self._row.wait()
        self._append_due()

    def _append_due(self) -> None:
        for record in self._row.due():
            self._append(record)
            if isinstance(record, FrameRecord):
                self.counters.frames += 1
                self._remember(record)

    def _remember(self, record: FrameRecord) -> None:
        recent = self._recent
        recent.append(record)
        oldest_ns = record.header.t_exposure_ns - self._settings.pre_trigger_s * NS_PER_S
        while self.pre_trigger is None and recent[0].header.t_exposure_ns < oldest_ns:
            recent.popleft()

    def _append(self, record: Record) -> None:
        n, t_ns = self._log.append(record)
        self._tables.add(n, t_ns, record)
        self.counters.bytes = self._row.written_bytes + self._log.bytes

    def _write_manifest(self, state: SessionState) -> None:
        manifest = _manifest(self._start, state, self._log.head)

        def write() -> None:
            self._log.sync()  # after a power cut the log must not end before the event that the manifest holds
            write_manifest(self.folder, manifest)

        self._disk.submit(write)

    def _sync_log(self) -> None:
        """Have the log brought to the disk. Raises OSError where the disk refused it the last time."""
        if self._synced is not None:
            if not self._synced.done():
                return
            self._synced.result()
        self._synced = self._disk.submit(self._log.sync)

    def _give_back_spare(self) -> None:
        with contextlib.suppress(OSError):
            self._spare.unlink(missing_ok=True)


def _manifest(start: StartRecord, state: SessionState, head: LogHead | None) -> Manifest:
    return Manifest(
        notice=start.notice, session=start.session, started_utc=start.started_utc, program=start.program,
        state=state, head=head,
    )  # fmt: skip


def _bytes(megabytes: int | None) -> int | None:
    return None if megabytes is None else megabytes * 1_000_000


def _reason(error: OSError) -> str:
    """Return what the system says, as the reason why recording stopped."""
    return f"cannot write to the disk: {error.strerror or error}"
