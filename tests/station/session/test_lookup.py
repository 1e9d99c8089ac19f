"""A session is named by its folder or its id, in every command."""

from pathlib import Path

import pytest

from run_station import main
from station.command_line import exit_code_of
from station.errors import InputError
from station.options import parse_comparison, parse_options
from station.session.lookup import find_session
from tests.support.recorded_session import record


@pytest.fixture
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data" / "rostfine-station" / "sessions"


def named(sessions: Path, name: str) -> Path:
    return record(sessions).rename(sessions / name)


def test_an_id_its_digits_or_a_path_lead_to_the_session(sessions: Path, tmp_path: Path) -> None:
    first = named(sessions, "20260101T100000Z-abcd")
    second = named(sessions, "20260102T100000Z-ef01")
    assert find_session("20260101T100000Z-abcd") == first
    assert find_session("abcd") == first
    assert find_session("20260102") == second
    assert find_session(str(first)) == first
    first.rename(tmp_path / first.name)
    assert find_session(first.name) == Path(first.name), "a folder at hand comes first"


def test_a_word_that_fits_several_or_none_is_one_line(sessions: Path) -> None:
    for day in range(1, 6):
        named(sessions, f"2026010{day}T100000Z-abcd")
    with pytest.raises(InputError, match=r"5 sessions in .* fit: 20260105T100000Z-abcd, 2026.*, \.\.\.; give more"):
        find_session("abcd")
    with pytest.raises(InputError, match=r"no session of that id in .*newest there: 20260105T100000Z-abcd"):
        find_session("2027")
    with pytest.raises(InputError, match="no session of that id"):
        find_session("abc")


def test_every_command_takes_an_id(sessions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = named(tmp_path / "other", "20260101T100000Z-abcd")
    for argv in (["verify", "abcd", "--session", "other"], ["tables", "abcd", "--session", str(tmp_path / "other")]):
        assert exit_code_of(main, argv) == 0, capsys.readouterr().err
    assert (folder / "tables" / "frames.csv").is_file()
    here = named(sessions, "20260103T100000Z-0123")
    for options, argv in (
        (parse_options, ["--source", "replay:0123"]),
        (parse_comparison, ["0123", "--model", "models/demo"]),
    ):
        with pytest.raises(InputError, match=rf"{here}.*configuration is incomplete"):
            options(argv)
