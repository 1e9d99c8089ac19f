"""A session that another recorder goes on with, as a kill leaves it."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from station.build_info import ROOT
from station.config import RecordSettings
from station.errors import SessionError
from station.session import tables
from station.session.codec_choice import CodecChoice
from station.session.continuation import Continuation, EndedSession, read_continuation
from station.session.layout import LOG, new_session
from station.session.records import ActionRecord
from station.session.session_reader import Session, SessionOutcome
from station.session.session_writer import SessionWriter
from station.session.verify import verify_session
from station.transport.control_messages import ActionHeader
from tests.station.session.test_session_writer import start
from tests.support.recorded_session import header, noise_images

KILLED = """
import os, signal, sys
from pathlib import Path
from station.config import RecordSettings
from station.session.codec_choice import CodecChoice
from station.session.records import LossRecord
from station.session.session_writer import SessionWriter
from tests.station.session.test_session_writer import start
from tests.support.recorded_session import header, noise_images

writer = SessionWriter(Path(sys.argv[1]), start(), RecordSettings(reserve_mb=0))
writer.use(CodecChoice("raw", 1, ""))
for seq, image in enumerate(noise_images(8)):
    writer.frame(header(seq), image)
    writer.tick(float(seq))
writer.event(LossRecord(link="frames", count=3, reason="test"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(tmp_path: Path) -> Path:
    folder = new_session(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder)], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode < 0
    return folder


def test_the_chain_goes_on_and_the_video_that_was_left_open_is_stated(tmp_path: Path) -> None:
    folder = killed(tmp_path)
    with (folder / LOG).open("ab") as log:
        log.write(b'{"n":99,"t_ns":1,"kind":"fra')  # what a full disk leaves of a line
    before = read_continuation(folder)
    assert isinstance(before, Continuation)
    assert (before.frames, before.lost, before.kept, before.opened, before.next_chunk) == (7, 3, 0, False, 1), (
        "the last was still in the encoder"
    )
    assert before.next_seq == {"frames": 7}
    assert [(chunk.file, chunk.frames, chunk.closed) for chunk in before.unclosed] == [("video/000000.mkv", 7, True)]
    with SessionWriter(folder, before.start, RecordSettings(reserve_mb=0), before) as writer:
        writer.use(CodecChoice("raw", 1, ""))
        for seq, image in enumerate(noise_images(12)[7:], 7):
            writer.frame(header(seq), image)
            writer.tick(float(seq))
        assert writer.counters.frames >= 7
    found = verify_session(folder)
    assert (found.breaks, found.outcome, found.frames, found.torn_bytes) == ([], SessionOutcome.COMPLETE, 12, 0)
    frames = list(Session(folder).frames())
    assert [frame.record.header.seq for frame in frames] == list(range(12))
    assert all(frame.pixels is not None for frame in frames)
    assert len({frame.record.file for frame in frames}) == 2
    assert writer.counters.frames == 12
    assert writer.counters.lost == 3
    assert writer.counters.bytes == sum(path.stat().st_size for path in [folder / LOG, *(folder / "video").iterdir()])
    for table in ("frames", "events"):
        rows = pq.read_table(folder / "tables" / f"{table}.parquet").to_pydict()
        assert rows["event"] == sorted(rows["event"])
    assert pq.read_table(folder / "tables" / "frames.parquet").num_rows == 12, "those of before as well"
    assert isinstance(read_continuation(folder), EndedSession)


def test_a_recorder_that_was_told_to_end_leaves_the_session_to_the_next(tmp_path: Path) -> None:
    folder = new_session(tmp_path)
    with SessionWriter(folder, start(), RecordSettings(reserve_mb=0)) as writer:
        writer.use(CodecChoice("raw", 1, ""))
        writer.frame(header(0), noise_images(1)[0])
        writer.leave_open()
    assert verify_session(folder).outcome is SessionOutcome.CUT_OFF
    before = read_continuation(folder)
    assert isinstance(before, Continuation)
    assert (before.frames, before.unclosed, before.codecs) == (1, [], ["raw"])


def test_a_long_log_is_taken_in_little_by_little_and_never_holds_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of a long run the recorder was killed over its tables, and the session was not closed."""
    folder = killed(tmp_path)
    monkeypatch.setattr(tables, "LAST_TURN_S", 0.0)
    monkeypatch.setattr(tables, "TURN_S", 0.0)
    before = read_continuation(folder)
    assert isinstance(before, Continuation)
    with SessionWriter(folder, before.start, RecordSettings(reserve_mb=0), before) as writer:
        for second in range(50):
            writer.tick(float(second))
    assert writer.lacks_tables
    assert writer.complete
    assert list((folder / "tables").iterdir()) == []
    assert verify_session(folder).intact
    monkeypatch.undo()
    tables.write_tables(folder)
    assert pq.read_table(folder / "tables" / "frames.parquet").num_rows == 7


def test_what_has_ended_is_told_from_what_cannot_be_read(tmp_path: Path) -> None:
    folder = new_session(tmp_path)
    with SessionWriter(folder, start(), RecordSettings(reserve_mb=0)) as writer:
        writer.use(CodecChoice("raw", 1, ""))
        for seq in (0, 1):
            writer.event(ActionRecord(action=ActionHeader(seq=seq, t_ns=1, name="mark")))
        writer.frame(header(0), noise_images(1)[0])
        writer.leave_open()
    before = read_continuation(folder)
    assert isinstance(before, Continuation)
    assert (before.next_action, before.marks) == (2, 2)
    with SessionWriter(folder, before.start, RecordSettings(reserve_mb=0), before) as writer:
        writer.stop("the disk is full")
    ended = read_continuation(folder)
    assert isinstance(ended, EndedSession)
    assert (ended.recording.frames, ended.recording.stopped, ended.recording.complete) == (1, "the disk is full", False)
    for unreadable in (tmp_path / "nowhere", killed(tmp_path / "other")):
        if unreadable.exists():
            (unreadable / LOG).write_bytes(b"no log\n")
        with pytest.raises(SessionError, match="cannot be gone on with"):
            read_continuation(unreadable)
