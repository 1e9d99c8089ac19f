"""The whole station in normal use: real processes, sockets and runtime, simulated microscope and real video."""

import math
from pathlib import Path
from typing import Any

import pytest

from tests.support.station_program import SMALL, Station, image_folder


def check_grades(summary: dict[str, Any]) -> None:
    """Every grade is a distribution, and the counts agree with each other."""
    assert summary["grades"] == sum(sperm["grades"] for sperm in summary["sperm"]) > 0
    for sperm in summary["sperm"]:
        if sperm["last"] is not None:
            assert math.isclose(sum(sperm["last"]["grade"]), 1.0, abs_tol=1e-5)
            assert min(sperm["last"]["grade"]) >= 0
            assert sperm["last"]["validity"] in {"valid", "padded", "unsuited", "stale", "disturbed"}
            assert sperm["last"]["age_ms"] > 0


def test_simulated_live(station: Station) -> None:
    summary = station.summary(*station.small, "--select", "auto:2", "--duration", "4")
    check_grades(summary)
    frames = summary["frames"]
    assert frames["captured"] + frames["left_out"] == 60
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
    assert runs[0]["frames"] == {"captured": 45, "tracked": 45, "dropped": 0, "left_out": 0}
    same = [{key: run[key] for key in ("frames", "grades", "grades_sha256")} for run in runs]
    assert same[0] == same[1]
    last = [[(s["last"] or {}).get("grade") for s in run["sperm"]] for run in runs]
    assert last[0] == last[1]


def test_real_video_live(station: Station, visem: Path) -> None:
    video = str(visem / "12" / "video.mp4")
    summary = station.summary("--source", video, "--select", "auto:4", "--duration", "4")
    frames = summary["frames"]
    assert summary["source"] == "12/video.mp4"
    assert frames["captured"] + frames["left_out"] == 4 * 49
    if frames["dropped"]:  # a machine too busy for the film: what is dropped is counted, and the windows refill
        assert frames["tracked"] + frames["dropped"] <= frames["captured"] + frames["left_out"]
        return
    check_grades(summary)
    assert sum(sperm["grades"] > 1 for sperm in summary["sperm"]) >= 4
    assert len(summary["sperm"]) == 4


@pytest.mark.slow
def test_real_video_offline_is_the_same_bit_for_bit(station: Station, visem: Path) -> None:
    video = str(visem / "12" / "video.mp4")
    runs = [
        station.summary("--source", video, "--speed", "max", "--select", "auto:2", "--duration", "3") for _ in range(2)
    ]
    check_grades(runs[0])
    assert runs[0]["frames"] == {"captured": 147, "tracked": 147, "dropped": 0, "left_out": 0}
    assert runs[0]["grades_sha256"] == runs[1]["grades_sha256"]
    assert runs[0]["grades"] == runs[1]["grades"]


@pytest.mark.parametrize("phase", [0, 1])
def test_offline_grades_every_window_where_only_some_frames_enter_it(
    station: Station, phase: int, tmp_path: Path
) -> None:
    """A camera three times as fast as the model: the phase of windows against frame numbers must not matter."""
    (tmp_path / "fast.toml").write_text(f"{SMALL}fps = 45\nseed = {2 * phase + 1}\n[window]\nstride = 3\n")
    options = ("--config", str(tmp_path / "fast.toml"), "--speed", "max", "--duration", "3", "--select", "auto:2")
    summary = station.summary(*options)
    assert summary["frames"] == {"captured": 135, "tracked": 135, "dropped": 0, "left_out": 0}
    check_grades(summary)
    # 16 frames, one in three, are 46 frames; after that a new window every third.
    assert all(sperm["grades"] <= (135 - 46) // 3 + 1 for sperm in summary["sperm"])


def test_selecting_by_point(station: Station, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "frames", *[(320, 240)] * 5)
    summary = station.summary("--source", str(folder), "--select", "100,50", "--select", "30,200")
    assert [sperm["id"] for sperm in summary["sperm"]] == [1, 2]
    assert summary["frames"]["captured"] == 5
    assert summary["grades"] == 0, "there is nothing to follow in an even field"
    assert all(sperm["last"] is None for sperm in summary["sperm"])
