"""The program with its recorder: what a session holds, and that no fault of the recorder ends a run."""

import contextlib
import csv
import json
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from station.session.records import (
    ActionRecord,
    FrameRecord,
    GradesRecord,
    KeepRecord,
    LossRecord,
    OpenedRecord,
    TracksRecord,
)
from station.session.session_reader import Session, SessionOutcome
from station.session.verify import verify_session
from tests.support.station_program import NOTICE, ROOT, SMALL, Station, image_folder, wait_for

KILLS = int(os.environ.get("KILLS", "3"))


def recorded(station: Station) -> Path:
    """The only session in the folder."""
    (session,) = (station.folder / "data" / "rostfine-station" / "sessions").iterdir()
    return session


def ask(command: str, session: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "run_station.py", command, str(session)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def settings(station: Station, text: str) -> tuple[str, str]:
    path = station.folder / "settings.toml"
    path.write_text(SMALL + text)
    return "--config", str(path)


@contextlib.contextmanager
def running(station: Station, *options: str) -> "Iterator[subprocess.Popen[str]]":
    """The program without a terminal, once frames flow, in its own process group."""
    with subprocess.Popen(
        station.command(*options, "--headless"), cwd=ROOT, env=station.environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith("record"):
            assert line, process.stderr and process.stderr.read()
        yield process


def test_offline_everything_is_in_the_record(station: Station) -> None:
    summary = station.summary(*station.small, "--speed", "max", "--duration", "3", "--select", "auto:2")
    session = Session(recorded(station))
    events = list(session.events())
    frames = [event.record for event in events if isinstance(event.record, FrameRecord)]
    assert summary["recording"] | {"chain": "", "folder": "", "size_bytes": 0} == {
        "folder": "", "mode": "all", "codec": "ffv1", "frames": 45, "lost": 0, "size_bytes": 0, "kept": 0,
        "stopped": "", "complete": True, "chain": "",
    }  # fmt: skip
    assert [frame.header.seq for frame in frames] == list(range(45))
    assert all(frame.pixels is not None for frame in session.frames())
    tracks = [event.record for event in events if isinstance(event.record, TracksRecord)]
    assert [record.header.frame_seq for record in tracks] == list(range(45))
    graded = [event.record.header for event in events if isinstance(event.record, GradesRecord)]
    grades = [grade for header in graded for grade in header.grades]
    assert len(grades) == summary["grades"] > 0
    opened = next(event.record for event in events if isinstance(event.record, OpenedRecord))
    places = {patch for grade in grades for frame in grade.patches or [] for patch in frame}
    assert {len(grade.patches or []) for grade in grades} == {16}
    assert opened.model.patch_grid is not None
    assert max(places) < opened.model.patch_grid**2
    followed = sum(len(record.header.tracks) for record in tracks)
    assert followed > 0
    assert not [event for event in events if isinstance(event.record, LossRecord)]
    assert (session.damage, session.outcome()) == ([], SessionOutcome.COMPLETE)
    assert events[-1].chain == summary["recording"]["chain"]
    done = ask("verify", session.folder)
    assert (done.returncode, "COMPLETE, INTACT" in done.stdout) == (0, True), done.stdout
    check_tables(session.folder / "tables", {"frames": 45, "tracks": followed, "grades": len(grades)})
    swimming = [track.kinematics for record in tracks for track in record.header.tracks if track.kinematics]
    assert len(swimming) == sum(len(record.header.tracks) for record in tracks if record.header.frame_seq % 8 == 0)
    assert any(found.motility and found.vcl_um_s and found.bcf_hz is None for found in swimming), "15 frames/s: no beat"
    table = pq.read_table(session.folder / "tables" / "kinematics.parquet").to_pydict()
    assert table["who_motility"] == [found.motility for found in swimming]
    assert table["vcl_um_s"] == [found.vcl_um_s for found in swimming]


def check_tables(folder: Path, rows: dict[str, int]) -> None:
    about = json.loads((folder / "about.json").read_text())
    assert about["notice"] == NOTICE
    assert about["um_per_px"] == 0.25
    began = datetime.fromisoformat(about["started_utc"]).replace(tzinfo=None)
    for name, count in rows.items():
        table = pq.read_table(folder / f"{name}.parquet")
        assert table.num_rows == count
        assert table.schema.metadata[b"notice"].decode() == NOTICE
        with (folder / f"{name}.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        assert len(lines) == count
        for column in table.column_names:
            values = table.column(column).to_pylist()
            kind = type(values[0])
            written = [kind(line[column]) if line[column] else None for line in lines]
            assert written == [None if value == "" else value for value in values]
        plain = pyarrow.csv.read_csv(folder / f"{name}.csv")  # with no options
        assert plain.column_names == table.column_names
        for t_s, wall in zip(plain["t_s"].to_pylist(), plain["time_utc"].to_pylist(), strict=True):
            assert abs((wall - began).total_seconds() - t_s) < 0.002
        if "x_um" in plain.column_names:
            np.testing.assert_allclose(plain["x_um"].to_numpy(), 0.25 * plain["x_px"].to_numpy(), atol=1e-4)


def test_live_frames_are_all_recorded_and_what_is_missing_is_counted(station: Station) -> None:
    summary = station.summary(*station.small, "--duration", "3")
    recording = summary["recording"]
    assert recording["complete"]
    assert recording["frames"] + recording["lost"] == summary["frames"]["captured"]
    assert summary["frames"]["captured"] + summary["frames"]["left_out"] == 45
    assert verify_session(recorded(station)).intact


def test_no_record_leaves_nothing(station: Station) -> None:
    summary = station.summary(*station.small, "--duration", "1", "--no-record")
    assert summary["recording"] is None
    assert not (station.folder / "data").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 12 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    linux = sys.platform == "linux" and shutil.which("mount") is not None
    if not linux or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


FULL = {
    "reserve reached": ("reserve_mb = 6", "the disk is almost full"),
    "no room at all": ("reserve_mb = 0", "cannot write to the disk: No space left on device"),
    "limit of the session": ("reserve_mb = 0\nmax_session_mb = 4", "the session has reached"),
}


@pytest.mark.parametrize("name", FULL)
def test_a_full_disk_stops_recording_and_nothing_else(station: Station, small_disk: Path, name: str) -> None:
    text, expected = FULL[name]
    path = station.folder / "summary.json"
    options = (*settings(station, f'[record]\ncodec = "raw"\n{text}\n'), "--session", str(small_disk))
    done = station.run(*options, "--duration", "6", "--select", "auto:1", "--summary", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert " ".join(done.stdout.split()).count(f"RECORDING STOPPED: {expected}") == 2
    summary = json.loads(path.read_text())
    assert summary["frames"]["captured"] + summary["frames"]["left_out"] == 90, "tracking went on"
    (folder,) = small_disk.iterdir()
    found = verify_session(folder)
    assert (found.intact, found.outcome) == (True, SessionOutcome.STOPPED), found.breaks
    assert found.frames == summary["recording"]["frames"]
    assert all(frame.pixels is not None for frame in Session(folder).frames())


def test_k_keeps_the_last_seconds_and_nothing_else(station: Station) -> None:
    """On a real terminal; frames are recorded with the key, numbers always."""
    options = settings(station, "[record]\npre_trigger_s = 1.0\n")
    command = station.command(*options, "--select", "auto:1", "--record", "keep")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(command[0], command, station.environment | {"COLUMNS": "120", "LINES": "40"})
    seen = bytearray()

    def read() -> bytes:
        with contextlib.suppress(OSError):
            seen.extend(os.read(terminal, 1 << 16))
        return bytes(seen)

    os.set_blocking(terminal, False)
    wait_for(lambda: b"kept frames only" in read())
    wait_for(lambda: b"locked" in read())
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline:
        read()
        time.sleep(0.02)
    os.write(terminal, b"k")
    wait_for(lambda: b"kept 1" in read())
    os.write(terminal, b"qq")  # it asks while recording
    wait_for(lambda: read() and os.waitpid(pid, os.WNOHANG) != (0, 0))
    os.close(terminal)
    session = Session(recorded(station))
    events = list(session.events())
    (keep,) = (event.record for event in events if isinstance(event.record, KeepRecord))
    frames = [frame for frame in session.frames() if frame.pixels is not None]
    assert [frame.record.header.seq for frame in frames] == list(range(keep.first_seq, keep.last_seq + 1))
    assert len(frames) == keep.frames
    assert 0.8 < keep.seconds < 2.2, "whole pieces of half a second"
    assert [event.record.action.name for event in events if isinstance(event.record, ActionRecord)][:2] == [
        "keep",
        "key q",
    ]
    assert len([event for event in events if isinstance(event.record, TracksRecord)]) > keep.frames
    found = verify_session(session.folder)
    assert (found.intact, found.outcome) == (True, SessionOutcome.COMPLETE), found.breaks


@pytest.mark.parametrize("moment", range(KILLS))
def test_killed_at_a_random_moment_a_session_is_intact_to_its_last_second(station: Station, moment: int) -> None:
    with running(station, *settings(station, "[record]\nchunk_s = 2\n"), "--select", "auto:2") as process:
        time.sleep(random.Random(moment).uniform(0.3, 5.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    session = Session(recorded(station))
    found = verify_session(session.folder)
    assert found.intact, found.breaks
    assert found.outcome is SessionOutcome.CUT_OFF
    assert found.duration_s - found.proved_s < 2.0, "one second, and what a busy machine adds"
    frames = list(session.frames())
    assert all(frame.pixels is not None for frame in frames), session.damage
    assert [frame.record.header.seq for frame in frames] == list(range(len(frames)))
    done = ask("verify", session.folder)
    assert (done.returncode, "CUT OFF, INTACT" in done.stdout) == (0, True), done.stdout
    done = ask("tables", session.folder)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(session.folder / "tables" / "frames.parquet").num_rows == len(frames)
    shutil.rmtree(station.temporary)  # the killed run could not
    station.temporary.mkdir()


def test_names_in_a_path_do_not_get_into_the_record(station: Station, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "Anna_Meier", *[(320, 240)] * 5)
    (folder / "4.png").rename(folder / "Meier_Anna.png")
    (folder / "Meier_Anna.png").write_bytes(b"not a picture: its name comes up in a notice")
    summary = station.summary("--source", str(folder), "--session", str(tmp_path / "sessions"))
    assert any("Meier" in caution for caution in summary["cautions"]), "on screen the user's own name stands"
    (session,) = (tmp_path / "sessions").iterdir()
    for path in session.rglob("*"):
        assert "Meier" not in path.name
        assert not path.is_file() or b"Meier" not in path.read_bytes(), path
    assert b"folder-" in (session / "log.jsonl").read_bytes()
