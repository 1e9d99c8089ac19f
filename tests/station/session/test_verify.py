"""Every kind of change to a session is found, and named by its file and event."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from run_station import main
from station.command_line import exit_code_of
from station.session.layout import LOG, MANIFEST, SessionOutcome, SessionState, chunk_name
from station.session.records import ChunkRecord
from station.session.session_reader import Session
from station.session.verify import verify_session
from tests.support.recorded_session import flip, record

EVENTS = 19
"""Start, opened, 12 frames, 3 chunks, action, end."""


def cut_log(folder: Path, events: int) -> None:
    log = folder / LOG
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:events]))


def edit_line(folder: Path, n: int, old: bytes, new: bytes) -> None:
    lines = (folder / LOG).read_bytes().splitlines(keepends=True)
    assert old in lines[n]
    lines[n] = lines[n].replace(old, new)
    (folder / LOG).write_bytes(b"".join(lines))


def edit_manifest(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))


def as_recording(folder: Path, **changes: object) -> None:
    edit_manifest(folder, **{"state": SessionState.RECORDING, "head": None} | changes)


def test_a_complete_session_is_intact(tmp_path: Path) -> None:
    found = verify_session(record(tmp_path))
    assert (found.breaks, found.outcome, found.events, found.frames) == ([], SessionOutcome.COMPLETE, EVENTS, 12)


def torn(folder: Path) -> None:
    as_recording(folder)
    log = folder / LOG
    log.write_bytes(log.read_bytes()[:-300])


def before_a_chunk_was_stated(folder: Path) -> None:
    as_recording(folder)
    cut_log(folder, 6)


def with_the_next_chunk_just_begun(folder: Path) -> None:
    before_a_chunk_was_stated(folder)
    for number in (1, 2):
        (folder / chunk_name(number)).unlink()
    (folder / chunk_name(1)).write_bytes(b"")


def video_shorter_than_frames_named(folder: Path) -> None:
    """As a power failure leaves it: the log was on the disk, the video after the last chunk event was not."""
    as_recording(folder)
    cut_log(folder, EVENTS - 4)
    chunk = folder / chunk_name(2)
    chunk.write_bytes(chunk.read_bytes()[:900])


CUT_OFF: dict[str, Callable[[Path], None]] = {
    "torn in its last line": torn,
    "the next chunk just begun": with_the_next_chunk_just_begun,
    "video behind the last chunk event lost": video_shorter_than_frames_named,
}


@pytest.mark.parametrize("name", CUT_OFF)
def test_a_session_that_was_cut_off_is_intact_as_far_as_it_goes(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = record(tmp_path)
    CUT_OFF[name](folder)
    found = verify_session(folder)
    assert (found.breaks, found.outcome) == ([], SessionOutcome.CUT_OFF)
    assert main(["verify", str(folder)]) == 0
    assert "CUT OFF, INTACT" in capsys.readouterr().out


BROKEN: dict[str, tuple[Callable[[Path], None], str, int]] = {
    "a byte of a line": (lambda folder: edit_line(folder, 4, b'"seq":2', b'"seq":3'), LOG, 4),
    "a chain value": (lambda folder: edit_line(folder, 4, b'"chain":"', b'"chaim":"'), LOG, 4),
    "a line less at the end": (lambda folder: cut_log(folder, EVENTS - 1), LOG, EVENTS - 1),
    "the end cut and the state kept": (
        lambda folder: (cut_log(folder, 10), as_recording(folder, state="complete"))[0],
        LOG,
        10,
    ),
    "another head": (lambda folder: as_recording(folder, head={"event": 3, "chain": "0" * 64}), LOG, 3),
    "the time in the manifest": (
        lambda folder: edit_manifest(folder, started_utc="2025-01-01T00:00:00Z"),
        MANIFEST,
        0,
    ),
    "the manifest": (lambda folder: (folder / MANIFEST).write_text("{}") and None, MANIFEST, 0),
    "the first line": (lambda folder: edit_line(folder, 0, b"noise" if False else b"test", b"best"), LOG, 0),
    "a chunk shorter": (lambda folder: flip_size(folder / chunk_name(0), -1), chunk_name(0), 7),
    "a chunk longer": (lambda folder: flip_size(folder / chunk_name(0), 1), chunk_name(0), 7),
    "a chunk gone": (lambda folder: (folder / chunk_name(1)).unlink(), chunk_name(1), 13),
    "a chunk more": (lambda folder: (folder / chunk_name(7)).write_bytes(b"x") and None, chunk_name(7), EVENTS),
}


def flip_size(path: Path, by: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:by] if by < 0 else content + bytes(by))


@pytest.mark.parametrize("name", BROKEN)
def test_a_change_is_named_by_file_and_event(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    change, file, event = BROKEN[name]
    folder = record(tmp_path)
    change(folder)
    found = verify_session(folder)
    assert (found.breaks[0].file, found.breaks[0].event) == (file, event), found.breaks
    assert main(["verify", str(folder)]) == 1
    assert f"BROKEN  first at {file}, event {event}: " in capsys.readouterr().out


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.999])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_changed_byte_of_one_chunk_is_named(tmp_path: Path, number: int, share: float) -> None:
    folder = record(tmp_path)
    path = folder / chunk_name(number)
    flip(path, int(share * path.stat().st_size), 0x01)
    stated = [event.n for event in Session(folder).events() if isinstance(event.record, ChunkRecord)]
    found = verify_session(folder)
    assert [(place.file, place.event) for place in found.breaks] == [(chunk_name(number), stated[number])]
    assert "in frames" in found.breaks[0].what


def test_the_first_of_several_breaks_comes_first(tmp_path: Path) -> None:
    folder = record(tmp_path)
    flip(folder / chunk_name(2), 500)
    flip(folder / chunk_name(0), 500)
    edit_line(folder, 9, b'"seq":6', b'"seq":5')
    places = [(place.file, place.event) for place in verify_session(folder).breaks]
    assert places == [(chunk_name(0), 7), (LOG, 9), (chunk_name(2), 16)]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["verify"], "the following arguments are required: SESSION"),
        (["verify", "nowhere"], "no such folder"),
        (["verify", "x" * 300], "cannot be read"),
        (["--source", "replay:" + "x" * 300], "cannot be read"),
        (["--source", "replay:~nobody of that name/x"], "no such user"),
        (["verify", "."], "has no log.jsonl"),
        (["tables", "."], "has no log.jsonl"),
    ],
)
def test_bad_input_is_one_line(argv: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(main, argv) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
