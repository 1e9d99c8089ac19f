"""Archives graded by one model: resumable, each recording on its own, the same figures wherever it ran."""

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from capture.simulator.microscope import SimulatedMicroscope
from station.batch import command
from station.batch.command import grade
from station.batch.places import here, on_cluster
from station.batch.task import Graded, Task, carry_out, cut_short, given_up
from station.build_info import ROOT
from station.config import SimulatedSettings
from station.errors import InputError, MissingExtraError
from station.notice import NOTICE
from tests.support.video_files import write_video

MODEL = str(ROOT / "models" / "demo")


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No registration and no recording of a test among the user's own."""
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def film(path: Path, seed: int, frames: int = 45) -> Path:
    """A short video of the simulated microscope."""
    settings = SimulatedSettings(width=320, height=240, fps=15, sperm=3, debris=4, seed=seed)
    microscope = SimulatedMicroscope(settings)
    write_video(path, np.stack([microscope.read().pixels for _ in range(frames)]), fps=15, codec="ffv1", pix_fmt="gray")
    return path


def answer(task: Task, tmp_path: Path) -> Graded:
    """What a task of a test gives: a table of one row."""
    import pyarrow as pa

    path = tmp_path / "one.parquet"
    pq.write_table(pa.table({"recording": ["x"], "sperm": [1], "frame": [2]}), path)
    return Graded(task.key, path.read_bytes(), "", 3, 1, 1)


@pytest.mark.slow
def test_videos_and_sessions_are_graded_and_a_bad_one_does_not_keep_the_others(tmp_path: Path, capsys) -> None:
    videos = tmp_path / "v"
    videos.mkdir()
    film(videos / "a.mkv", 4)
    (videos / "b.mp4").write_bytes(b"no video")
    out = tmp_path / "grades.parquet"
    options = ["--model", MODEL, "--out", str(out), "--um-per-px", "0.25", "--select", "auto:2", "--workers", "2"]
    assert grade([str(videos), *options]) == 1
    table = pq.read_table(out)
    assert set(table.column("recording").to_pylist()) == {str(videos / "a.mkv")}
    assert table.num_rows > 5
    assert table.schema.metadata[b"notice"].decode() == NOTICE
    assert {"grade_A", "global_E", "validity", "t_source_s", "x_um"} <= set(table.column_names)
    assert not set(table.column_names) & {"t_s", "time_utc", "event", "exposure_to_grade_ms"}
    about = json.loads(out.with_suffix(".json").read_text())
    assert [one["recording"] for one in about["failed"]] == [str(videos / "b.mp4")]
    (videos / "b.mp4").unlink()
    film(videos / "b.mkv", 19)
    capsys.readouterr()
    assert grade([str(videos), *options]) == 0
    said = capsys.readouterr().out
    assert "1 of 2 recordings were graded before" in said
    assert "[1/1]" in said
    again = pq.read_table(out)
    first = again.slice(0, table.num_rows)
    assert first.equals(table), "what was there was not touched, and comes first"
    assert not (tmp_path / "grades.parquet.parts").exists()
    with pytest.raises(InputError, match="is there already"):
        grade([str(videos), *options])


def test_what_is_there_is_not_done_again_and_results_come_in_the_order_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_bytes(name.encode())
    asked: list[str] = []

    def place(tasks: list[Task], _carry_out: object, _workers: int):
        for task in reversed(tasks):
            asked.append(Path(task.recording).name)
            if len(asked) == 2:
                raise KeyboardInterrupt
            yield answer(task, tmp_path)

    monkeypatch.setattr(command, "here", place)
    words = [str(tmp_path / f"{name}.mp4") for name in "abc"]
    options = ["--model", MODEL, "--out", str(tmp_path / "g.parquet")]
    with pytest.raises(KeyboardInterrupt):
        grade([*words, *options])
    assert grade([*words, *options]) == 0
    assert asked == ["c.mp4", "b.mp4", "b.mp4", "a.mp4"]
    assert pq.read_table(tmp_path / "g.parquet").column("recording").to_pylist() == words
    assert "1 of 3 recordings were graded before" in capsys.readouterr().out


def test_a_result_that_was_damaged_meanwhile_is_graded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    words = [str(tmp_path / "a.mp4"), "--model", MODEL, "--out", str(tmp_path / "g.parquet")]

    def damaged(tasks: list[Task], _carry_out: object, _workers: int):
        for task in tasks:
            yield replace(answer(task, tmp_path), table=b"PAR1 and nothing more PAR1")

    monkeypatch.setattr(command, "here", damaged)
    with pytest.raises(InputError, match=r"a\.mp4 is damaged .* the same command grades it again"):
        grade(words)
    monkeypatch.setattr(command, "here", lambda tasks, *_: (answer(task, tmp_path) for task in tasks))
    assert grade(words) == 0


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"ended": "at the end of the source", "recording": {"stopped": "", "complete": True}}, ""),
        ({"ended": "by a signal", "recording": {"stopped": "", "complete": True}}, "its run ended by a signal"),
        ({"ended": "at the end of the source", "recording": {"stopped": "disk full", "complete": False}}, "disk full"),
        ({"ended": "at the end of the source", "recording": {"stopped": "", "complete": False}}, "not kept to the end"),
        ({"ended": "at the end of the source", "recording": None}, "not kept to the end"),
        ({}, "for no reason given"),
    ],
)
def test_a_run_that_was_cut_short_is_no_result(said: dict[str, object], problem: str) -> None:
    found = cut_short(said)
    assert (found == "") is (problem == "")
    assert problem in found


def test_a_task_is_known_by_its_content_and_settings_and_not_by_its_name() -> None:
    one = Task("a.mp4", "/x/a.mp4", False, "f" * 12, "/m", "0" * 64)
    assert one.key == Task("b.mp4", "/y/b.mp4", False, "f" * 12, "/n", "0" * 64).key
    assert one.key != Task("a.mp4", "/x/a.mp4", False, "e" * 12, "/m", "0" * 64).key
    assert one.key != Task("a.mp4", "/x/a.mp4", False, "f" * 12, "/m", "0" * 64, select=("auto:2",)).key


def test_what_cannot_be_asked_for_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    good = [str(tmp_path / "a.mp4"), "--model", MODEL]
    out = str(tmp_path / "o.parquet")
    for words, message in (
        ([*good, "--out", "o.csv"], "parquet"),
        ([*good, "--out", out, "--workers", "0"], "1 to 1024"),
        ([*good, "--out", out, "--select", "best"], "--select"),
        ([*good, "--out", out, "--fps", "0"], "source.fps"),
        ([*good, "--out", out, "--um-per-px", "nan"], "source.um_per_px"),
        ([str(tmp_path / "none"), "--model", MODEL, "--out", out], "no such file"),
        ([good[0], "--model", str(tmp_path), "--out", out], "manifest"),
        ([str(tmp_path / "runtime"), "--model", MODEL, "--out", out], "neither videos nor sessions"),
    ):
        with pytest.raises(InputError, match=message):
            grade(words)
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtraError, match="cluster"):
        grade([*good, "--out", out, "--ray", "auto"])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_whose_worker_is_killed_gives_every_result_once_and_the_same_bits(tmp_path: Path) -> None:
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="ray is not installed (the extra cluster)")
    tasks = []
    for number in range(8):
        path = film(tmp_path / f"{number}.mkv", (4, 7, 19)[number % 3], frames=36)  # of each comes a grade
        tasks.append(Task(path.name, str(path), False, f"{number:012}", MODEL, "0" * 64, ("auto:2",), 0.25))
    serial = {graded.key: graded for graded in here(tasks, carry_out, 1)}
    assert [one.problem for one in serial.values()] == [""] * 8
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        worker = cluster.add_node(num_cpus=1)
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        found: list[Graded] = []
        killer = threading.Thread(target=kill_a_worker, args=(worker, found))
        killer.start()
        for graded in on_cluster(tasks, carry_out, given_up, cluster.address):
            found.append(graded)
        killer.join()
    finally:
        cluster.shutdown()
    assert sorted(one.key for one in found) == sorted(serial), "every result, once"
    assert {one.key: one.table for one in found} == {key: one.table for key, one in serial.items()}, "to the bit"


def kill_a_worker(node: object, found: list[Graded]) -> None:
    """Kill one node's processes once a result has come, while others are on their way."""
    deadline = time.monotonic() + 300
    while not found and time.monotonic() < deadline:
        time.sleep(0.05)
    for info in node.all_processes.values():  # type: ignore[attr-defined]
        for started in info:
            for child in [
                *psutil.Process(started.process.pid).children(recursive=True),
                psutil.Process(started.process.pid),
            ]:
                child.send_signal(signal.SIGKILL)


def here_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *columns: str) -> None:
    """Grades are answers of a test; those of the last recording have further columns."""
    import pyarrow as pa

    def place(tasks: list[Task], _carry_out: object, _workers: int):
        for number, task in enumerate(tasks, 1):
            graded = answer(task, tmp_path)
            if columns and number == len(tasks):
                table = pq.read_table(pa.BufferReader(graded.table))
                for name in columns:
                    table = table.append_column(name, pa.array(["x"]))
                pq.write_table(table, tmp_path / "one.parquet")
                graded = replace(graded, table=(tmp_path / "one.parquet").read_bytes())
            yield graded

    monkeypatch.setattr(command, "here", place)


def test_a_result_with_other_columns_than_the_rest_is_graded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_bytes(name.encode())
    words = [*(str(tmp_path / f"{name}.mp4") for name in "abc"), "--model", MODEL, "--out", str(tmp_path / "g.parquet")]
    here_for(tmp_path, monkeypatch, "odd")
    with pytest.raises(InputError, match=r"c\.mp4 has other columns .* the same command grades it again"):
        grade(words)
    here_for(tmp_path, monkeypatch)
    assert grade(words) == 0
    assert pq.read_table(tmp_path / "g.parquet").num_rows == 3


@pytest.mark.skipif(os.name == "nt", reason="there are no such names")
def test_a_name_that_is_no_utf_8_keeps_no_recording_from_its_grades(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff\n.mp4")
    for name in (str(tmp_path / "good.mp4"), bad):
        Path(name).write_bytes(name.encode(errors="replace"))
    here_for(tmp_path, monkeypatch)
    out = tmp_path / "g.parquet"
    assert grade([str(tmp_path / "good.mp4"), bad, "--model", MODEL, "--out", str(out)]) == 0
    names = [str(tmp_path / "good.mp4"), str(tmp_path / "bad? .mp4")]
    assert f"[2/2] {names[1]}: 1 grades of 1 sperm" in capsys.readouterr().out.splitlines()
    broken = os.fsdecode(os.fsencode(tmp_path) + b"/none\xff.mp4")
    Path(broken).write_bytes(b"broken")

    def fail(tasks: list[Task], _carry_out: object, _workers: int):
        for task in tasks:
            bad = task.source == broken
            yield given_up(task, f"{task.recording}: cannot be read") if bad else answer(task, tmp_path)

    assert pq.read_table(out).column("recording").to_pylist() == names
    about = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert [one["recording"] for one in about["recordings"]] == names
    monkeypatch.setattr(command, "here", fail)
    assert grade([str(tmp_path / "good.mp4"), broken, "--model", MODEL, "--out", str(tmp_path / "f.parquet")]) == 1
    about = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert [one["recording"] for one in about["failed"]] == [str(tmp_path / "none?.mp4")]


def test_only_results_of_this_command_are_replaced_or_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    here_for(tmp_path, monkeypatch)

    def words(out: Path) -> list[str]:
        return [str(tmp_path / "a.mp4"), "--model", MODEL, "--out", str(out)]

    beside = tmp_path / "manifest.json"
    beside.write_text('{"files": {}}')
    with pytest.raises(InputError, match=r"manifest\.json: would be replaced"):
        grade(words(tmp_path / "manifest.parquet"))
    assert beside.read_text() == '{"files": {}}'
    assert not (tmp_path / "manifest.parquet.parts").exists()
    parts = tmp_path / "g.parquet.parts"
    parts.mkdir()
    (parts / "mine.txt").write_text("x")
    with pytest.raises(InputError, match=r"mine\.txt: is no part of a result"):
        grade(words(tmp_path / "g.parquet"))
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "log.jsonl").write_text("x")
    with pytest.raises(InputError, match="lies in the folder of a recorded session"):
        grade(words(tmp_path / "s" / "g.parquet"))
    assert grade(words(tmp_path / "o.parquet")) == 0
    (tmp_path / "o.parquet").unlink()
    assert grade(words(tmp_path / "o.parquet")) == 0


def test_a_recording_of_a_user_that_there_is_not_is_one_line(tmp_path: Path) -> None:
    words = ["~nosuchuser/x.mp4", "--model", MODEL, "--out", str(tmp_path / "o.parquet")]
    with pytest.raises(InputError, match="no such user"):
        grade(words)
