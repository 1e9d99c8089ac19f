"""What a replay takes from the record: which frames were tracked, what was selected, which batches were graded."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from station.config import Config, build_config
from station.errors import InputError
from station.options import parse_comparison, parse_options
from station.session.event_log import EventLog
from station.session.layout import LOG, Manifest, SessionState, new_session, write_manifest
from station.session.playback import Playback, RecordedTracks, TrackedFrames, as_recorded
from station.session.records import EndRecord, GradesRecord, OpenedRecord, Record, StartRecord, TracksRecord
from station.transport.control_messages import ModelInfo, SourceInfo
from station.transport.messages import (
    AppliedCommand,
    CommandName,
    GradeInfo,
    GradesHeader,
    Trace,
    TrackInfo,
    TracksHeader,
    TrackState,
    Validity,
)
from tests.support.graded_session import record_graded

NOTICE = "For research use only. Not for use in diagnostic procedures."
TRACE = Trace(t_exposure_ns=1, t_sent_ns=2)
SELECT = AppliedCommand(name=CommandName.SELECT_AUTO, count=4)
RELEASE = AppliedCommand(name=CommandName.RELEASE, sperm_id=2)


@pytest.mark.parametrize(
    ("config", "ended", "age_s", "refused"),
    [
        ({"blind": True}, False, 0, True),
        ({"blind": True}, True, 0, False),
        ({"blind": True}, False, 60, False),
        ({}, False, 0, False),
    ],
)
def test_a_blind_session_that_is_being_recorded_is_not_replayed(tmp_path, config, ended, age_s, refused) -> None:
    folder = record_graded(tmp_path, ended=ended, config=config)
    then = time.time() - age_s
    os.utime(folder / LOG, (then, then))
    message = "is being recorded and its grades are hidden" if refused else "its configuration is incomplete"
    with pytest.raises(InputError, match=message):
        as_recorded(build_config({"source": {"kind": f"replay:{folder}"}}, "test"))


def tracks(
    seq: int, frame_seq: int, applied: Sequence[AppliedCommand] = (), state: TrackState = TrackState.LOCKED
) -> TracksRecord:
    track = TrackInfo(sperm_id=7, x=0.1 + frame_seq, y=20.0, state=state, score=0.5, filled=1)
    lost = TrackInfo(sperm_id=8, x=1.0, y=1.0, state=TrackState.LOST, score=0.0, filled=0)
    header = TracksHeader(
        seq=seq,
        frame_seq=frame_seq,
        trace=TRACE,
        window_frames=16,
        tracks=[track, lost],
        applied_commands=list(applied),
    )
    return TracksRecord(header=header)


def grades(seq: int, *keys: tuple[int, int]) -> GradesRecord:
    found = [
        GradeInfo(
            sperm_id=sperm, frame_seq=frame, x=0.0, y=0.0, grade=[0.2] * 5, heads=[[0.2] * 5] * 3,
            validity=Validity.VALID, trace=TRACE,
        )
        for sperm, frame in keys
    ]  # fmt: skip
    return GradesRecord(header=GradesHeader(seq=seq, grades=found))


def session(parent: Path, *records: Record, mode: str = "all", config: Config | None = None) -> Path:
    folder = new_session(parent)
    start = StartRecord(
        notice=NOTICE, session=folder.name, started_utc="2026-01-01T00:00:00Z", mode=mode, program="test",
        git_commit=None, config=(config or Config()).model_dump(mode="json"), machine={}, packages={},
    )  # fmt: skip
    opened = OpenedRecord(
        source=SourceInfo(name="noise", height=64, width=96, fps=50.0),
        model=ModelInfo(name="none", sha256="ab", runtime="none", demonstration=True),
        stride=3,
    )
    with EventLog(folder / LOG) as log:
        for record in (start, opened, *records, EndRecord(ended_utc="2026-01-01T00:01:00Z", counters={})):
            log.append(record)
        manifest = Manifest(
            notice=NOTICE, session=folder.name, started_utc="2026-01-01T00:00:00Z", program="test",
            state=SessionState.COMPLETE, head=log.head,
        )  # fmt: skip
        write_manifest(folder, manifest)
    return folder


def break_line(folder: Path, number: int) -> None:
    """Change one byte of an event in the log."""
    lines = (folder / LOG).read_bytes().splitlines(keepends=True)
    lines[number] = lines[number].replace(b'"seq":', b'"seq": ', 1)
    (folder / LOG).write_bytes(b"".join(lines))


def test_frames_that_the_tracker_had_dropped_are_known(tmp_path: Path):
    folder = session(tmp_path, tracks(0, 0), tracks(1, 1), tracks(2, 4), tracks(3, 5))
    frames = TrackedFrames(Playback(folder))
    assert [seq for seq in range(8) if frames.took(seq)] == [0, 1, 4, 5, 6, 7]  # of the last two nothing is recorded
    assert frames.unknown == 0


def test_where_the_record_lost_tracks_no_frame_is_left_out_and_that_is_counted(tmp_path: Path):
    """Message 2 is missing: of frames 2 to 4 one was tracked, and it is unknown which."""
    folder = session(tmp_path, tracks(0, 0), tracks(1, 1), tracks(3, 5))
    frames = TrackedFrames(Playback(folder))
    assert all(frames.took(seq) for seq in range(6))
    assert frames.unknown == 3


def test_commands_come_back_before_the_frames_that_they_came_before(tmp_path: Path):
    folder = session(tmp_path, tracks(0, 0, [SELECT]), tracks(1, 2), tracks(2, 3, [RELEASE, SELECT]))
    record = RecordedTracks(Playback(folder))
    assert [record.applied_commands(seq) for seq in range(4)] == [[SELECT], [], [], [RELEASE, SELECT]]


def test_what_was_done_before_a_missing_frame_is_done_before_the_next(tmp_path: Path):
    """Frames 1 and 2 were tracked, and the recorder lost them."""
    folder = session(tmp_path, tracks(0, 0, [SELECT]), tracks(1, 1), tracks(2, 2, [RELEASE]), tracks(3, 3, [SELECT]))
    playback = Playback(folder)
    record, frames = RecordedTracks(playback), TrackedFrames(playback)
    assert [record.applied_commands(seq) for seq in (0, 3)] == [[SELECT], [RELEASE, SELECT]]
    assert [frames.took(seq) for seq in (0, 3)] == [True, True]
    assert (frames.missing, frames.unknown) == (2, 0)


def test_a_pre_trigger_buffer_begins_with_selecting_what_was_followed(tmp_path: Path):
    """Frame 2, the first that was kept, has no tracks: the tracker had dropped it."""
    records = [tracks(n, k, [SELECT] * (k == 0)) for n, k in enumerate((0, 1, 3, 4))]
    folder = session(tmp_path, *records, mode="keep")
    playback = Playback(folder)
    record = RecordedTracks(playback)
    at_first_frame = AppliedCommand(name=CommandName.SELECT, x=0.1 + 3, y=20.0)
    assert not playback.whole
    assert [record.applied_commands(seq) for seq in (2, 3, 4)] == [[], [at_first_frame], []]
    assert all(TrackedFrames(playback).took(seq) for seq in (2, 3, 4))


def test_a_long_stretch_of_the_record_is_read_with_signs_of_life(tmp_path: Path):
    """A buffer kept an hour after the start: the supervisor must not take the long read for a hang."""
    folder = session(tmp_path, *(tracks(k, k) for k in range(1200)), mode="keep")
    beats: list[int] = []
    playback = Playback(folder, lambda: beats.append(1))
    before = len(beats)
    assert RecordedTracks(playback).applied_commands(1199)
    assert len(beats) - before >= 3


def test_a_broken_record_is_read_up_to_the_break(tmp_path: Path):
    folder = session(tmp_path, *(tracks(k, k) for k in range(6)), grades(0, (1, 3)), grades(1, (1, 4)))
    break_line(folder, 2 + 4)
    playback = Playback(folder)
    assert [header.frame_seq for header in playback.tracks()] == [0, 1, 2, 3]
    assert list(playback.batches()) == []
    break_line(folder, 3)
    assert [header.frame_seq for header in Playback(folder).tracks()] == [0]


def test_what_decides_on_tracks_and_grades_is_as_recorded_and_the_rest_as_given(tmp_path: Path):
    recorded = Config.model_validate(
        {"tracker": {"head_px": 20}, "engine": {"threads": 3}, "select": ((1.0, 2.0),), "dashboard": {"hz": 3}}
    )
    folder = session(tmp_path, config=recorded)
    options = parse_options(["--source", f"replay:{folder}", "--speed", "max", "--model", "other"])
    config = options.config
    assert config.tracker.head_px == 20
    assert (config.window.stride, config.engine.threads, config.engine.model) == (3, 3, "other")
    assert config.select == ((1.0, 2.0),)
    assert (config.speed, config.dashboard.hz, config.record.mode) == ("max", 10, "off")
    assert config.replay_of == folder
    assert config.lossless
    assert parse_options(["--source", f"replay:{folder}", "--record", "all"]).config.record.mode == "all"


def test_a_replay_is_lossless_at_its_own_pace_too_and_other_sources_stay_as_they_are(tmp_path: Path):
    folder = session(tmp_path)
    assert parse_options(["--source", f"replay:{folder}"]).config.lossless
    plain = Config()
    assert not plain.lossless
    assert as_recorded(plain) is plain


def test_compare_is_a_replay_with_another_model(tmp_path: Path):
    folder = session(tmp_path)
    options = parse_comparison([str(folder), "--model", "m", "--out", "x.csv"])
    assert options.headless
    assert (options.config.speed, options.config.engine.model) == ("max", "m")
    assert options.config.replay.comparison == "x.csv"
    assert options.config.replay_of == folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--source", "replay:"], "which session?", id="no session"),
        pytest.param(["--source", "replay:/none/such"], "no such folder; give the folder that holds", id="no folder"),
        pytest.param(["--source", "replay:{folder}", "--select", "auto:2"], "were selected in the rec", id="select"),
        pytest.param(["--comparison", "x.csv"], "give --source replay:SESSION", id="comparison without replay"),
    ],
)
def test_mistakes_are_one_clear_line(tmp_path: Path, options, message):
    folder = session(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        parse_options([option.format(folder=folder) for option in options])
    assert "\n" not in str(error.value)


def test_a_session_that_was_cut_off_before_it_began_cannot_be_replayed(tmp_path: Path):
    folder = session(tmp_path)
    lines = (folder / LOG).read_bytes().splitlines(keepends=True)
    (folder / LOG).write_bytes(lines[0])
    with pytest.raises(InputError, match="cut off before its source and model were known"):
        Playback(folder)


def test_a_session_without_its_settings_cannot_be_replayed(tmp_path: Path):
    folder = new_session(tmp_path)
    complete = session(tmp_path)
    text = (complete / LOG).read_text()
    assert '"tracker"' in text
    with EventLog(folder / LOG) as log:
        for event in Playback(complete).session.events():
            record = event.record
            log.append(record.model_copy(update={"config": {}}) if isinstance(record, StartRecord) else record)
    with pytest.raises(InputError, match="its configuration is incomplete"):
        parse_options(["--source", f"replay:{folder}"])
