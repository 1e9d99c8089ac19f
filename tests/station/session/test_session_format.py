"""What is written reads back to the last bit and nanosecond; torn or damaged parts are left out."""

import errno
import hashlib
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from capture.files.video import VideoFile
from station.build_info import ROOT
from station.errors import SessionError
from station.session.chunk_reader import ChunkReader
from station.session.chunk_writer import ChunkWriter, MemorySink
from station.session.event_log import Event, EventLog, Fault, Torn, read_log
from station.session.layout import LOG, MANIFEST, SessionState, chunk_name, new_session, read_manifest
from station.session.records import ActionRecord, ChunkRecord, EndRecord, FrameRecord
from station.session.session_reader import Session, SessionOutcome
from station.transport.control_messages import ActionHeader
from tests.support.recorded_session import HEIGHT, WIDTH, flip, header, noise_images, record


@pytest.mark.parametrize("codec", ["ffv1", "raw"])
def test_frames_come_back_with_their_headers_and_pixels(tmp_path: Path, codec: str) -> None:
    session = Session(record(tmp_path, codec=codec))
    frames = list(session.frames())
    assert [frame.record.header for frame in frames] == [header(seq) for seq in range(12)]
    assert all(
        np.array_equal(f.pixels, p) for f, p in zip(frames, noise_images(12), strict=True) if f.pixels is not None
    )
    assert all(frame.pixels is not None for frame in frames)
    assert [frame.record.file for frame in frames][4:6] == [chunk_name(0), chunk_name(1)]
    assert (session.damage, session.outcome()) == ([], SessionOutcome.COMPLETE)
    assert session.opened is not None
    assert session.opened.source.fps == 50.0


@pytest.mark.parametrize("codec", ["ffv1", "raw"])
@pytest.mark.parametrize("fps", [15, 60])
def test_a_chunk_plays_at_the_rate_of_its_times(tmp_path: Path, codec: str, fps: int) -> None:
    sink = MemorySink()
    writer = ChunkWriter(sink, codec, WIDTH, HEIGHT)
    for number in range(2 * fps):
        writer.add(np.full((HEIGHT, WIDTH), number, np.uint8), round(number * 1000 / fps))
    writer.close()
    (tmp_path / "chunk.mkv").write_bytes(sink.data)
    with VideoFile(tmp_path / "chunk.mkv") as video:
        assert video.info.fps == pytest.approx(fps, rel=0.02)


def test_manifest_holds_the_last_event(tmp_path: Path) -> None:
    folder = record(tmp_path)
    last = list(Session(folder).events())[-1]
    manifest = read_manifest(folder)
    assert isinstance(last.record, EndRecord)
    assert manifest.state is SessionState.COMPLETE
    assert manifest.head is not None
    assert (manifest.head.event, manifest.head.chain) == (last.n, last.chain)


@pytest.mark.parametrize("share", [0.15, 0.5, 0.85, 0.999])
def test_a_log_torn_anywhere_is_read_up_to_there(tmp_path: Path, share: float) -> None:
    folder = record(tmp_path)
    log = folder / LOG
    whole = [item for item in read_log(log) if isinstance(item, Event)]
    content = log.read_bytes()
    log.write_bytes(content[: int(len(content) * share)])
    session = Session(folder)
    events = list(session.events())
    assert events == whole[: len(events)]
    assert len(events) == content[: int(len(content) * share)].count(b"\n")
    assert session.outcome() is SessionOutcome.CUT_OFF
    assert session.damage == [
        f"{LOG}: the last line (event {len(events)}) is incomplete and was ignored",
        f"{LOG}, event {len(events)}: is missing: session.json holds event {whole[-1].n}",
    ]


def test_zeros_that_a_power_cut_leaves_behind_the_log_are_no_fault(tmp_path: Path) -> None:
    log = record(tmp_path) / LOG
    whole = list(read_log(log))
    with log.open("ab") as file:
        file.write(bytes(5000))
    assert list(read_log(log)) == whole


def test_a_changed_line_is_one_fault_and_the_rest_is_read(tmp_path: Path) -> None:
    log = record(tmp_path) / LOG
    lines = log.read_bytes().splitlines(keepends=True)
    lines[5] = lines[5].replace(b'"seq":3', b'"seq":4')
    log.write_bytes(b"".join(lines))
    faults = [item for item in read_log(log) if isinstance(item, Fault)]
    assert [fault.n for fault in faults] == [5]


@pytest.mark.parametrize("cut", ["taken out", "added", "swapped"])
def test_lines_taken_out_added_or_swapped_are_faults(tmp_path: Path, cut: str) -> None:
    log = record(tmp_path) / LOG
    lines = log.read_bytes().splitlines(keepends=True)
    if cut == "taken out":
        del lines[5]
    elif cut == "added":
        lines.insert(5, lines[4])
    else:
        lines[5], lines[6] = lines[6], lines[5]
    log.write_bytes(b"".join(lines))
    assert next(item.n for item in read_log(log) if isinstance(item, Fault)) == 5


@pytest.mark.parametrize("codec", ["ffv1", "raw"])
def test_a_torn_chunk_gives_its_whole_frames(tmp_path: Path, codec: str) -> None:
    folder = record(tmp_path, codec=codec)
    chunk = folder / chunk_name(2)
    chunk.write_bytes(chunk.read_bytes()[:-50])
    session = Session(folder)
    readable = [frame.pixels is not None for frame in session.frames()]
    assert readable == [True] * 11 + [False]
    assert "frame 11" in session.damage[0]


@pytest.mark.parametrize("share", np.linspace(0.05, 0.95, 10))
def test_one_changed_byte_of_a_chunk_costs_at_most_two_frames(tmp_path: Path, share: float) -> None:
    """Two if it hits a frame's time stamp, which then equals its neighbour's."""
    folder = record(tmp_path)
    chunk = folder / chunk_name(1)
    flip(chunk, int(chunk.stat().st_size * share))
    frames = list(Session(folder).frames())
    damaged = [frame for frame in frames if frame.pixels is None]
    assert len(damaged) <= 2
    assert {frame.record.file for frame in damaged} <= {chunk_name(1)}
    for frame, pixels in zip(frames, noise_images(12), strict=True):
        assert frame.pixels is None or np.array_equal(frame.pixels, pixels)


def test_a_missing_chunk_and_a_damaged_manifest_are_said(tmp_path: Path) -> None:
    folder = record(tmp_path)
    (folder / chunk_name(0)).unlink()
    (folder / MANIFEST).write_text("{}")
    session = Session(folder)
    assert session.manifest is None
    assert [frame.pixels is not None for frame in session.frames()] == [False] * 5 + [True] * 7
    assert "not a session's manifest" in session.damage[0]


BAD_FOLDERS = {
    "nothing there": (lambda _folder: None, "no such folder"),
    "an empty folder": (lambda folder: folder.mkdir(), f"has no {LOG}"),
    "an empty log": (lambda folder: (folder.mkdir(), (folder / LOG).write_bytes(b"")), "it is empty"),
    "noise": (lambda folder: (folder.mkdir(), (folder / LOG).write_bytes(bytes(range(256)) * 9)), "not a chained line"),
}


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_a_folder_that_is_no_session_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    prepare, expected = BAD_FOLDERS[name]
    prepare(tmp_path / "s")
    with pytest.raises(SessionError) as caught:
        Session(tmp_path / "s")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sessions_of_one_second_do_not_meet(tmp_path: Path) -> None:
    assert len({new_session(tmp_path) for _ in range(5)}) == 5


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SessionError, match="cannot be created"):
        new_session(tmp_path / "file")


class FullAfter(MemorySink):
    """A disk with room for a given number of bytes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: bytes) -> int:
        if len(self.data) + len(data) > self.room:
            self.data += data[: self.room - len(self.data)]
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("codec", ["ffv1", "raw"])
def test_a_full_disk_leaves_a_chunk_of_whole_frames(tmp_path: Path, codec: str) -> None:
    sink = FullAfter(3 * WIDTH * HEIGHT)
    writer = ChunkWriter(sink, codec, WIDTH, HEIGHT)
    shown = noise_images(10)
    with pytest.raises(OSError, match="No space"):  # noqa: PT012
        for number, pixels in enumerate(shown):
            writer.add(pixels, number * 20)
    done = writer.close()
    assert 0 < done.frames < 10
    assert len(sink.data) == done.bytes
    path = tmp_path / "chunk.mkv"
    path.write_bytes(sink.data)
    for threads in (1, 2):
        with ChunkReader(path, threads=threads) as reader:
            for number, pixels in enumerate(shown[: done.frames]):
                found = reader.find(number * 20, HEIGHT, WIDTH, zlib.crc32(pixels.data))
                np.testing.assert_array_equal(found, pixels)


def test_progress_never_runs_ahead_of_the_bytes(tmp_path: Path) -> None:
    """Frames that the writer reports as written can be read from the bytes written so far, at every moment."""
    sink = MemorySink()
    writer = ChunkWriter(sink, "ffv1", WIDTH, HEIGHT)
    shown = noise_images(6)
    for number, pixels in enumerate(shown):
        writer.add(pixels, number * 20)
        progress = writer.progress
        assert number - 1 <= progress.frames <= number
        path = tmp_path / f"{number}.mkv"
        path.write_bytes(sink.data[: progress.bytes])
        with ChunkReader(path) as reader:
            for earlier in range(progress.frames):
                crc = zlib.crc32(shown[earlier].data)
                assert reader.find(earlier * 20, HEIGHT, WIDTH, crc) is not None
    writer.close()


def test_a_log_that_does_not_fit_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = EventLog(tmp_path / LOG)
    log.append(ActionRecord(action=ActionHeader(seq=0, t_ns=1, name="one")))
    before, write = log.head, os.write

    def full(file: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[:-19])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        log.append(ActionRecord(action=ActionHeader(seq=1, t_ns=2, name="two")))
    monkeypatch.setattr(os, "write", write)
    assert log.head == before
    log.append(ActionRecord(action=ActionHeader(seq=1, t_ns=2, name="three")))
    log.close()
    found = list(read_log(tmp_path / LOG))
    assert [item.n for item in found if isinstance(item, Event)] == [0, 1]
    assert not any(isinstance(item, Fault | Torn) for item in found)


def test_chunks_state_the_hash_of_their_file(tmp_path: Path) -> None:
    folder = record(tmp_path)
    chunks = [event.record for event in Session(folder).events() if isinstance(event.record, ChunkRecord)]
    frames = [event.record for event in Session(folder).events() if isinstance(event.record, FrameRecord)]
    assert sum(chunk.frames for chunk in chunks) == len(frames) == 12
    for chunk in chunks:
        content = (folder / chunk.file).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (chunk.bytes, chunk.sha256)


def test_the_program_in_the_document_reads_a_session(tmp_path: Path) -> None:
    """Without our code: docs/session-format.md is enough."""
    document = (ROOT / "docs" / "session-format.md").read_text()
    folder = record(tmp_path)
    program = document.split("```python\n")[1].split("```")[0].replace("20260131T141500Z-3f9c", folder.as_posix())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    expected = [f"{seq} {header(seq).t_source_ns} ({HEIGHT}, {WIDTH})" for seq in range(12)]
    assert done.stdout.splitlines() == expected


def test_a_folder_whose_name_is_no_text_is_refused_in_a_line_that_can_be_printed(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match=r"set LC_ALL=C\.UTF-8") as found:
        new_session(tmp_path / "\udce4")  # as a name with an umlaut looks in a locale that has none
    str(found.value).encode()
    assert list(tmp_path.iterdir()) == []
