"""A full disk, a read-only one and a session of a later version: what remains of sessions is still found and said."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from run_station import main
from station.archive.catalogue import describe
from station.command_line import exit_code_of
from station.session.annotations import ANNOTATIONS, read_annotations
from station.session.layout import LOG
from tests.support.graded_session import record_graded
from tests.support.recorded_session import record


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("no disk can be mounted here (needs root on Linux)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = exit_code_of(main, words)
    return code, *capsys.readouterr()


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_full_disk(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = record_graded(disk)
    assert run(capsys, "sessions", "note", str(folder), "before")[0] == 0
    before = (folder / ANNOTATIONS).read_bytes()
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space"):
        fill(filler)
    long = "x" * 480
    codes = [run(capsys, "sessions", "note", str(folder), long) for _ in range(12)]
    assert codes[-1][0] == 2
    assert "free some space" in codes[-1][2]
    assert read_annotations(folder, folder.name).faults == ()
    assert (folder / ANNOTATIONS).read_bytes().startswith(before)
    for words in (("report", "--out", str(disk / "r.html")), ("export", "--to", "csv", "--out", str(disk / "x"))):
        code, _, error = run(capsys, words[0], str(folder), *words[1:])
        assert code == 2
        assert len(error.splitlines()) == 1
        assert "No space left on device" in error
    assert not (disk / "r.html").exists()
    assert not (disk / "x").exists()
    assert run(capsys, "sessions", "--session", str(disk))[0] == 0
    filler.unlink()
    assert run(capsys, "sessions", "note", str(folder), "after")[0] == 0
    assert read_annotations(folder, folder.name).written[-1].what.text == "after"
    assert run(capsys, "verify", str(folder))[0] == 0


def test_a_read_only_disk(disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = record_graded(disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    code, _, error = run(capsys, "sessions", "label", str(folder), "x")
    assert (code, "Read-only file system" in error, "make the folder writable" in error) == (2, True, True)
    code, _, error = run(capsys, "sessions", "remove", str(folder), "--yes")
    assert (code, "cannot be removed" in error) == (2, True)
    assert run(capsys, "sessions", "show", str(folder))[0] == 0
    assert run(capsys, "report", str(folder), "--out", str(tmp_path / "r.html"))[0] == 0
    assert run(capsys, "export", str(folder), "--to", "parquet", "--out", str(tmp_path / "x"))[0] == 0
    assert run(capsys, "verify", str(folder))[0] == 0


def test_a_session_of_a_later_version_is_listed_and_left_alone(tmp_path: Path, capsys) -> None:
    folder = record(tmp_path)
    log = folder / LOG
    log.write_bytes(log.read_bytes().replace(b'"format":1', b'"format":2', 1))
    assert describe(folder).ended == "unreadable"
    code, out, _ = run(capsys, "sessions", "--session", str(tmp_path))
    assert (code, "unreadable" in out) == (0, True)
    for words in (("sessions", "show"), ("report",)):
        code, _, error = run(capsys, *words, str(folder))
        assert (code, len(error.splitlines())) == (2, 1)
