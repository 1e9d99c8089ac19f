"""The program keeps as many sperm as it was asked for, offline as live, and a replay follows."""

from pathlib import Path

from station.session.records import TracksRecord
from station.session.session_reader import Session
from station.transport.messages import CommandName
from tests.support.station_program import Station

SMALL_FIELD = "[simulated]\nwidth = 480\nheight = 360\nsperm = 12\ndebris = 10\nseed = 3\n"


def test_lost_sperm_are_replaced_and_a_replay_is_the_same(station: Station, tmp_path: Path) -> None:
    config = tmp_path / "field.toml"
    config.write_text(SMALL_FIELD)
    options = ("--config", str(config), "--select", "auto:2", "--speed", "max", "--duration", "25")
    summary = station.summary(*options, "--session", str(tmp_path / "sessions"))
    assert len(summary["sperm"]) > 2, "nobody left the field"
    (folder,) = (tmp_path / "sessions").iterdir()
    done = [
        (header.frame_seq, command.name)
        for event in Session(folder).events()
        if isinstance(event.record, TracksRecord)
        for header in (event.record.header,)
        for command in header.applied_commands
    ]
    assert done[0] == (0, CommandName.SELECT_AUTO)
    assert {name for seq, name in done if seq} == {CommandName.RELEASE, CommandName.SELECT_AUTO}
    again = station.summary("--source", f"replay:{folder}", "--speed", "max")
    assert again["grades_sha256"] == summary["grades_sha256"]
    assert again["replay"]["tracks_differ"] == again["replay"]["grades_differ"] == 0
