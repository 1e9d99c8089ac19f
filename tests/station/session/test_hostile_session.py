"""Sessions that somebody prepared: pipes and devices in place of files, huge files, times that no camera has."""

import json
import math
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import station.archive.catalogue
from run_station import main
from station.archive.catalogue import catalogue, describe
from station.archive.moments import choices
from station.archive.record_commands import report
from station.archive.story import read_story
from station.command_line import exit_code_of
from station.config import RecordSettings
from station.errors import InputError, SessionError
from station.session.annotations import ANNOTATIONS, Annotations, read_annotations
from station.session.event_log import FIRST_CHAIN, MOST_DAMAGE, EventLog, chained
from station.session.layout import LOG, MANIFEST, TABLES, chunk_name, new_session, read_manifest
from station.session.playback import Playback, recorded_length_s
from station.session.pseudonym import fingerprint
from station.session.records import FileRecord, OpenedRecord, StartRecord
from station.session.session_reader import Session
from station.session.session_writer import SessionWriter
from station.session.tables import write_tables
from station.session.verify import verify_session
from station.transport.control_messages import ModelInfo, SourceInfo
from tests.support.graded_session import record_graded
from tests.support.recorded_session import NOTICE, header, noise_images, record

POSIX = pytest.mark.skipif(os.name == "nt", reason="there are no such files")
START = StartRecord(
    notice=NOTICE, session="s", started_utc="", mode="all", program="test", git_commit=None, config={}, machine={},
    packages={},
)  # fmt: skip


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def replace(path: Path, make: Callable[[Path], None]) -> None:
    path.unlink()
    make(path)


@POSIX
@pytest.mark.parametrize("make", [os.mkfifo, device])
def test_chunks_that_are_no_files_have_no_frames(tmp_path: Path, make: Callable[[Path], None]) -> None:
    folder = record(tmp_path)
    replace(folder / chunk_name(1), make)
    frames = [frame.pixels is not None for frame in Session(folder).frames()]
    assert frames == [True] * 5 + [False] * 5 + [True] * 2
    found = verify_session(folder)
    assert [(place.file, "not a file" in place.what) for place in found.breaks] == [(chunk_name(1), True)]


@POSIX
@pytest.mark.parametrize("make", [os.mkfifo, device])
def test_a_table_that_is_no_file_is_a_break(tmp_path: Path, make: Callable[[Path], None]) -> None:
    folder = new_session(tmp_path)
    with EventLog(folder / LOG) as log:
        log.append(START)
        log.append(FileRecord(file="tables/grades.csv", bytes=10, sha256="0" * 64))
    (folder / TABLES).mkdir()
    make(folder / TABLES / "grades.csv")
    assert any("not a file" in place.what for place in verify_session(folder).breaks)


def test_a_table_that_grew_to_gigabytes_is_not_read(tmp_path: Path) -> None:
    folder = new_session(tmp_path)
    with EventLog(folder / LOG) as log:
        log.append(START)
        log.append(FileRecord(file="tables/grades.csv", bytes=10, sha256="0" * 64))
    (folder / TABLES).mkdir()
    with (folder / TABLES / "grades.csv").open("wb") as file:
        file.truncate(1 << 40)
    assert any("was changed" in place.what for place in verify_session(folder).breaks)


@POSIX
@pytest.mark.parametrize("make", [os.mkfifo, device])
@pytest.mark.parametrize("file", [LOG, MANIFEST])
def test_log_and_manifest_must_be_files(tmp_path: Path, file: str, make: Callable[[Path], None]) -> None:
    folder = record(tmp_path)
    replace(folder / file, make)
    if file == LOG:
        with pytest.raises(SessionError, match=r"has no log\.jsonl"):
            Session(folder)
    else:
        assert "not a file" in Session(folder).damage[0]


def test_a_huge_manifest_is_not_read(tmp_path: Path) -> None:
    folder = record(tmp_path)
    with (folder / MANIFEST).open("r+b") as file:
        file.truncate(600 << 20)
    with pytest.raises(SessionError, match="larger than 1 MiB"):
        read_manifest(folder)


@POSIX
def test_the_fingerprint_of_a_pipe_is_that_of_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert fingerprint(tmp_path / "pipe") == fingerprint(tmp_path / "nothing")


@pytest.mark.parametrize("fps", [0.0, -5.0, 1e-300, 1e30, math.inf])
def test_frame_rates_that_no_source_has(tmp_path: Path, fps: float, capsys: pytest.CaptureFixture[str]) -> None:
    folder = new_session(tmp_path)
    with EventLog(folder / LOG) as log:
        log.append(START)
        log.append(
            OpenedRecord.model_construct(
                source=SourceInfo.model_construct(name="x", height=64, width=96, fps=fps),
                model=ModelInfo(name="none", sha256="", runtime="none", demonstration=True),
                stride=1,
                tracker={},
            )
        )
    with pytest.raises(InputError, match=r"event 1: is not an event .*fps.*no frames to replay"):
        Playback(folder)
    assert exit_code_of(main, ["--source", f"replay:{folder}", "--headless"]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
@pytest.mark.usefixtures("open_umask")
def test_every_file_has_the_mode_of_the_log(tmp_path: Path) -> None:
    folder = new_session(tmp_path)
    with SessionWriter(folder, START, RecordSettings()) as writer:
        for seq, pixels in enumerate(noise_images(3)):
            writer.frame(header(seq), pixels)
        writing = [path for path in folder.rglob("*") if path.is_file()]
        assert {stat.S_IMODE(path.stat().st_mode) for path in writing} == {0o600}
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert len(kept) > 10
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in kept} == {path.name: 0o600 for path in kept}
    cut_off = record(tmp_path)
    assert {stat.S_IMODE(path.stat().st_mode) for path in write_tables(cut_off)} == {0o600}


Events = list[dict[str, Any]]
MOST = (1 << 63) - 1


def written_anew(folder: Path, events: Events) -> None:
    """The log as somebody writes it who can compute a chain as well."""
    chain, lines = FIRST_CHAIN, []
    for event in events:
        body = json.dumps(event)[:-1].encode()
        chain = chained(chain, body)
        lines.append(body + b',"chain":"' + chain.encode() + b'"}\n')
    (folder / LOG).write_bytes(b"".join(lines))


def events_of(folder: Path) -> Events:
    events = [json.loads(line) for line in (folder / LOG).read_bytes().splitlines()]
    for event in events:
        del event["chain"]
    return events


def of_kind(events: Events, kind: str) -> dict[str, Any]:
    return next(event for event in events if event["kind"] == kind)


def header_of(events: Events, kind: str) -> dict[str, Any]:
    header: dict[str, Any] = of_kind(events, kind)["data"]["header"]
    return header


ABSURD: dict[str, Callable[[Events], object]] = {
    "a first time without end": lambda events: events[0].update(t_ns=math.inf),
    "a last time without end": lambda events: events[-1].update(t_ns=math.inf),
    "a first time of 400 digits": lambda events: events[0].update(t_ns=10**400),
    "a last time of 400 digits": lambda events: events[-1].update(t_ns=10**400),
    "a last time before all times": lambda events: events[-1].update(t_ns=-(10**20)),
    "begun before the calendar": lambda events: events[0]["data"].update(started_utc="0001-01-01T00:00:00+14:00"),
    "begun at the calendar's end": lambda events: events[0]["data"].update(started_utc="9999-12-31T23:59:59-12:00"),
    "a window of no frames": lambda events: header_of(events, "windows")["windows"][0].update(frame_seqs=[]),
    "a window of no times": lambda events: header_of(events, "windows")["windows"][0].update(t_source_ns=[]),
    "the last number there is": lambda events: header_of(events, "frame").update(seq=MOST),
    "a name that leads elsewhere": lambda events: events[0]["data"].update(session="../../elsewhere"),
    "a stride of 400 digits": lambda events: of_kind(events, "opened")["data"].update(stride=10**400),
    "counts of 400 digits": lambda events: events[-1]["data"]["counters"].update(sperm=10**400),
    "more than all of a grade": lambda events: header_of(events, "grades")["grades"][0].update(
        grade=[-5.0, 6.0, 0.0, 0.0, 0.0]
    ),
    "a line that says a megabyte": lambda events: events[5].update(n="\x1b[31m" * 100_000),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_graded(tmp_path_factory.mktemp("sound"))


@pytest.mark.parametrize("case", ABSURD)
def test_absurd_events_are_said_and_end_no_command(
    tmp_path: Path, sound: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sessions" / sound.name
    shutil.copytree(sound, folder)
    events = events_of(folder)
    ABSURD[case](events)
    written_anew(folder, events)
    assert exit_code_of(main, ["sessions", "--session", str(folder.parent)]) == 0
    exit_code_of(main, ["sessions", "show", str(folder)])
    assert sound.name in capsys.readouterr().out
    assert exit_code_of(main, ["verify", str(folder)]) == 1
    exit_code_of(main, ["export", str(folder), "--to", "csv", "--out", str(tmp_path / "csv")])
    said = capsys.readouterr()
    assert LOG in said.out + said.err
    assert max(map(len, (said.out + said.err).splitlines())) < 3000


@pytest.mark.parametrize("cut", [False, True])
def test_a_log_that_is_not_the_one_that_was_closed_is_said_by_every_reader(
    tmp_path: Path, sound: Path, cut: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / sound.name))
    events = events_of(folder)
    header_of(events, "grades")["grades"][0].update(grade=[1.0, 0.0, 0.0, 0.0, 0.0])
    written_anew(folder, events[:-1] if cut else events)
    expected = "is missing: session.json holds event" if cut else "its chain value is not the one that session.json"
    for command in (["sessions", "show", str(folder)], ["verify", str(folder)]):
        exit_code_of(main, command)
        assert expected in capsys.readouterr().out
    story = read_story(folder)
    assert any(expected in line for line in story.damage)
    assert not Session(sound).damage
    assert not read_story(sound).damage


@POSIX
def test_links_in_a_session_lead_no_writer_out_of_it(
    tmp_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "one line").write_text("kept without a line's end")
    folder = Path(shutil.copytree(sound, tmp_path / sound.name))
    (folder / ANNOTATIONS).symlink_to(outside / "one line")
    assert exit_code_of(main, ["sessions", "note", str(folder), "a remark"]) == 2
    (folder / TABLES).mkdir(exist_ok=True)
    (folder / TABLES / ".grades.csv.remade").symlink_to(outside / "one line")
    assert exit_code_of(main, ["tables", str(folder)]) == 0
    shutil.rmtree(folder / TABLES)
    (folder / TABLES).symlink_to(outside)
    assert exit_code_of(main, ["tables", str(folder)]) == 2
    assert "it is a link, not a folder" in capsys.readouterr().err
    assert [path.name for path in outside.iterdir()] == ["one line"]
    assert (outside / "one line").read_text() == "kept without a line's end"


DIGITS = b"9" * 5000
UNREADABLE_LINES: dict[str, Callable[[Path], object]] = {
    "a number of a sperm of 5000 digits": lambda folder: append(folder, b'"sperm_id":' + DIGITS),
    "a time of a frame of 5000 digits": lambda folder: append(folder, b'"kind":"frame","t_source_ns":' + DIGITS),
    "a time of a frame of 400 digits": lambda folder: append(folder, b'"kind":"frame","t_source_ns":' + DIGITS[:400]),
}


def append(folder: Path, line: bytes) -> None:
    with (folder / LOG).open("ab") as file:
        file.write(line + b"\n")


def cut_off(folder: Path) -> None:
    """As after a kill, long ago: the log has no end, so that its marks are counted by its bytes."""
    log = folder / LOG
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    os.utime(log, (1e9, 1e9))


@pytest.mark.parametrize("case", UNREADABLE_LINES)
def test_absurd_numbers_in_a_log_that_is_searched_hide_no_session(
    tmp_path: Path, sound: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "sessions" / sound.name))
    shutil.copytree(sound, folder.parent / "another")
    cut_off(folder)
    UNREADABLE_LINES[case](folder)
    os.utime(folder / LOG, (1e9, 1e9))
    assert exit_code_of(main, ["sessions", "--session", str(folder.parent)]) == 0
    said = capsys.readouterr().out
    assert "another" in said
    assert f"{sound.name}  2026-01-01" in said
    assert describe(folder).sperm == 3
    assert exit_code_of(main, ["sessions", "show", str(folder)]) == 0
    assert recorded_length_s(folder) >= 0


def test_a_session_that_cannot_be_counted_is_a_row(
    tmp_path: Path, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / sound.name))
    cut_off(folder)

    def fail(_log: Path) -> dict[str, int]:
        raise ValueError("Exceeds the limit (4300 digits)")

    monkeypatch.setattr(station.archive.catalogue, "count", fail)
    (entry,) = catalogue(tmp_path)
    assert entry.ended == "unreadable"


def test_a_mark_of_a_sperm_of_5000_digits_is_none(tmp_path: Path, sound: Path) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / sound.name))
    events = events_of(folder)
    of_kind(events, "action")["data"]["action"]["details"] = f"sperm {DIGITS.decode()} marked as chosen"
    written_anew(folder, events)
    assert choices(read_story(folder)) == []
    out = str(tmp_path / "csv")
    assert exit_code_of(main, ["export", str(folder), "--to", "csv", "--out", out]) == 0


def test_many_damaged_lines_are_said_up_to_a_hundred_and_counted(
    tmp_path: Path, sound: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / sound.name))
    with (folder / LOG).open("ab") as file:
        file.write(b"x\n" * 50_000)
    session = Session(folder)
    for _ in range(2):
        list(session.events())
    assert len(session.damage) == MOST_DAMAGE + 1
    assert session.damage[-1] == f"{LOG}: and {50_000 - MOST_DAMAGE} more events that are not as they were recorded"
    found = verify_session(folder)
    assert MOST_DAMAGE <= len(found.breaks) < MOST_DAMAGE + 5
    assert found.more_faults == 50_000 - MOST_DAMAGE
    assert "and 49999 more places" in report(found, Annotations())
    (folder / ANNOTATIONS).write_bytes(b"x\n" * 50_000)
    assert len(read_annotations(folder, sound.name).faults) == MOST_DAMAGE + 1
    assert exit_code_of(main, ["sessions", "show", str(folder)]) == 0
    assert len(capsys.readouterr().out.splitlines()) < 2 * MOST_DAMAGE + 30


@pytest.mark.timeout(60)
@pytest.mark.parametrize("grid", [1025, 10**7, 1 << 62])
def test_more_patches_than_a_clip_has_are_no_model(tmp_path: Path, sound: Path, grid: int) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / sound.name))
    events = events_of(folder)
    of_kind(events, "opened")["data"]["model"]["patch_grid"] = grid
    written_anew(folder, events)
    assert exit_code_of(main, ["report", str(folder), "--out", str(tmp_path / "r.html")]) == 2
    assert any("patch_grid" in line for line in Session(folder).damage)


VERDICT = "COMPLETE, INTACT  as it was recorded"
FORGED: dict[str, Callable[[Events], object]] = {
    "the number of an event": lambda events: events[5].update(n=f"\n{VERDICT}\n"),
    "half of a letter": lambda events: events[5].update(n="\ud800"),
    "the name of a field": lambda events: events[5]["data"].update({f"\n{VERDICT}\n": 1}),
    "a label": lambda events: events[0]["data"]["config"].update(label=f"\n{VERDICT}\n"),
    "a mark": lambda events: of_kind(events, "action")["data"]["action"].update(details=f"x\n{VERDICT}\n"),
    "the source": lambda events: of_kind(events, "opened")["data"]["source"].update(name=f"\n{VERDICT}\n"),
    "the program": lambda events: events[0]["data"].update(program=f"\x1b\n{VERDICT}\n"),
}


@pytest.mark.parametrize("case", FORGED)
def test_no_value_in_a_log_passes_for_a_line_of_the_program(
    tmp_path: Path, sound: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "sessions" / sound.name))
    events = events_of(folder)
    FORGED[case](events)
    written_anew(folder, events)
    exit_code_of(main, ["sessions", "--session", str(folder.parent)])
    exit_code_of(main, ["sessions", "show", str(folder)])
    assert exit_code_of(main, ["verify", str(folder)]) == 1
    for to in ("csv", "napari"):
        out = tmp_path / to
        assert exit_code_of(main, ["export", str(folder), "--to", to, "--out", str(out)]) == 0
        assert json.loads((out / "export.json").read_text(encoding="utf-8"))["session"] == sound.name
    assert exit_code_of(main, ["export", str(folder), "--to", "trackmate", "--out", str(tmp_path / "xml")]) == 0
    assert VERDICT not in (ElementTree.parse(tmp_path / "xml" / "trackmate.xml").findtext("Log") or "").splitlines()
    said = capsys.readouterr()
    assert not any(line.startswith(VERDICT) for line in (said.out + said.err).splitlines())
