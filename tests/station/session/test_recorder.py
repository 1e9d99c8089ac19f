"""The recorder's own decisions, on real links: what it does when it falls behind, and how it ends."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import zmq

from station.config import Config, RecordSettings
from station.processes.control import ProcessControl
from station.processes.process import ProcessContext
from station.session.codec_choice import CodecChoice
from station.session.continuation import EndedSession, read_continuation
from station.session.layout import new_session
from station.session.listening import ENDED, only_listen
from station.session.provenance import begun, start_record
from station.session.pseudonym import Pseudonym
from station.session.recorder import Recorder
from station.session.recorder_links import Links
from station.session.records import ActionRecord, KeepRecord, LossRecord
from station.session.session_reader import Session, SessionOutcome
from station.session.session_writer import SessionWriter
from station.session.verify import verify_session
from station.transport.bus import Publisher
from station.transport.control_messages import ActionHeader, Command, ModelInfo, ProcessName, SourceInfo
from station.transport.endpoints import private_endpoints
from station.transport.messages import CommandName, EndHeader, FrameHeader

EDGE = 1024
FRAME_MB = EDGE * EDGE / 1e6
Context = zmq.Context[zmq.Socket[bytes]]


class Desk:
    """A recorder with the sending ends of all its links."""

    def __init__(
        self, stack: ExitStack, context: Context, folder: Path, settings: RecordSettings, kind: str = "simulated"
    ) -> None:
        config = Config(record=settings)
        endpoints = stack.enter_context(private_endpoints())
        self.control = stack.enter_context(ProcessControl(context, endpoints.control, ProcessName.RECORDER))
        self.links = {
            name: stack.enter_context(Publisher(context, getattr(endpoints, name)))
            for name in ("frames", "tracks", "windows", "grades")
        }
        self.process = process = ProcessContext(config, endpoints, self.control, context)
        self.ends = stack.enter_context(Links(process))
        for link in self.links.values():
            assert link.wait_for_readers(1, lambda: True)
        pseudonym = Pseudonym(kind)
        self.folder = new_session(folder)
        self.writer = stack.enter_context(
            SessionWriter(self.folder, begun(start_record(config, pseudonym), self.folder.name), settings)
        )
        start = Command(
            seq=0,
            name=CommandName.START,
            stride=1,
            source=SourceInfo(name="test", height=EDGE, width=EDGE, fps=0.5),
            model=ModelInfo(name="none", sha256="", runtime="none", demonstration=True),
        )
        self.recorder = Recorder(process, self.writer, self.ends, pseudonym, start)

    def send(self, count: int) -> None:
        frames = self.links["frames"]
        for _ in range(count):
            seq = frames.next_seq
            t_ns = seq * 10**7
            header = FrameHeader(
                seq=seq, t_exposure_ns=t_ns, t_source_ns=t_ns, t_sent_ns=t_ns, height=EDGE, width=EDGE
            )  # fmt: skip
            frames.send(header, np.full((EDGE, EDGE), seq, np.uint8))
        deadline = time.monotonic() + 20
        while self.ends.frames.counters.received + self.ends.frames.counters.lost < frames.next_seq:
            assert time.monotonic() < deadline
            self.ends.drain()
            time.sleep(0.005)

    def end(self) -> None:
        for link in self.links.values():
            link.send(EndHeader(seq=link.next_seq))
        self.recorder.record()
        self.recorder.report()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_all_that_was_sent_is_in_the_record_when_the_links_have_ended(
    stack: ExitStack, context: Context, tmp_path: Path
) -> None:
    with stack:
        desk = Desk(stack, context, tmp_path, RecordSettings(reserve_mb=0))
        desk.send(8)
        desk.end()
        info = desk.control.account.recording
        assert info is not None
        assert (info.frames, info.lost, info.codec, info.complete) == (8, 0, "ffv1", True)
        assert verify_session(desk.folder).intact


def test_ffv1_that_falls_behind_gives_way(stack: ExitStack, context: Context, tmp_path: Path) -> None:
    with stack:
        desk = Desk(stack, context, tmp_path, RecordSettings(reserve_mb=0, queue_mb=16))
        desk.send(3)
        desk.recorder._take_in()
        assert desk.writer.codec == "ffv1"
        desk.send(10)
        desk.end()
        assert desk.writer.codec == "ffv1, raw"
        assert any("FFV1 fell behind" in notice for notice in desk.control.account.notices)
        frames = list(Session(desk.folder).frames())
        assert [frame.record.header.seq for frame in frames] == list(range(13))
        assert all(frame.pixels is not None for frame in frames)
        assert len({frame.record.file for frame in frames}) == 2


def test_who_comes_forward_begins_a_chunk_with_encoder_threads_of_its_own(
    stack: ExitStack, context: Context, tmp_path: Path
) -> None:
    with stack:
        desk = Desk(stack, context, tmp_path, RecordSettings(reserve_mb=0, codec="ffv1"))
        recorder = desk.recorder
        recorder._codec = CodecChoice("ffv1", 2, "")
        desk.writer.use(recorder._codec)
        for forward in (False, True):
            desk.send(3)
            recorder._is_pressing = forward
            for _ in range(3):
                assert recorder._step()
        desk.end()
        frames = list(Session(desk.folder).frames())
        assert [frame.record.header.seq for frame in frames] == list(range(6))
        assert [frame.record.file for frame in frames] == ["video/000000.mkv"] * 3 + ["video/000001.mkv"] * 3
        assert verify_session(desk.folder).intact


def test_a_full_queue_loses_the_oldest_and_says_how_many(stack: ExitStack, context: Context, tmp_path: Path) -> None:
    with stack:
        desk = Desk(stack, context, tmp_path, RecordSettings(reserve_mb=0, queue_mb=16, codec="ffv1"))
        desk.send(40)
        desk.end()
        info = desk.control.account.recording
        assert info is not None
        assert info.frames + info.lost == 40
        assert info.frames == int(16 / FRAME_MB)
        losses = [e.record for e in Session(desk.folder).events() if isinstance(e.record, LossRecord)]
        assert sum(loss.count for loss in losses) == info.lost
        assert Session(desk.folder).outcome() is SessionOutcome.COMPLETE


def test_keep_waits_for_the_frames_from_before_the_key_press(
    stack: ExitStack, context: Context, tmp_path: Path
) -> None:
    with stack:
        desk = Desk(stack, context, tmp_path, RecordSettings(reserve_mb=0, mode="keep"))
        desk.send(12)
        desk.control.reports.append(ActionHeader(seq=0, t_ns=8 * 10**7, name="key k"))  # it overtakes what waits
        desk.end()
        kept = [e.record for e in Session(desk.folder).events() if isinstance(e.record, KeepRecord)]
        assert [(keep.first_seq, keep.last_seq) for keep in kept] == [(0, 8)]


def test_told_to_stop_it_writes_what_waits_uncompressed(stack: ExitStack, context: Context, tmp_path: Path) -> None:
    """No link says that it has ended: the senders may be gone."""
    with stack:
        desk = Desk(stack, context, tmp_path, RecordSettings(reserve_mb=0))
        desk.send(12)
        desk.control.stop()
        desk.recorder.record()
        assert desk.writer.counters.frames == 12
        assert desk.writer.codec.endswith("raw")
        assert verify_session(desk.folder).intact


def test_a_source_that_is_called_like_the_words_of_a_mark_leaves_the_mark_alone(
    stack: ExitStack, context: Context, tmp_path: Path
) -> None:
    (tmp_path / "sperm").mkdir()
    with stack:
        desk = Desk(stack, context, tmp_path / "s", RecordSettings(reserve_mb=0), str(tmp_path / "sperm"))
        said = "sperm 3 marked as chosen: as in sperm (grades are shown now)"
        mark = ActionHeader(seq=0, t_ns=1, name="mark", details=said, sperm_id=3, note="as in sperm")
        desk.control.reports.append(mark)
        desk.control.reports.append(ActionHeader(seq=1, t_ns=2, name="note", details="see sperm"))
        desk.end()
        mark, note = (e.record.action for e in Session(desk.folder).events() if isinstance(e.record, ActionRecord))
        assert (mark.sperm_id, note.details[:11]) == (3, "see folder-")
        assert mark.note.startswith("as in folder-")
        assert mark.details == f"sperm 3 marked as chosen: {mark.note} (grades are shown now)"


def test_an_action_that_is_sent_again_is_recorded_once(stack: ExitStack, context: Context, tmp_path: Path) -> None:
    with stack:
        desk = Desk(stack, context, tmp_path, RecordSettings(reserve_mb=0))
        desk.control.reports.extend(ActionHeader(seq=seq, t_ns=1, name="mark") for seq in (0, 1, 0, 1, 2))
        desk.end()
        assert desk.writer.counters.marks == 3
        assert desk.control.account.acted == 3


def test_a_recorder_whose_session_was_ended_listens_and_says_so(
    stack: ExitStack, context: Context, tmp_path: Path
) -> None:
    with stack:
        desk = Desk(stack, context, tmp_path, RecordSettings(reserve_mb=0))
        desk.writer.close()
        ended = read_continuation(desk.folder)
        assert isinstance(ended, EndedSession)
        assert (ended.recording.complete, ended.recording.stopped) == (True, "")
        desk.send(3)
        for link in desk.links.values():
            link.send(EndHeader(seq=link.next_seq))
        only_listen(desk.process, desk.ends, ended)
        recording = desk.control.account.recording
        assert recording is not None
        assert (recording.folder, recording.stopped) == (str(desk.folder), ENDED)
        assert verify_session(desk.folder).intact
