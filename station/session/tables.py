"""The log of a session as tables that people open: Parquet and CSV, the same columns in both.

Written along with the log, so that the end of a run does not wait for them; from the log afterwards where a session
was cut off. The CSV files open in pandas, R and Excel with no options; where they come from, and the research-use
notice, stand in ``about.json`` beside them (``station.session.table_columns``). This module knows records; not who
writes them.
"""

import contextlib
import csv
import errno
import os
import time
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from station.clock import NS_PER_S, ms_between
from station.errors import SessionError
from station.files import PRIVATE, open_regular, sha256_of
from station.notice import NOTICE
from station.session.event_log import Event, read_log
from station.session.layout import LOG, TABLES
from station.session.records import (
    ActionRecord,
    ChunkRecord,
    EndRecord,
    FileRecord,
    FrameRecord,
    GradesRecord,
    KeepRecord,
    LossRecord,
    OpenedRecord,
    Record,
    StartRecord,
    StatusRecord,
    StopRecord,
    TracksRecord,
    WindowsRecord,
)
from station.session.session_reader import Session
from station.session.table_columns import COLUMNS, Provenance
from station.transport.control_messages import ProcessState
from station.transport.messages import Evidence, KinematicsInfo, Measured

FLUSH_ROWS: Final = 5000
FLUSH_S: Final = 5.0
GROUP_VALUES: Final = 400_000
"""So many of a Parquet file are written as one row group. Its writer keeps some 0.8 kB for each column of each group
until the file is closed: with a group every few seconds it would grow by a megabyte a minute."""
TURN_S: Final = 0.003
"""So long at a time what the log has of before is taken in: in between frames come."""
LAST_TURN_S: Final = 2.0
"""At the end of a session. A log of some minutes more takes longer than a recorder has to end."""
EVENTS_AT_ONCE: Final = 10
Row = tuple[Any, ...]


class Tables:
    """All tables of one session. ``close`` gives them their names; until then they are partial. Raises OSError."""

    def __init__(self, folder: Path, ending: str = "partial") -> None:
        """``ending``: of the partial files' names."""
        self._folder = folder
        (folder / TABLES).mkdir(exist_ok=True)
        if (folder / TABLES).is_symlink():
            raise OSError(errno.ELOOP, "it is a link, not a folder", str(folder / TABLES))
        self._tables: dict[str, _Table] = {}
        try:
            for name in COLUMNS:
                self._tables[name] = _Table(folder / TABLES, name, ending)
        except OSError:
            for table in self._tables.values():
                table.discard()
            raise
        self._provenance = Provenance(folder)
        self._states: dict[str, ProcessState] = {}
        self._notices: set[str] = set()
        self._flushed_s = 0.0

    def add(self, n: int, t_ns: int, record: Record) -> None:
        """Take one event in."""
        self._provenance.add(t_ns, record)
        for name, row in self._rows(n, t_ns, record):
            self._tables[name].add(row)

    def tick(self, now_s: float) -> None:
        """Write what has gathered, now and then."""
        if now_s - self._flushed_s >= FLUSH_S:
            self._flushed_s = now_s
            for table in self._tables.values():
                table.flush()

    def close(self) -> list[FileRecord]:
        """Finish all tables; return what the log may say of them."""
        return [*(record for table in self._tables.values() for record in table.close()), self._provenance.write()]

    def abandon(self) -> None:
        """Close what is still open, as it is; may be called more than once."""
        for table in self._tables.values():
            table.abandon()

    def discard(self) -> None:
        """Close everything and take the files away again, finished or not, as far as the disk lets it."""
        for table in self._tables.values():
            table.discard()
        self._provenance.discard()

    def _rows(self, n: int, t_ns: int, record: Record) -> Iterator[tuple[str, Row]]:
        about = self._provenance
        match record:
            case FrameRecord(header=h):
                yield "frames", (
                    n, h.seq, *about.times(h.t_exposure_ns), h.t_source_ns / NS_PER_S,
                    ms_between(h.t_exposure_ns, h.t_sent_ns), h.lost_before, h.exposure_id, h.exposure_us, h.gain,
                    record.file, record.index, record.pts_ms, h.every,
                )  # fmt: skip
            case TracksRecord(header=h):
                for t in h.tracks:
                    yield "tracks", (
                        n, h.frame_seq, *about.times(h.trace.t_exposure_ns), t.sperm_id,
                        *about.position(h.frame_seq, t.x, t.y),
                        t.state.value, t.score, t.reason, t.filled, t.unbroken_since, t.broken_by,
                        h.disturbance,
                    )  # fmt: skip
                    if t.kinematics is not None:
                        yield "kinematics", (
                            n, h.frame_seq, *about.times(h.trace.t_exposure_ns), t.sperm_id,
                            *_kinematics_row(t.kinematics),
                        )  # fmt: skip
                for done in h.applied_commands:
                    fields = done.model_dump(exclude_none=True, mode="json")
                    words = " ".join(f"{key} {value}" for key, value in fields.items() if key != "name")
                    what = f"before frame {h.frame_seq}: {done.name.value} {words}"
                    yield "events", (n, *about.times(t_ns), "applied", what)
            case WindowsRecord(header=h):
                for w in h.windows:
                    yield "windows", (
                        n, h.frame_seq, *about.times(h.trace.t_exposure_ns), w.sperm_id,
                        *about.position(h.frame_seq, w.x, w.y),
                        w.frame_seqs[0], w.frame_seqs[-1], w.t_source_ns[0] / NS_PER_S, w.t_source_ns[-1] / NS_PER_S,
                        int(w.padded),
                    )  # fmt: skip
            case GradesRecord(header=h):
                for g in h.grades:
                    heads = [value for head in g.heads for value in head] if g.heads else [None] * (3 * len(g.grade))
                    yield "grades", (
                        n, g.frame_seq, *about.times(g.trace.t_exposure_ns), g.sperm_id,
                        *about.position(g.frame_seq, g.x, g.y),
                        *g.grade, *heads, g.validity.value, ms_between(g.trace.t_exposure_ns, g.trace.t_grade_ns),
                        *_evidence_row(g.evidence),
                    )  # fmt: skip
            case _:
                for what in self._events(record):
                    yield "events", (n, *about.times(t_ns), type(record).__name__.removesuffix("Record").lower(), what)

    def _events(self, record: Record) -> Iterator[str]:
        """Yield what the table of events says of a record: nothing of what only repeats."""
        match record:
            case StartRecord():
                yield f"{record.program}, mode {record.mode}, {record.started_utc}"
            case OpenedRecord():
                yield f"source {record.source.name}; model {record.model.name} {record.model.sha256}"
            case ActionRecord(action=action):
                asked = f" (asked by {action.asked_by})" if action.asked_by else ""
                yield f"{action.name} {action.details}".strip() + asked
            case StatusRecord(status=status):
                if self._states.get(status.process) is not status.state:
                    self._states[status.process] = status.state
                    yield f"{status.process.value} {status.state.value} {status.error}".strip()
                for notice in status.notices:
                    kind = "".join(letter for letter in notice if not letter.isdigit())
                    if kind not in self._notices:  # a count that rises is said once
                        self._notices.add(kind)
                        yield f"{status.process.value}: {notice}"
            case ChunkRecord(closed=True):
                yield f"{record.file}: {record.frames} frames, sha256 {record.sha256}"
            case LossRecord():
                yield f"{record.count} missing of {record.link}: {record.reason}"
            case KeepRecord():
                yield f"frames {record.first_seq} to {record.last_seq}, {record.seconds:.1f} s"
            case StopRecord():
                yield record.reason
            case EndRecord():
                yield record.ended_utc


def _kinematics_row(k: KinematicsInfo) -> Row:
    return (
        k.vcl_um_s, k.vsl_um_s, k.vap_um_s, k.lin, k.straightness, k.wob, k.alh_max_um, k.alh_mean_um, k.bcf_hz,
        k.mad_deg, k.motility, k.confidence, k.rate_hz, k.duration_s, k.refused,
    )  # fmt: skip


def _evidence_row(e: Evidence | None) -> Row:
    if e is None:  # a session of before
        return (None,) * 10
    m = e.measured or Measured()
    return (
        e.frame_seqs[0] if e.frame_seqs else None, e.span_ms, " ".join(m.causes), "; ".join(e.doubts), m.stage_px,
        m.sharpness, m.saturated, m.brightest, m.nearest_px, m.repeated,
    )  # fmt: skip


class ContinuedTables:
    """The tables of a session that a recorder goes on with after another: first, little by little, what the log has."""

    def __init__(self, folder: Path, events: int) -> None:
        """``events``: so many are in the log already."""
        self._tables = Tables(folder)
        self._log = read_log(folder / LOG)
        self._before = events
        self._held: list[tuple[int, int, Record]] = []

    def add(self, n: int, t_ns: int, record: Record) -> None:
        """Take one event in; it waits while older ones are missing."""
        if self._before:
            self._held.append((n, t_ns, record))
        else:
            self._tables.add(n, t_ns, record)

    def tick(self, now_s: float) -> None:
        """Take in some events of before, and write what has gathered, now and then."""
        self._catch_up(TURN_S)
        self._tables.tick(now_s)

    def close(self) -> list[FileRecord]:
        """Finish all tables; return what the log may say of them.

        Nothing, and no tables, where the log has more of before than there is time for: they can be made from it.
        """
        if not self._catch_up(LAST_TURN_S):
            self._tables.discard()
            return []
        return self._tables.close()

    def discard(self) -> None:
        """Close everything and take the files away again."""
        self._tables.discard()

    def _catch_up(self, seconds: float) -> bool:
        """Take in events of before for so long; return whether all have been."""
        until_s = time.monotonic() + seconds
        while self._before and time.monotonic() < until_s:
            items = list(islice(self._log, min(EVENTS_AT_ONCE, self._before)))
            for item in items:
                if isinstance(item, Event):
                    self._tables.add(item.n, item.t_ns, item.record)
            self._before = self._before - len(items) if items else 0
        if not self._before:
            held, self._held = self._held, []
            for n, t_ns, record in held:
                self._tables.add(n, t_ns, record)
        return not self._before


class _Table:
    """One table in both formats."""

    def __init__(self, folder: Path, name: str, ending: str) -> None:
        self._ending = ending
        fields = [pa.field(column, dtype) for column, dtype in COLUMNS[name]]
        self._schema = pa.schema(fields, metadata={"notice": NOTICE})
        self._rows: list[Row] = []
        self._waiting = folder / f".{name}.arrow.{ending}"
        """Rows that the CSV file has and the Parquet file has not yet: in memory, all tables took 15 MB."""
        self._rows_waiting = 0
        self._lacks_rows = False
        self._paths = {ending: folder / f"{name}.{ending}" for ending in ("csv", "parquet")}
        self._csv: TextIOWrapper | None = None
        self._parquet: Any = None
        for path in (*map(self._partial, self._paths), self._waiting):
            path.unlink(missing_ok=True)  # a link that was put there would be written through
            path.touch(PRIVATE, exist_ok=False)  # what opens it next leaves the mode as it is
        self._csv = self._partial("csv").open("w", encoding="utf-8", newline="")
        try:
            self._parquet = pq.ParquetWriter(self._partial("parquet"), self._schema, compression="zstd")
        except OSError:
            self._csv.close()
            raise
        self._lines = csv.writer(self._csv, lineterminator="\n")
        self._lines.writerow(self._schema.names)

    def add(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) >= FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        if not self._rows or self._csv is None:
            return
        rows, self._rows = self._rows, []
        try:
            self._write(rows, self._csv)
        except OSError:
            self._lacks_rows = True
            raise

    def _write(self, rows: list[Row], file: TextIOWrapper) -> None:
        self._lines.writerows(rows)
        file.flush()
        values = zip(zip(*rows, strict=True), self._schema, strict=True)
        columns = [pa.array(column, field.type) for column, field in values]
        batch = pa.record_batch(columns, schema=self._schema)
        with self._waiting.open("ab") as waiting:
            waiting.write(_as_stream(batch))
        self._rows_waiting += batch.num_rows
        if self._rows_waiting * batch.num_columns >= GROUP_VALUES:
            self._write_group()

    def _write_group(self) -> None:
        if self._rows_waiting:
            with open_regular(self._waiting) as file:
                table = pa.Table.from_batches(list(_batches(file.read())))
            self._parquet.write_table(table, row_group_size=table.num_rows)
            os.truncate(self._waiting, 0)
            self._rows_waiting = 0

    def close(self) -> Iterator[FileRecord]:
        self.flush()
        if self._lacks_rows:  # the disk was full for a while: a table with a hole would look whole
            raise OSError(errno.EIO, "rows of it could not be written", str(self._waiting))
        self._write_group()
        self.abandon()
        for ending, path in self._paths.items():
            self._partial(ending).replace(path)
            yield FileRecord(file=f"{TABLES}/{path.name}", bytes=path.stat().st_size, sha256=sha256_of(path))

    def abandon(self) -> None:
        file, self._csv = self._csv, None
        if file is not None:
            try:
                file.close()
            finally:
                self._waiting.unlink(missing_ok=True)
                self._parquet.close()

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            self.abandon()
        for leftover in (*map(self._partial, self._paths), *self._paths.values(), self._waiting):
            with contextlib.suppress(OSError):
                leftover.unlink(missing_ok=True)

    def _partial(self, ending: str) -> Path:
        path = self._paths[ending]
        return path.with_name(f".{path.name}.{self._ending}")


def _as_stream(batch: pa.RecordBatch) -> pa.Buffer:
    """Return a batch as Arrow's stream format has it, schema and end mark included."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue()


def _batches(content: bytes) -> Iterator[pa.RecordBatch]:
    """Yield the batches of streams that follow one another."""
    reader = pa.BufferReader(content)
    while reader.tell() < reader.size():
        with pa.ipc.open_stream(reader) as stream:
            yield from stream


def write_tables(folder: Path, keep_going: Callable[[], object] = lambda: None) -> list[Path]:
    """Make the tables of a session from its log, as of one that was cut off; return their paths.

    Raises SessionError where the session already has them, cannot be read, or the disk does not take them.
    """
    session = Session(folder)
    recorded = [event.record for event in session.events() if isinstance(event.record, FileRecord)]
    if recorded:
        raise SessionError(f"session {folder}: its tables were written when it was recorded, see {folder / TABLES}")
    try:
        tables = Tables(folder, "remade")  # the session may be one that is still being recorded
        try:
            for event in session.events():
                tables.add(event.n, event.t_ns, event.record)
                keep_going()
            return [folder / record.file for record in tables.close()]
        finally:
            with contextlib.suppress(OSError):
                tables.abandon()
    except OSError as error:
        raise SessionError(
            f"session {folder}: its tables cannot be written ({error.strerror or error}); copy the session to a disk "
            "with room, or make the folder writable"
        ) from error
