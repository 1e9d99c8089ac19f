"""Recorded sessions replayed by the whole program: the same tracks and grades, bit for bit; cut-off and broken ones."""

import csv
import fcntl
import itertools
import json
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from station.session.records import FrameRecord, GradesRecord, TracksRecord, WindowsRecord
from station.session.session_reader import Session
from station.transport.messages import CommandName
from tests.support.station_program import ROOT, SMALL, Station, wait_for

KILLS = int(os.environ.get("TEST_KILLS", "1"))
FPS, SPERM, SECONDS = 5, 30, 8.0
"""Of the live run: few frames, so that a busy machine tracks nearly all; more windows than it can grade."""


def take_terminal() -> None:
    """Make standard input this process's controlling terminal, as a shell does: keys are read only from that."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def only_session(parent: Path) -> Path:
    (folder,) = parent.iterdir()
    return folder


def replay(station: Station, session: Path, *options: str) -> dict[str, Any]:
    """Replay a session; return the summary. Nothing may be written to the session."""
    before = {path: path.stat().st_mtime_ns for path in session.rglob("*")}
    summary = station.summary("--source", f"replay:{session}", *options)
    assert {path: path.stat().st_mtime_ns for path in session.rglob("*")} == before
    return summary


def assert_the_same(recorded: dict[str, Any], replayed: dict[str, Any], session: Path) -> None:
    """Everything published then came out again, to the last bit, and nothing else."""
    found = replayed["replay"]
    events = [event.record for event in Session(session).events()]
    tracks = sum(isinstance(record, TracksRecord) for record in events)
    grades = sum(len(record.header.grades) for record in events if isinstance(record, GradesRecord))
    assert tracks > 0
    assert grades > 0
    assert (found["tracks_as_recorded"], found["tracks_differ"]) == (tracks, 0)
    assert (found["grades_as_recorded"], found["grades_differ"], found["windows_missing"]) == (grades, 0, 0)
    keys = ("frames", "grades", "grades_sha256")
    assert {key: replayed[key] for key in keys} == {key: recorded[key] for key in keys}
    assert [s["last"] and s["last"]["grade"] for s in replayed["sperm"]] == [
        s["last"] and s["last"]["grade"] for s in recorded["sperm"]
    ]


def test_offline_simulation(station: Station, tmp_path: Path) -> None:
    parent = tmp_path / "sessions"
    options = (*station.small, "--speed", "max", "--duration", "3", "--select", "auto:3", "--session", str(parent))
    recorded = station.summary(*options)
    session = only_session(parent)
    again = replay(station, session, "--speed", "max")
    assert recorded["frames"] == {"captured": 45, "tracked": 45, "dropped": 0, "left_out": 0}
    assert_the_same(recorded, again, session)
    assert again["source"] == f"replay of {session.name}: simulated microscope"
    assert again["recording"] is None


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A live session with more windows than the engine can grade, and an operator who presses ``a``."""
    folder = tmp_path_factory.mktemp("live")
    station = Station(folder)
    video = ROOT.parent / "shared" / "data" / "visem" / "12" / "video.mp4"
    (folder / "slow.toml").write_text(
        f"{SMALL}fps = {FPS}\n[source]\nfps = {FPS}\n"
    )  # slow: machines that test are busy
    source = ["--source", str(video)] if video.is_file() else []
    path = folder / "summary.json"
    options = ["--config", str(folder / "slow.toml"), "--select", f"auto:{SPERM}", "--duration", f"{SECONDS:g}"]
    options += ["--session", str(folder / "sessions")]
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*station.command(*source, *options), "--headless", "--summary", str(path)],
        cwd=ROOT, env=station.environment, stdin=terminal, stdout=subprocess.DEVNULL, start_new_session=True,
        preexec_fn=take_terminal,
    ) as process:  # fmt: skip
        log = wait_for(lambda: next((folder / "sessions").glob("*/log.jsonl"), None))
        wait_for(lambda: log.read_bytes().count(b'"kind":"tracks"') > 20 or process.poll() is not None)
        os.write(controller, b"a")
        assert process.wait(60.0) == 0
    os.close(controller)
    os.close(terminal)
    return json.loads(path.read_text()), only_session(folder / "sessions")


@pytest.mark.slow
@pytest.mark.parametrize("speed", ["max", "live"])
def test_a_live_run_at_any_speed(live, station: Station, speed: str) -> None:
    recorded, session = live
    again = replay(station, session, "--speed", speed)
    assert_the_same(recorded, again, session)
    events = [event.record for event in Session(session).events()]
    windows = sum(len(record.header.windows) for record in events if isinstance(record, WindowsRecord))
    assert again["replay"]["windows_left_out"] == windows - recorded["grades"], "what the engine had no time for"


def test_the_operators_key_is_in_the_record(live) -> None:
    _, session = live
    headers = [e.record.header for e in Session(session).events() if isinstance(e.record, TracksRecord)]
    applied = [command for header in headers for command in header.applied_commands]
    assert (applied[0].name, applied[0].count, headers[0].applied_commands) == (
        CommandName.SELECT_AUTO,
        SPERM,
        [applied[0]],
    )
    # Fewer may have been found than were asked for; then more are selected, whether or not some were lost.
    *released, last = [command.name for command in applied]
    assert last is CommandName.SELECT_AUTO
    assert set(released[1:]) <= {CommandName.RELEASE}
    assert all(command.asked is not None for command in applied[1:])


@pytest.mark.slow
def test_another_model_side_by_side(live, station: Station, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="making another model needs the extra [train]")
    from engine.artifact import NetworkConfig, TrainingData
    from trainer.model.artifact_export import ArtifactFacts, export_artifact, pattern_clips
    from trainer.model.rostfine import Rostfine

    recorded, session = live
    torch.manual_seed(1)
    config = NetworkConfig(
        branch="prenorm", frames=16, clip_px=150, image_px=150, patch_px=50, width=32, depth=2, heads=2, selected=3,
        branch_depth=1, branch_heads=2,
    )  # fmt: skip
    facts = ArtifactFacts(
        name="other", preset="station", demonstration=True, training=TrainingData(description="Random weights."),
        metrics={"mse": 0.5}, um_per_px=0.25, fps=15.0,
    )  # fmt: skip
    export_artifact(Rostfine(config), tmp_path / "other", facts, pattern_clips(2, (16, 150, 150)), "float32")
    table = tmp_path / "c.csv"
    done = subprocess.run(
        [sys.executable, "run_station.py", "compare", str(session), "--model", str(tmp_path / "other"), "--out", table],
        cwd=ROOT, env=station.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"compared in {table}" in " ".join(done.stdout.split()).replace("- ", "-")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    summary = json.loads(table.with_suffix(".json").read_text())
    assert len(rows) == summary["windows"] == recorded["grades"]
    assert summary["models"]["new"]["name"] == "other"
    assert summary["emd"]["mean"] > 0
    events = [e.record for e in Session(session).events() if isinstance(e.record, GradesRecord)]
    grades = {(g.sperm_id, g.frame_seq): g.grade for record in events for g in record.header.grades}
    for row in rows:
        key = int(row["sperm"]), int(row["frame"])
        assert [float(row[f"recorded_grade_{letter}"]) for letter in "ABCDE"] == grades[key]
        assert sum(float(row[f"new_grade_{letter}"]) for letter in "ABCDE") == pytest.approx(1, abs=1e-5)


def run_and_kill(station: Station, parent: Path, after_s: float) -> Path:
    """Record the simulated microscope, and kill the whole process group some time after the first frame."""
    config = station.folder / "fast.toml"
    config.write_text(SMALL + "fps = 30\n")
    with subprocess.Popen(
        station.command("--config", str(config), "--headless", "--session", str(parent)),
        cwd=ROOT, env=station.environment, stdout=subprocess.DEVNULL, start_new_session=True,
    ) as process:  # fmt: skip
        log = wait_for(lambda: next(parent.glob("*/log.jsonl"), None))
        wait_for(lambda: b'"kind":"tracks"' in log.read_bytes())
        time.sleep(after_s)
        os.killpg(process.pid, signal.SIGKILL)
    wait_for(lambda: not [path for path in station.left() if path.parts[1] == "proc"])
    for left in station.temporary.iterdir():  # killed, it could not tidy up
        shutil.rmtree(left)
    return log.parent


@pytest.mark.slow
@pytest.mark.parametrize("number", range(KILLS))
def test_a_session_that_was_killed_replays_up_to_its_last_frame(station: Station, tmp_path: Path, number: int) -> None:
    after_s = random.Random(number).uniform(0.5, 4.0)
    session = run_and_kill(station, tmp_path / "sessions", after_s)
    again = replay(station, session, "--speed", "max")
    found = again["replay"]
    assert found["tracks_as_recorded"] > 0
    assert (found["tracks_differ"], found["grades_differ"]) == (0, 0)
    recorded = [event.record for event in Session(session).events()]
    grades = sum(len(record.header.grades) for record in recorded if isinstance(record, GradesRecord))
    frames = sum(isinstance(record, FrameRecord) for record in recorded)
    assert again["frames"]["captured"] >= frames - 1, "all that the log names but the one that was being written"
    assert found["windows_missing"] == 0
    assert grades - 8 <= found["grades_as_recorded"] <= grades, "all but those of frames that the kill kept from disk"
    assert any("cut off" in caution for caution in again["cautions"])


@pytest.fixture
def recorded(live, tmp_path: Path) -> Path:
    """A copy of the session that a test may damage."""
    return Path(shutil.copytree(live[1], tmp_path / "copy"))


def spoil_log(session: Path) -> str:
    """Change one digit of a track's position in mid-log; return what the replay should name."""
    lines = (session / "log.jsonl").read_bytes().splitlines(keepends=True)
    places = [n for n, line in enumerate(lines) if b'"kind":"tracks"' in line]
    n = places[len(places) // 2]
    x = re.search(rb'"x":(\d)', lines[n])
    assert x is not None
    lines[n] = lines[n][: x.start(1)] + (b"1" if x[1] != b"1" else b"2") + lines[n][x.end(1) :]
    (session / "log.jsonl").write_bytes(b"".join(lines))
    return f"log.jsonl, event {n}"


def spoil_video(session: Path) -> str:
    video = session / "video" / "000000.mkv"
    data = bytearray(video.read_bytes())
    data[len(data) // 2] ^= 1
    video.write_bytes(data)
    return "video/000000.mkv: frame"


@pytest.mark.parametrize("spoil", [spoil_log, spoil_video])
def test_a_changed_session_plays_up_to_the_change_and_says_where(station: Station, recorded: Path, spoil) -> None:
    named = spoil(recorded)
    again = replay(station, recorded, "--speed", "max")
    (caution,) = [c for c in again["cautions"] if "record is damaged" in c]
    assert named in caution
    assert again["replay"]["tracks_differ"] == again["replay"]["grades_differ"] == 0
    assert 0 < again["replay"]["tracks_as_recorded"] < 0.9 * SECONDS * FPS
    done = subprocess.run(
        station.command("verify", str(recorded)), cwd=ROOT, env=station.environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert named.split(":")[0].split(",")[0] in done.stdout


def emptied(session: Path) -> None:
    (session / "log.jsonl").write_bytes(b"")


def of_another_version(session: Path) -> None:
    log = session / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"format":1', b'"format":2', 1))


def without_video(session: Path) -> None:
    shutil.rmtree(session / "video")


def without_log(session: Path) -> None:
    (session / "log.jsonl").unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (emptied, "does not start with a start event"),
        (of_another_version, "does not start with a start event"),
        (without_video, "contains no frame that can be played"),
        (without_log, "has no log.jsonl"),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_one_line(station: Station, recorded: Path, spoil, message) -> None:
    spoil(recorded)
    done = station.run("--source", f"replay:{recorded}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_a_pre_trigger_buffer_is_played_as_a_new_run(station: Station, recorded: Path) -> None:
    """The last frames, from when sperm were selected, as ``keep`` would have left it, in a log that is chained anew."""
    from station.session.event_log import EventLog
    from station.session.records import StartRecord

    events = list(Session(recorded).events())
    log = recorded / "log.jsonl"
    log.unlink()
    with EventLog(log) as new:
        for event in events:
            record = event.record
            if isinstance(record, StartRecord):
                record = record.model_copy(update={"mode": "keep"})
            if isinstance(record, FrameRecord) and not 10 <= record.header.seq < 40:
                continue
            new.append(record)
    again = replay(station, recorded, "--speed", "max")
    assert again["frames"]["captured"] == 30
    assert again["frames"]["tracked"] == 30
    assert again["grades"] > 0
    assert any("only the pre-trigger part was recorded" in caution for caution in again["cautions"])
    newest = [s["last"]["frame_seq"] for s in again["sperm"] if s["last"]]
    assert all(10 <= seq < 40 for seq in itertools.chain(newest)), "frames keep their numbers"
