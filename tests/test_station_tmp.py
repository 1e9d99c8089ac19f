"""The whole station as a user runs it: real processes, sockets and runtime, simulated microscope and real video."""

import contextlib
import json
import math
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTICE = "For research use only. Not for use in diagnostic procedures."
SMALL = "[simulated]\nwidth = 480\nheight = 360\nsperm = 8\ndebris = 20\n"


@dataclass
class Station:
    """Runs the program with a temporary folder of its own, so that anything left behind is found."""

    folder: Path
    temporary: Path = field(init=False)

    def __post_init__(self) -> None:
        self.temporary = self.folder / "t"
        self.temporary.mkdir()
        (self.folder / "small.toml").write_text(SMALL)

    def command(self, *options: str) -> list[str]:
        return [sys.executable, "run_station.py", *(() if "--model" in options else ("--model", "models/demo-tmp")), *options]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"TMPDIR": str(self.temporary), "TERM": "xterm-256color"}

    def run(self, *options: str, timeout_s: float = 100.0) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            self.command(*options, "--headless"),
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        assert self.left() == []
        return done

    def summary(self, *options: str) -> dict[str, Any]:
        path = self.folder / "summary.json"
        done = self.run(*options, "--summary", str(path))
        assert done.returncode == 0, done.stderr
        assert NOTICE in done.stdout
        loaded: dict[str, Any] = json.loads(path.read_text())
        return loaded

    def left(self) -> list[Path]:
        """Files of this run, and processes of it wherever they hang in the process tree, one second after its end."""
        deadline = time.monotonic() + 1.0  # Python's own helper process notices with a delay that its parent is gone
        while (left := self._there()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def _there(self) -> list[Path]:
        mine = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("TMPDIR") == str(self.temporary):
                    mine.append(Path("/proc") / str(process.pid))
        return [*self.temporary.iterdir(), *mine]

    @property
    def small(self) -> tuple[str, str]:
        return "--config", str(self.folder / "small.toml")


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


def check_grades(summary: dict[str, Any]) -> None:
    """Every grade is a distribution, and the counts agree with each other."""
    assert summary["grades"] == sum(sperm["grades"] for sperm in summary["sperm"]) > 0
    for sperm in summary["sperm"]:
        if sperm["last"] is not None:
            assert math.isclose(sum(sperm["last"]["grade"]), 1.0, abs_tol=1e-5)
            assert min(sperm["last"]["grade"]) >= 0
            assert sperm["last"]["validity"] in {"valid", "padded"}
            assert sperm["last"]["age_ms"] > 0


def test_simulated_live(station: Station) -> None:
    summary = station.summary(*station.small, "--select", "auto:2", "--duration", "4")
    check_grades(summary)
    frames = summary["frames"]
    assert frames["captured"] == 60
    assert frames["tracked"] + frames["dropped"] == 60, "every frame is tracked or counted as dropped"
    assert len(summary["sperm"]) == 2
    assert summary["model"]["demonstration"]
    for part in summary["latency_ms"].values():
        assert 0 <= part["p50"] <= part["p95"] <= part["p99"] <= part["max"]
    whole, engine = summary["latency_ms"]["exposure_to_grade"], summary["latency_ms"]["engine"]
    assert whole["max"] >= engine["p50"] > 0


def test_simulated_offline_is_the_same_bit_for_bit(station: Station) -> None:
    runs = [station.summary(*station.small, "--speed", "max", "--duration", "3") for _ in range(2)]
    check_grades(runs[0])
    assert runs[0]["frames"] == {"captured": 45, "tracked": 45, "dropped": 0}
    same = [{key: run[key] for key in ("frames", "grades", "grades_sha256")} for run in runs]
    assert same[0] == same[1]
    last = [[(s["last"] or {}).get("grade") for s in run["sperm"]] for run in runs]
    assert last[0] == last[1]


def test_real_video_live(station: Station, visem: Path) -> None:
    video = str(visem / "12" / "video.mp4")
    summary = station.summary("--source", video, "--select", "auto:4", "--duration", "4")
    check_grades(summary)
    assert summary["source"] == "12/video.mp4"
    assert summary["frames"]["captured"] == 4 * 49
    assert all(sperm["grades"] > 1 for sperm in summary["sperm"])
    assert len(summary["sperm"]) == 4


@pytest.mark.slow
def test_real_video_offline_is_the_same_bit_for_bit(station: Station, visem: Path) -> None:
    video = str(visem / "12" / "video.mp4")
    runs = [
        station.summary("--source", video, "--speed", "max", "--select", "auto:2", "--duration", "3") for _ in range(2)
    ]
    check_grades(runs[0])
    assert runs[0]["frames"] == {"captured": 147, "tracked": 147, "dropped": 0}
    assert runs[0]["grades_sha256"] == runs[1]["grades_sha256"]
    assert runs[0]["grades"] == runs[1]["grades"]


@pytest.mark.parametrize("phase", [0, 1])
def test_offline_grades_every_window_where_only_some_frames_enter_it(
    station: Station, phase: int, tmp_path: Path
) -> None:
    """A camera three times as fast as the model: the windows' phase against the frame numbers must not matter."""
    (tmp_path / "fast.toml").write_text(f"{SMALL}fps = 45\nseed = {phase}\n[window]\nstride = 3\n")
    options = ("--config", str(tmp_path / "fast.toml"), "--speed", "max", "--duration", "3", "--select", "auto:2")
    summary = station.summary(*options)
    assert summary["frames"] == {"captured": 135, "tracked": 135, "dropped": 0}
    check_grades(summary)
    # 16 frames, one in three, are 46 frames; after that a new window every third.
    assert all(sperm["grades"] <= (135 - 46) // 3 + 1 for sperm in summary["sperm"])


def pictures(folder: Path, *sizes: tuple[int, int]) -> Path:
    folder.mkdir()
    for number, (width, height) in enumerate(sizes):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((height, width), 90, np.uint8))
    return folder


def test_selecting_by_point(station: Station, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "frames", *[(320, 240)] * 5)
    summary = station.summary("--source", str(folder), "--select", "100,50", "--select", "30,200")
    assert [sperm["id"] for sperm in summary["sperm"]] == [1, 2]
    assert summary["frames"]["captured"] == 5
    assert summary["grades"] == 0, "there is nothing to follow in an even field"
    assert all(sperm["last"] is None for sperm in summary["sperm"])


def bad_video(folder: Path) -> list[str]:
    (folder / "poem.mp4").write_text("no video " * 100)
    return ["--source", str(folder / "poem.mp4")]


def bad_model(folder: Path) -> list[str]:
    shutil.copytree(ROOT / "models" / "demo-tmp", folder / "model")
    with (folder / "model" / "model.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\1\2\3")
    return ["--model", str(folder / "model")]


def config(text: str) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        (folder / "bad.toml").write_text(text)
        return ["--config", str(folder / "bad.toml")]

    return write


BAD_INPUT: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "missing file": (lambda _: ["--source", "none.mp4"], "none.mp4"),
    "no video": (bad_video, "poem.mp4"),
    "empty folder": (lambda folder: ["--source", str(pictures(folder / "empty"))], "empty"),
    "pictures of different sizes": (
        lambda folder: ["--source", str(pictures(folder / "mixed", (64, 48), (64, 48), (64, 50)))],
        "2.png",
    ),
    "point outside the frame": (
        lambda folder: ["--source", str(pictures(folder / "p", (64, 48))), "--select", "64,10"],
        "outside the frame",
    ),
    "misspelt key": (config("[tracker]\nmacher = 'auto'\n"), "did you mean 'matcher'"),
    "model with a wrong hash": (bad_model, "model.onnx"),
    "no model": (lambda folder: ["--model", str(folder)], "manifest.json"),
    "window of another size": (config(SMALL + "[window]\nsize = 128\n"), "128"),
    "window of another length": (config(SMALL + "[window]\nframes = 8\n"), "8"),
    "summary into nowhere": (lambda folder: ["--summary", str(folder / "none" / "s.json")], "s.json"),
    "unknown option": (lambda _: ["--sorce", "x"], "--sorce"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_clear_line_and_exit_code_2(station: Station, name: str) -> None:
    make, expected = BAD_INPUT[name]
    done = station.run(*make(station.folder))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert not (station.folder / "summary.json").exists()
    assert done.stderr.startswith("rostfine: ")
    assert expected in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def wait_for(condition: Callable[[], Any], timeout_s: float = 30.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return result


def stage_processes(process: "subprocess.Popen[Any]") -> list[psutil.Process]:
    """The stages; not the helper process that Python starts beside spawned ones."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_everything_in_two_seconds(station: Station, signum: int) -> None:
    path = station.folder / "summary.json"
    command = station.command(*station.small, "--headless", "--summary", str(path))
    with subprocess.Popen(
        command, cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("model"):
            pass
        time.sleep(1.0)
        stages = wait_for(lambda: stage_processes(process))
        assert len(stages) == 3
        start = time.monotonic()
        os.killpg(process.pid, signum)  # as a terminal does: to the whole group
        assert process.wait(5.0) == 0
        assert time.monotonic() - start < 2.0
    assert not any(stage.is_running() for stage in stages)
    assert station.left() == []
    assert json.loads(path.read_text())["frames"]["captured"] > 0, "what was known is in the summary"


def test_q_ends_the_dashboard(station: Station) -> None:
    """On a real terminal: the screen comes up with its research-use line, a sperm is followed, q ends it."""
    command = station.command(*station.small, "--select", "auto:1")
    environment = station.environment | {"COLUMNS": "120", "LINES": "40"}
    pid, terminal = pty.fork()  # unlike a bare openpty, the child's terminal also controls it, as a user's does
    if pid == 0:
        os.chdir(ROOT)
        os.execve(command[0], command, environment)
    seen = bytearray()

    def read() -> bytes:
        with contextlib.suppress(OSError):  # nothing there at the moment, or the other end is gone
            seen.extend(os.read(terminal, 1 << 16))
        return bytes(seen)

    def exit_status() -> tuple[int, int] | None:
        read()  # a full terminal would hold the program up
        done, status = os.waitpid(pid, os.WNOHANG)
        return (done, status) if done else None

    os.set_blocking(terminal, False)
    wait_for(lambda: b"For research use only" in read())
    wait_for(lambda: b"locked" in read())
    start = time.monotonic()
    os.write(terminal, b"q")
    _, status = wait_for(exit_status, 5.0)
    assert time.monotonic() - start < 2.0
    assert os.waitstatus_to_exitcode(status) == 0
    os.close(terminal)
    assert station.left() == []
    assert b"\x1b[?1049l" in seen, "the terminal was given back"


def test_a_stage_that_is_killed_is_named(station: Station) -> None:
    path = station.folder / "summary.json"
    command = station.command(*station.small, "--headless", "--summary", str(path))
    with subprocess.Popen(
        command, cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while not process.stdout.readline().startswith("model"):
            pass
        stages = wait_for(lambda: stage_processes(process))
        engine = max(stages, key=lambda stage: stage.create_time())  # started last
        engine.kill()
        _, errors = process.communicate(timeout=10.0)
    assert process.returncode == 1
    assert "the engine stage died (signal 9)" in errors
    assert not any(stage.is_running() for stage in stages)
    assert station.left() == []
    assert path.exists(), "what was known is in the summary"


def test_a_stage_that_is_told_to_end_by_others_is_named(station: Station) -> None:
    command = station.command(*station.small, "--headless")
    with subprocess.Popen(
        command, cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("model"):
            pass
        stages = sorted(wait_for(lambda: stage_processes(process)), key=lambda stage: stage.create_time())
        stages[1].terminate()
        _, errors = process.communicate(timeout=10.0)
    assert (process.returncode, "the tracker stage died" in errors) == (1, True)
    assert station.left() == []


def test_a_reader_of_the_output_that_leaves_ends_the_run_quietly(station: Station) -> None:
    command = station.command(*station.small, "--headless")
    with subprocess.Popen(
        command, cwd=ROOT, env=station.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(30.0)
    assert "Traceback" not in errors
    assert station.left() == []


def test_end_of_a_file_ends_the_run(station: Station, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "frames", *[(320, 240)] * 3)
    assert station.summary("--source", str(folder))["frames"]["captured"] == 3


def test_dashboard_without_a_terminal_says_so(station: Station) -> None:
    done = subprocess.run(
        station.command(*station.small), cwd=ROOT, env=station.environment, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--headless" in done.stderr
    assert station.left() == []
