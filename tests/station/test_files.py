"""Reading what somebody else put there: only files, only as large as they can be, without ever waiting."""

import ast
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from station.build_info import ROOT
from station.dashboard.summary import SummaryFile
from station.errors import InputError
from station.files import open_regular, read_bounded, read_json, require_regular, sha256_of, write_atomically


@pytest.fixture
def hidden_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def linked_pipe(folder: Path) -> Path:
    (folder / "link").symlink_to(pipe(folder))
    return folder / "link"


def unix_socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
    return folder / "s"


NO_FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "pipe": (pipe, "it is a pipe, not a file"),
    "link to a pipe": (linked_pipe, "it is a pipe, not a file"),
    "socket": (unix_socket, "it is a socket, not a file"),
    "endless device": (lambda _: Path("/dev/zero"), "it is a device, not a file"),
    "silent device": (lambda _: Path("/dev/tty"), "it is a device, not a file"),
    "folder": (lambda folder: folder, "Is a directory"),
    "nothing": (lambda folder: folder / "none", "No such file"),
}


def test_a_link_that_lies_where_a_file_is_being_written_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "folder"
    outside.write_text("somebody's")
    inside.mkdir()
    monkeypatch.setattr("secrets.token_hex", lambda _: "0")  # nobody can know it: this is how it would be if one did
    for name in (f".a.json.{os.getpid()}.partial", ".a.json.0.partial"):
        (inside / name).symlink_to(outside)
    with pytest.raises(FileExistsError):
        write_atomically(inside / "a.json", b"ours")
    write_atomically(inside / "a.json", b"ours")
    assert outside.read_text() == "somebody's"
    assert (inside / "a.json").read_bytes() == b"ours"


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
@pytest.mark.parametrize("case", NO_FILES)
def test_only_files_are_read(tmp_path: Path, case: str) -> None:
    make, expected = NO_FILES[case]
    path = make(tmp_path)
    for read in (open_regular, require_regular, sha256_of, read_json, lambda path: read_bounded(path, 10)):
        with pytest.raises(OSError, match=expected) as caught:
            read(path)
        assert caught.value.strerror in (expected, f"{expected} or directory")


def test_a_file_of_its_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    assert read_bounded(path, 10) == b"0123456789"
    with pytest.raises(OSError, match="larger than 0 KiB"):
        read_bounded(path, 9)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(600 << 20)  # a hole: it takes no room on the disk, and would take it in memory
    with pytest.raises(OSError, match="it is larger than 16 MiB, the most that is read"):
        read_json(path)
    with pytest.raises(OSError, match="it is larger than 1 MiB"):
        sha256_of(path, 1 << 20)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deeply_nested_json(tmp_path: Path, opening: str) -> None:
    path = tmp_path / "deep.json"
    path.write_text(opening * 100_000)
    with pytest.raises(ValueError, match="nested too deep"):
        read_json(path)


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
@pytest.mark.parametrize("make", [pipe, linked_pipe, unix_socket])
def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)
    before = sorted((entry.name, entry.lstat().st_mode) for entry in tmp_path.iterdir())
    with pytest.raises(OSError, match="not a file"):
        write_atomically(path, b"content")
    with pytest.raises(InputError, match=r"--summary .* cannot be written \(it is a .*, not a file\)"):
        SummaryFile(path)
    assert sorted((entry.name, entry.lstat().st_mode) for entry in tmp_path.iterdir()) == before


@pytest.mark.parametrize(("mode", "found"), [(0o666, 0o644), (0o600, 0o600)])
@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
@pytest.mark.usefixtures("hidden_umask")
def test_mode_of_a_written_file(tmp_path: Path, mode: int, found: int) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"content", mode)
    assert stat.S_IMODE(path.stat().st_mode) == found
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


OWN_FILES = {
    "station/build_info.py": "pyproject.toml of the program",
    "station/doctor/checks.py": "what the system says of itself",
    "station/machine.py": "what the system says of the processor",
    "station/processes/supervisor.py": "logs of the run's processes, in its private folder",
    "station/processes/starvation.py": "what the system says of a process",
    "station/processes/suspension.py": "what the system says of a process",
    "station/view/server.py": "the page",
    "trainer/rating/database.py": "the copy that it has just made",
    "trainer/rating/results.py": "what it has just written",
    "trainer/rating/server.py": "the page",
    "trainer/studies/workers.py": "what its own process has just said",
}
"""Modules that read files which nobody else can have made, and which."""


def reads_a_file(call: ast.Call) -> bool:
    """Return whether a call opens a file for reading without looking what it is."""
    called = ast.unparse(call.func)
    if called.split(".")[-1] in {"read_bytes", "read_text"} or called in {"np.load", "np.loadtxt", "json.load"}:
        return not (called == "np.loadtxt" and ast.unparse(call.args[0]) == "file")
    if called != "open" and not called.endswith(("path.open", ").open")):
        return False
    mode = next((part.value for part in call.args[called == "open" :][:1] if isinstance(part, ast.Constant)), "r")
    return "r" in str(mode)


@pytest.mark.parametrize("package", ["station", "capture", "tracker", "engine", "trainer"])
def test_files_of_others_are_read_in_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        if name in OWN_FILES or name == "station/files.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and reads_a_file(node):
                pytest.fail(f"{name}, line {node.lineno}: read it with station.files, which looks what it is")
