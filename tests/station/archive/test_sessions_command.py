"""Recorded sessions are listed, labelled, shown and removed by the command that people type."""

import io
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from station.archive.catalogue import catalogue, lasts_s
from station.archive.record_commands import verify
from station.archive.sessions_command import sessions
from station.errors import InputError, SessionError
from station.session.annotations import ANNOTATIONS, Note, annotate, read_annotations
from station.session.layout import LOG
from station.session.lookup import find_session
from station.session.session_reader import Session
from tests.support.recorded_session import NOTICE, record


class Answer(io.StringIO):
    """A terminal at which somebody types."""

    def isatty(self) -> bool:
        return True


def listed(capsys: pytest.CaptureFixture[str], parent: Path, *words: str) -> str:
    assert sessions([*words, "--session", str(parent)]) == 0
    return capsys.readouterr().out


def aged(folder: Path) -> Path:
    """A session that nobody writes to any more."""
    os.utime(folder / LOG, (time.time() - 3600,) * 2)
    return folder


def cut_off(folder: Path) -> Path:
    """As after a kill: the log ends in the middle of a line."""
    log = folder / LOG
    content = log.read_bytes()
    log.write_bytes(content[: content[:-1].rfind(b"\n") - 30])
    return aged(folder)


def test_a_session_of_before_the_counts_is_counted_and_a_later_label_wins(tmp_path: Path, capsys) -> None:
    folder = record(tmp_path)
    before = (folder / LOG).read_bytes()
    assert "? " not in listed(capsys, tmp_path)
    said = listed(capsys, tmp_path, "label", folder.name[:15], "first one")
    assert 'labelled "first one"' in said
    listed(capsys, tmp_path, "label", folder.name, "second \x1b[31m one")
    listed(capsys, tmp_path, "note", folder.name[-4:], "the stage was moved")
    (row,) = [line for line in listed(capsys, tmp_path).splitlines() if line.startswith(folder.name)]
    assert row.endswith("second ?[31m one")
    assert "whole" in row
    shown = listed(capsys, tmp_path, "show", folder.name)
    assert all(text in shown for text in ("first one", "second", "the stage was moved", NOTICE))
    assert (folder / LOG).read_bytes() == before, "the record itself never changes"
    assert verify([str(folder)]) == 0
    assert (folder / ANNOTATIONS).stat().st_mode & 0o777 == 0o600


def test_annotations_are_chained_bound_to_their_session_and_survive_a_torn_line(tmp_path: Path) -> None:
    one, other = record(tmp_path / "a"), record(tmp_path / "b")
    for text in ("first", "second", "third"):
        annotate(one, Note(session=one.name, text=text))
    file = one / ANNOTATIONS
    file.write_bytes(file.read_bytes() + b'{"n":3,"t_ns":12')
    assert read_annotations(one, one.name).faults == ()
    annotate(one, Note(session=one.name, text="fourth"))
    assert [w.what.text for w in read_annotations(one, one.name).written] == ["first", "second", "third", "fourth"]
    shutil.copy(file, other / ANNOTATIONS)
    assert len(read_annotations(other, other.name).faults) == 4
    file.write_bytes(file.read_bytes().replace(b"second", b"sekond"))
    assert any("line 1" in fault for fault in read_annotations(one, one.name).faults)
    with pytest.raises(SessionError, match="damaged"):
        annotate(one, Note(session=one.name, text="fifth"))


def test_what_was_changed_in_the_annotations_is_named_by_verify(tmp_path: Path, capsys) -> None:
    folder = record(tmp_path)
    annotate(folder, Note(session=folder.name, text="as it was"))
    assert verify([str(folder)]) == 0
    assert "1 later" in capsys.readouterr().out
    file = folder / ANNOTATIONS
    file.write_bytes(file.read_bytes().replace(b"as it was", b"as it is!"))
    assert verify([str(folder)]) == 1
    assert f"{ANNOTATIONS}, line 0" in capsys.readouterr().out


def test_cut_off_old_and_unreadable_sessions_are_in_the_list_for_what_they_are(tmp_path: Path, capsys) -> None:
    cut = cut_off(record(tmp_path))
    torn = aged(record(tmp_path))
    (torn / LOG).write_bytes(b"\0" * 100)
    aged(torn)
    running = record(tmp_path)
    cut_off(running)
    os.utime(running / LOG)
    text = listed(capsys, tmp_path)
    rows = {line.split()[0]: line for line in text.splitlines()}
    assert "cut off" in rows[cut.name]
    assert "unreadable" in rows[torn.name]
    assert "recording" in rows[running.name]
    assert "3 sessions" in text
    with pytest.raises(SessionError, match="being recorded"):
        sessions(["remove", running.name, "--yes", "--session", str(tmp_path)])


def test_removing_says_what_is_lost_and_asks(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = record(tmp_path)
    (folder / "my-report.html").write_text("x")
    with pytest.raises(SessionError, match="is not a recorded session"):
        sessions(["remove", str(tmp_path), "--yes"])
    with pytest.raises(Exception, match="--yes"):
        sessions(["remove", folder.name, "--session", str(tmp_path)])
    assert folder.is_dir()
    monkeypatch.setattr("sys.stdin", Answer("no\n"))
    assert sessions(["remove", folder.name, "--session", str(tmp_path)]) == 1
    assert folder.is_dir()
    assert "nothing was removed" in capsys.readouterr().out
    said = listed(capsys, tmp_path, "remove", folder.name[-4:], "--yes")
    assert "1 other file" in said
    assert "lost for good" in said
    assert not folder.exists()


def test_what_could_not_be_removed_is_listed_and_can_be_removed(tmp_path: Path, capsys, monkeypatch) -> None:
    folder = record(tmp_path)

    def stuck(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(Path(path) / "video"))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", stuck)
        with pytest.raises(SessionError, match=rf"removed in part.*sessions remove .*\.removing-{folder.name}`"):
            sessions(["remove", folder.name, "--yes", "--session", str(tmp_path)])
    rest = tmp_path / f".removing-{folder.name}"
    assert (rest / "video").is_dir()
    assert catalogue(tmp_path) == []
    said = listed(capsys, tmp_path)
    assert rest.name in said
    assert f"`sessions remove {folder.name}`" in said
    said = listed(capsys, tmp_path, "remove", folder.name, "--yes")
    assert "what is left of a session" in said
    assert list(tmp_path.iterdir()) == []


def test_a_session_whose_log_cannot_be_removed_stays_as_it_was(tmp_path: Path, monkeypatch) -> None:
    folder = record(tmp_path)

    def stuck(self: Path, **_options: bool) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stuck)
        with pytest.raises(SessionError, match="is as it was"):
            sessions(["remove", str(folder), "--yes"])
    assert [entry.folder for entry in catalogue(tmp_path)] == [folder]


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    folder = record(tmp_path)
    (folder / ANNOTATIONS).mkdir()
    with pytest.raises(SessionError, match="make the folder writable"):
        sessions(["note", str(folder), "x"])


def test_a_list_of_what_holds_no_sessions_says_what_was_given(tmp_path: Path) -> None:
    folder = record(tmp_path)
    for given, what in (
        (folder / LOG, "a file, not a folder"),
        (tmp_path / "nowhere", "no such folder"),
        (folder, "itself a session"),
    ):
        with pytest.raises(InputError, match=what):
            sessions(["--session", str(given)])


def test_two_hundred_sessions_are_listed_in_under_a_second(tmp_path: Path) -> None:
    first = record(tmp_path)
    for number in range(199):
        shutil.copytree(first, tmp_path / f"20260101T{number:06}Z-{number:04x}")
    annotate(tmp_path / "20260101T000007Z-0007", Note(session=first.name, text="x"))
    start_s = time.process_time()
    entries = catalogue(tmp_path)
    assert len(entries) == 200
    assert time.process_time() - start_s < 1.0, "of the processor: a busy machine does not count"
    assert all(entry.marks == 0 and entry.outcome == "complete" for entry in entries)


def test_how_long_the_disk_lasts_is_reckoned_from_the_newest(tmp_path: Path) -> None:
    assert lasts_s([], tmp_path, 0) is None
    assert lasts_s(catalogue(tmp_path), tmp_path / "not there", 0) is None


def test_an_id_means_one_session_or_none(tmp_path: Path) -> None:
    folder = record(tmp_path)
    assert find_session(folder.name[:12], str(tmp_path)) == folder
    shutil.copytree(folder, tmp_path / f"{folder.name[:15]}Z-zzzz")
    with pytest.raises(Exception, match="2 sessions"):
        sessions(["show", folder.name[:12], "--session", str(tmp_path)])


def test_counts_stand_in_the_last_event_of_a_session() -> None:
    from station.session.session_writer import SessionCounters

    assert {"sperm", "marks", "notes"} <= set(SessionCounters.__dataclass_fields__)


def test_the_start_event_keeps_the_label(tmp_path: Path) -> None:
    from station.archive.catalogue import describe, recorded_label
    from station.options import parse_options

    config = parse_options(["--label", "morning\x1b[31m series"]).config
    assert config.label == "morning?[31m series"
    folder = record(tmp_path, config={"label": config.label})
    assert recorded_label(Session(folder).start) == describe(folder).label == config.label
    assert json.loads((folder / LOG).read_bytes().split(b"\n")[0])["data"]["config"]["label"] == config.label


@pytest.mark.parametrize("named", [".", "video/..", "../{name}"])
def test_a_session_is_removed_from_inside_its_own_folder(
    tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    folder = aged(record(tmp_path))
    monkeypatch.chdir(folder)
    assert sessions(["remove", named.format(name=folder.name), str(folder), "--yes"]) == 0
    assert f"removed {folder.name}" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
