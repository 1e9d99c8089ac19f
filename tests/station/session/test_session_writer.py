"""The parts of a recorder: pre-trigger buffer, queue, disk space, pseudonyms, tables made afterwards."""

import errno
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from station.config import RecordSettings
from station.errors import SessionError
from station.session import codec_choice, disk
from station.session import session_writer as recording_module
from station.session import tables as tables_module
from station.session.chunk_writer import FileSink
from station.session.codec_choice import CodecChoice, choose_codec, ffv1_trial
from station.session.disk import Room
from station.session.event_log import EventLog
from station.session.layout import LOG, Manifest, SessionOutcome, chunk_name, new_session, sessions_folder
from station.session.pre_trigger import PreTrigger
from station.session.pseudonym import Pseudonym
from station.session.records import ChunkRecord, EndRecord, FrameRecord, KeepRecord, Record, StartRecord
from station.session.session_reader import Session
from station.session.session_writer import SessionWriter
from station.session.tables import Tables, write_tables
from station.session.verify import verify_session
from station.transport.buffers import ByteFifo, Received
from station.transport.messages import EndHeader
from tests.support.recorded_session import HEIGHT, NOTICE, WIDTH, header, noise_images, record

FRAME_BYTES = WIDTH * HEIGHT


def start(mode: str = "all") -> StartRecord:
    return StartRecord.model_validate(
        {
            "notice": NOTICE, "session": "s", "started_utc": "", "mode": mode, "program": "test", "git_commit": None,
            "config": {}, "machine": {}, "packages": {},
        }
    )  # fmt: skip


def seconds(span: float) -> int:
    """Frames of about 20 ms."""
    return round(span / 0.02)


def test_the_pre_trigger_buffer_holds_what_was_asked_for_and_little_more() -> None:
    pre_trigger = PreTrigger(1.0, 100_000_000, 1)
    for seq, pixels in enumerate(noise_images(seconds(4.0))):
        pre_trigger.add(header(seq), pixels, "raw")
    assert 1.0 <= pre_trigger.seconds <= 1.6
    segments = pre_trigger.take()
    frames = [frame.header.seq for segment in segments for frame in named(segment.chunk).stated()]
    assert frames == list(range(frames[0], seconds(4.0))), "without a hole, to the newest"
    assert pre_trigger.take() == []
    assert not pre_trigger.short_of_memory


def named(chunk: "object") -> "object":
    chunk.file = "video/000000.mkv"  # type: ignore[attr-defined]
    return chunk


def test_the_pre_trigger_buffer_never_takes_more_memory_than_it_may() -> None:
    limit = 30 * FRAME_BYTES
    pre_trigger = PreTrigger(10.0, limit, 1)
    most = 0
    for seq, pixels in enumerate(noise_images(200)):
        pre_trigger.add(header(seq), pixels, "raw")
        most = max(most, pre_trigger.bytes)
    assert most <= 1.1 * limit
    assert pre_trigger.short_of_memory
    assert pre_trigger.seconds > 0.3


@pytest.mark.parametrize("mode", ["all", "keep"])
def test_keep_saves_or_marks_the_last_seconds(tmp_path: Path, mode: str) -> None:
    folder = new_session(tmp_path)
    shown = noise_images(150)
    with SessionWriter(folder, start(mode), RecordSettings(pre_trigger_s=1.0, reserve_mb=0)) as writer:
        writer.use(CodecChoice("ffv1", 1, ""))
        assert writer.keep(lambda: None) is None, "nothing there yet"
        for seq, pixels in enumerate(shown[:100]):
            writer.frame(header(seq), pixels)
        first = writer.keep(lambda: None)
        for seq, pixels in enumerate(shown[100:], 100):
            writer.frame(header(seq), pixels)
        second = writer.keep(lambda: None)
    assert first is not None
    assert second is not None
    assert first.last_seq == (99 if mode == "keep" else 98), "FFmpeg holds the newest frame back"
    assert 0.9 < first.seconds < 1.7
    session = Session(folder)
    assert [e.record for e in session.events() if isinstance(e.record, KeepRecord)] == [first, second]
    frames = {frame.record.header.seq: frame.pixels for frame in session.frames()}
    for kept in (first, second):
        for seq in range(kept.first_seq, kept.last_seq + 1):
            assert np.array_equal(frames[seq], shown[seq])
    assert (len(frames) == 150) == (mode == "all"), "keep alone saves what was asked for"
    assert (verify_session(folder).breaks, session.outcome()) == ([], SessionOutcome.COMPLETE)


def test_chunks_are_rotated_by_time_and_size(tmp_path: Path) -> None:
    folder = new_session(tmp_path)
    with SessionWriter(folder, start(), RecordSettings(chunk_s=1.0, reserve_mb=0)) as writer:
        writer.use(CodecChoice("raw", 1, ""))
        for seq, pixels in enumerate(noise_images(130)):
            writer.frame(header(seq), pixels)
            writer.tick(seq * 0.02)
    sizes: dict[str, list[float]] = {}
    for frame in Session(folder).frames():
        assert frame.pixels is not None
        sizes.setdefault(frame.record.file, []).append(frame.record.header.t_source_ns / 1e9)
    assert len(sizes) == 3
    assert all(times[-1] - times[0] < 1.0 for times in sizes.values())
    assert verify_session(folder).breaks == []


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel which file a descriptor is")
def test_what_is_stated_is_on_the_disk_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order that survives a power failure: log before manifest with its head, chunk before the event of its hash."""
    folder = new_session(tmp_path)
    synced: dict[str, int] = {}
    real_fsync, real_manifest, real_append = os.fsync, recording_module.write_manifest, EventLog.append

    def fsync(file: int) -> None:
        real_fsync(file)
        synced[os.readlink(f"/proc/self/fd/{file}")] = os.fstat(file).st_size

    def write(folder: Path, manifest: Manifest) -> None:
        if manifest.head is None:
            assert not (folder / LOG).exists(), "without a head only before there is a log"
        else:
            on_disk = (folder / LOG).read_bytes()[: synced[str(folder / LOG)]]
            assert manifest.head.chain.encode() in on_disk
            manifests.append(manifest.head.event)
        real_manifest(folder, manifest)

    def append(log: EventLog, record: Record) -> tuple[int, int]:
        if isinstance(record, ChunkRecord):
            assert synced[str(folder / record.file)] >= record.bytes
            chunks.append(record.bytes)
        return real_append(log, record)

    manifests: list[int] = []
    chunks: list[int] = []
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(recording_module, "write_manifest", write)
    monkeypatch.setattr(EventLog, "append", append)
    with SessionWriter(folder, start(), RecordSettings(reserve_mb=0)) as writer:
        writer.use(CodecChoice("raw", 1, ""))
        for seq, pixels in enumerate(noise_images(60)):
            writer.frame(header(seq), pixels)
            writer.tick(seq * 0.5)
            time.sleep(0.002)
    assert len(chunks) > 3
    assert len(manifests) > 3


def test_a_recording_that_stops_is_whole_up_to_there(tmp_path: Path) -> None:
    folder = new_session(tmp_path)
    writer = SessionWriter(folder, start(), RecordSettings(reserve_mb=0))
    writer.use(CodecChoice("ffv1", 1, ""))
    for seq, pixels in enumerate(noise_images(10)):
        writer.frame(header(seq), pixels)
    writer.stop("for a test")
    writer.frame(header(11), noise_images(1)[0])
    writer.tick(1e9)
    writer.close()
    found = verify_session(folder)
    assert (found.breaks, found.outcome, found.frames) == ([], SessionOutcome.STOPPED, 10)
    assert not (folder / ".spare").exists()


def test_a_recorder_that_fails_does_not_leave_a_complete_session(tmp_path: Path) -> None:
    folder = new_session(tmp_path)
    writer = SessionWriter(folder, start(), RecordSettings(reserve_mb=0))
    writer.use(CodecChoice("ffv1", 1, ""))
    for seq, pixels in enumerate(noise_images(5)):
        writer.frame(header(seq), pixels)
    with pytest.raises(ZeroDivisionError), writer:
        raise ZeroDivisionError
    assert "ZeroDivisionError" in writer.stopped
    found = verify_session(folder)
    assert (found.breaks, found.outcome, found.frames) == ([], SessionOutcome.STOPPED, 5)


def test_killed_while_it_keeps_a_session_is_intact(tmp_path: Path) -> None:
    folder = new_session(tmp_path / "run")
    copies: list[Path] = []

    def beat() -> None:
        copies.append(shutil.copytree(folder, tmp_path / f"copy {len(copies)}"))  # as a kill would leave it

    with SessionWriter(folder, start("keep"), RecordSettings(pre_trigger_s=2.0, reserve_mb=0)) as writer:
        writer.use(CodecChoice("raw", 1, ""))
        for seq, pixels in enumerate(noise_images(seconds(3.0))):
            writer.frame(header(seq), pixels)
        writer.keep(beat)
    assert len(copies) > 3
    kept = [verify_session(copy) for copy in copies]
    assert [found.breaks for found in kept] == [[]] * len(copies)
    assert [found.frames for found in kept] == sorted({found.frames for found in kept}), "each file's frames at once"
    assert kept[0].frames > 0


def test_a_disk_that_fills_while_it_keeps_leaves_an_intact_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = new_session(tmp_path)
    real_write, room = FileSink.write, 40 * FRAME_BYTES

    def write(sink: FileSink, data: bytes | memoryview) -> int:
        nonlocal room
        part = min(room, len(data))
        room -= part
        real_write(sink, memoryview(data)[:part])
        if part < len(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        return part

    monkeypatch.setattr(FileSink, "write", write)
    with SessionWriter(folder, start("keep"), RecordSettings(pre_trigger_s=2.0, reserve_mb=0)) as writer:
        writer.use(CodecChoice("raw", 1, ""))
        for seq, pixels in enumerate(noise_images(seconds(3.0))):
            writer.frame(header(seq), pixels)
        assert writer.keep(lambda: None) is None
    assert "No space left" in writer.stopped
    found = verify_session(folder)
    assert (found.breaks, found.outcome) == ([], SessionOutcome.STOPPED)
    assert found.frames > 10, "what did fit is kept"


@pytest.mark.parametrize("what", ["tables", "last event"])
def test_an_end_that_does_not_fit_on_the_disk_is_not_called_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    folder = new_session(tmp_path)
    real_append = EventLog.append

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def append(log: EventLog, record: Record) -> tuple[int, int]:
        if isinstance(record, EndRecord):
            full()
        return real_append(log, record)

    with SessionWriter(folder, start(), RecordSettings(reserve_mb=0)) as writer:
        writer.use(CodecChoice("raw", 1, ""))
        for seq, pixels in enumerate(noise_images(5)):
            writer.frame(header(seq), pixels)
        monkeypatch.setattr(*(Tables, "close", full) if what == "tables" else (EventLog, "append", append))
    assert not writer.complete
    assert "No space left" in writer.stopped
    monkeypatch.undo()
    found = verify_session(folder)
    assert (found.breaks, found.frames) == ([], 5)
    assert found.outcome is (SessionOutcome.STOPPED if what == "tables" else SessionOutcome.CUT_OFF)
    if what == "tables":
        assert list((folder / "tables").iterdir()) == []
        assert len(write_tables(folder)) == 13, "they are made from the log where there is room"


def test_a_disk_that_refuses_the_log_later_stops_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: EventLog) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with SessionWriter(new_session(tmp_path), start(), RecordSettings(reserve_mb=0)) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(EventLog, "sync", refuse)
            writer.tick(0.0)
            time.sleep(0.2)
        writer.tick(2.0)
        assert "Input/output error" in writer.stopped


def message(size: int) -> Received:
    return Received(EndHeader(seq=0), np.zeros(size, np.uint8), 0)


def test_the_queue_is_bounded_in_bytes_and_counts_what_goes() -> None:
    queue = ByteFifo(100)
    assert [queue.put(message(size)) for size in (40, 40, 40, 90, 300)] == [0, 0, 1, 2, 1]
    taken = queue.take()
    assert taken is not None
    assert taken.pixels is not None
    assert taken.pixels.size == 300, "one is kept, however large"
    assert (queue.take(), queue.bytes) == (None, 0)


class Free:
    """Stands for the result of ``shutil.disk_usage``: real disks do not come in every size."""

    def __init__(self, free: int) -> None:
        self.free = free


def test_room_is_told_at_the_present_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(tmp_path, reserve_bytes=1_000, limit_bytes=None)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: Free(61_000))
    assert (room.look(0.0, 0), room.left_s, room.scarce) == ("", None, False)
    assert (room.look(1.0, 100), room.left_s, room.scarce) == ("", 600.0, False)
    assert (room.look(2.0, 220), room.left_s, room.scarce) == ("", 60_000 / 110, True)
    for second in range(3, 30):
        room.look(float(second), 220)
    assert room.left_s is None, "nothing was written for longer than the rate is taken over"
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: Free(1_000))
    assert "almost full" in room.look(31.0, 220)


CHOICES = {
    "slow frames": (15.0, 2, "auto", True, "ffv1"),
    "fast frames": (60.0, 2, "auto", True, "raw"),
    "fast frames, many cores": (60.0, 8, "auto", True, "ffv1"),
    "offline": (60.0, 2, "auto", False, "ffv1"),
    "as told": (60.0, 2, "ffv1", True, "ffv1"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_codec_is_what_the_machine_can_afford(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fps, cores, setting, live, expected = CHOICES[name]
    monkeypatch.setattr(codec_choice, "usable_cores", lambda: cores)
    monkeypatch.setattr(codec_choice.Ffv1Trial, "seconds", lambda *_: 0.018)
    settings = RecordSettings.model_validate({"codec": setting})
    choice = choose_codec(settings, 1392, 976, fps, trial=ffv1_trial(settings, live=live))
    assert choice.name == expected
    assert bool(choice.why) == (expected == "raw")


def test_ffv1_is_measured() -> None:
    assert 0 < codec_choice.Ffv1Trial().seconds(320, 240) < 1


def test_a_source_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    first, second = tmp_path / "Anna Meier.mp4", tmp_path / "other.mp4"
    first.write_bytes(b"the same")
    second.write_bytes(b"the same")
    one, other = Pseudonym(str(first)), Pseudonym(str(second))
    assert one.kind == other.kind
    assert one.kind.startswith("file-")
    text = f"source {first}: the video Anna Meier.mp4 ({tmp_path.name}/Anna Meier.mp4) breaks off"
    assert "Meier" not in one.clean(text)
    assert "Meier" not in one.clean(f"[Errno 2] No such file: {str(first)!r}")
    odd = tmp_path / "Anna\\Meier.mp4"
    if sys.platform != "win32":
        odd.write_bytes(b"")
        assert "Meier" not in Pseudonym(str(odd)).clean(repr(str(odd))), "as a path looks in Windows' messages"
    assert Pseudonym("x" * 300).kind == "x" * 300
    assert Pseudonym("simulated").clean("the simulated microscope") == "the simulated microscope"
    assert Pseudonym("basler:123").kind == "basler:123"
    assert Pseudonym(f"replay:{first}").kind == f"replay:{one.kind}"


def test_tables_of_a_session_that_was_cut_off(tmp_path: Path) -> None:
    folder = record(tmp_path)
    log = folder / LOG
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:9]))
    write_tables(folder)
    write_tables(folder)  # again, as often as wanted: nobody vouches for them
    table = pq.read_table(folder / "tables" / "frames.parquet")
    assert table.column("frame").to_pylist() == [0, 1, 2, 3, 4, 5]
    assert table.column("t_source_s").to_pylist() == [header(seq).t_source_ns / 1e9 for seq in range(6)]
    (folder / "tables" / "frames.csv").unlink()
    assert verify_session(folder).breaks[0].file == "log.jsonl", "session.json holds a later event"


def test_a_parquet_file_does_not_get_a_group_with_every_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer keeps what it knows of each group until the end: a day of groups every 5 s took hundreds of MB."""
    columns = len(tables_module.COLUMNS["frames"])
    monkeypatch.setattr(tables_module, "GROUP_VALUES", 100 * columns)
    tables, said = Tables(tmp_path), []
    for seq in range(250):
        frame = FrameRecord(header=header(seq), file=chunk_name(0), index=seq, pts_ms=seq, crc32=0)
        tables.add(seq, seq, frame)
        tables.tick(seq * 10.0)
        said.append(sum(path.stat().st_size for path in tmp_path.rglob(".*.arrow.*")))
    tables.close()
    file = pq.ParquetFile(tmp_path / "tables" / "frames.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [100, 100, 50]
    assert file.read().column("frame").to_pylist() == list(range(250))
    assert len((tmp_path / "tables" / "frames.csv").read_text().splitlines()) == 1 + 250
    assert min(said[100:]) == 0, "what waited for a group goes when that is written"
    assert {path.suffix for path in (tmp_path / "tables").iterdir()} == {".csv", ".parquet", ".json"}


def test_tables_that_the_disk_did_not_take_whole_are_not_given_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room again at once, as what was held back for the end is given back: a hole would not be seen."""
    folder, batches = new_session(tmp_path), 0
    as_stream = tables_module._as_stream

    def refused_once(batch: pa.RecordBatch) -> pa.Buffer:
        nonlocal batches
        batches += "exposure_to_sent_ms" in batch.column_names
        if batches == 2:
            batches += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return as_stream(batch)

    monkeypatch.setattr(tables_module, "_as_stream", refused_once)
    with SessionWriter(folder, start(), RecordSettings(reserve_mb=0)) as writer:
        writer.use(CodecChoice("raw", 1, ""))
        for seq, pixels in enumerate(noise_images(30)):
            writer.frame(header(seq), pixels)
            if seq in {10, 15, 20, 25}:
                writer.tick(seq)
        assert "No space left" in writer.stopped
    assert not list((folder / "tables").iterdir())
    assert verify_session(folder).breaks == []
    write_tables(folder)
    recorded = [event.record.header.seq for event in Session(folder).events() if isinstance(event.record, FrameRecord)]
    assert len(recorded) > 10
    assert pq.read_table(folder / "tables" / "frames.parquet").column("frame").to_pylist() == recorded


def test_tables_of_a_session_that_is_being_recorded_do_it_no_harm(tmp_path: Path) -> None:
    folder = new_session(tmp_path)
    with SessionWriter(folder, start(), RecordSettings(reserve_mb=0)) as writer:
        writer.use(CodecChoice("raw", 1, ""))
        for seq, pixels in enumerate(noise_images(20)):
            writer.frame(header(seq), pixels)
            if seq == 10:
                writer.tick(0.0)
                write_tables(folder)
    assert pq.read_table(folder / "tables" / "frames.parquet").column("frame").to_pylist() == list(range(20))
    assert len((folder / "tables" / "frames.csv").read_text().splitlines()) == 1 + 20
    assert (verify_session(folder).breaks, writer.complete) == ([], True)


def test_recorded_tables_are_not_written_over(tmp_path: Path) -> None:
    folder = new_session(tmp_path)
    with SessionWriter(folder, start(), RecordSettings(reserve_mb=0)):
        pass
    with pytest.raises(SessionError, match="were written when it was recorded"):
        write_tables(folder)


def test_sessions_lie_where_user_data_belong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert sessions_folder(None).name == "sessions"
    assert sessions_folder(str(tmp_path / "x")) == tmp_path / "x"
