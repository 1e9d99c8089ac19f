"""``bench end-to-end``: what a stamp proves, what is held to be wrong, and a short run of the whole station."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.__main__ import main
from bench.support.end_to_end.case import Program, judged
from bench.support.end_to_end.evidence import Heard, Seen
from bench.support.end_to_end.stamp import Stamp, piece_of, read_stamp, stamped
from station.transport.messages import Evidence, GradeInfo, Trace, Validity

RNG = np.random.default_rng(5)
FRAME = RNG.integers(0, 256, (200, 333), np.uint8) & np.uint8(0xFE)
MS = 1_000_000


@pytest.mark.parametrize(("top", "left"), [(0, 0), (3, 5), (17, 31), (50, 183)])
def test_any_piece_of_a_picture_says_which_it_is(top: int, left: int) -> None:
    stamp = Stamp(123_456, 987_654_321_012_345)
    picture = stamped(FRAME, stamp)
    assert int(np.abs(picture.astype(int) - FRAME).max()) == 1
    assert read_stamp(piece_of(picture[top : top + 150, left : left + 150])) == stamp


def test_what_is_damaged_says_nothing() -> None:
    picture = stamped(FRAME, Stamp(7, 8))
    piece = piece_of(picture)
    for place in range(0, 256, 5):
        damaged = piece.copy()
        damaged[place // 16, place % 16] ^= 1
        assert read_stamp(damaged) in (None, Stamp(7, 8)), "right, or nothing"
    assert read_stamp(piece_of(FRAME)) is None
    assert read_stamp(piece_of(RNG.integers(0, 256, (64, 64), np.uint8))) is None


@dataclass
class Arrived:
    heard: list[Heard] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    windows: dict[tuple[int, int], NDArray[np.uint8]] = field(default_factory=dict)


def grade(frame_seq: int, exposed_ms: int, arrived_ms: int, span_ms: float = 30.0) -> Heard:
    times = {name: (exposed_ms + at) * MS for name, at in (
        ("t_sent_ns", 1), ("t_tracker_in_ns", 3), ("t_tracker_out_ns", 6), ("t_engine_in_ns", 10), ("t_infer_ns", 15),
        ("t_grade_ns", 30),
    )}  # fmt: skip
    evidence = Evidence(frame_seqs=[1, 2, 3, frame_seq], span_ms=span_ms)
    info = GradeInfo(
        sperm_id=1, frame_seq=frame_seq, x=1.0, y=1.0, grade=[0.2] * 5, heads=[[0.2] * 5] * 3, validity=Validity.VALID,
        trace=Trace(t_exposure_ns=exposed_ms * MS, **times), evidence=evidence,
    )  # fmt: skip
    return Heard(info, arrived_ms * MS)


def window(*exposed_ms: int) -> NDArray[np.uint8]:
    return np.stack([piece_of(stamped(FRAME, Stamp(k, ms * MS))) for k, ms in enumerate(exposed_ms)])


def test_the_time_is_from_the_pixels_and_the_stages_add_up() -> None:
    arrived = Arrived(
        heard=[grade(4, 1030, 1062), grade(5, 1040, 1070), grade(6, 1050, 1081), grade(7, 1060, 1090), grade(8, 9, 40)],
        seen=[Seen(1100 * MS, [window(1077)[0]]), Seen(1100 * MS, [])],
        windows={
            (1, 4): window(1000, 1010, 1020, 1030),
            (1, 5): window(1000, 1010, 1020, 1030),
            (1, 6): window(1020, 1010, 1021, 1050),
        },
    )
    arrived.windows[1, 6][1] = 0
    outcome = judged(arrived, 1000 * MS, 2000 * MS)
    assert outcome.grades_ms == [32.0]
    assert {name: ms[0] for name, ms in outcome.stages_ms.items()} == {
        "capture": 1, "wire": 2, "tracker": 3, "window": 4, "waiting": 5, "network": 15, "reader": 2,
    }  # fmt: skip
    assert outcome.wrong == 1, "5: its newest pixels are older than it says"
    assert outcome.unproven == 2, "6: a crop that cannot be read; 7: no window"
    assert outcome.pictures_ms == [23.0]


@pytest.mark.parametrize("times_ms", [(1000, 1010, 1030, 1030), (990, 1010, 1020, 1030)], ids=["order", "span"])
def test_windows_of_other_pixels_are_wrong(times_ms: tuple[int, ...]) -> None:
    arrived = Arrived([grade(4, 1030, 1062)], windows={(1, 4): window(*times_ms)})
    if times_ms[0] == 1000:
        arrived.windows[1, 4] = arrived.windows[1, 4][[0, 2, 1, 3]]
    assert judged(arrived, 0, 2000 * MS).wrong == 1


@pytest.mark.parametrize("content", [None, b"", b'{"format": 1,'], ids=["not there", "empty", "half"])
def test_a_runs_file_that_is_being_written_is_waited_for(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "run" / "rostfine").mkdir(parents=True)
        (tmp_path / "run" / "rostfine" / "station.json").write_bytes(content)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        assert Program(process, tmp_path, viewed=False).registered() is None


@pytest.mark.slow
def test_a_run_of_the_whole_station_is_proved_by_its_pixels(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("websockets")
    options = ["--width", "480", "--height", "360", "--sperm", "2", "--fps", "30", "--beside", "both", "--seconds", "2"]
    assert main(["end-to-end", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    name = "2 sperm, 30/s, recorder and view"
    assert found["timings"][name]["count"] > 0
    assert found["timings"][f"{name}: network"]["p50"] > 0
    assert found["timings"][f"{name}: to a picture of the view"]["count"] > 0
    assert found["figures"]["grades of other pixels than they say"]["value"] == 0
    assert found["figures"]["memory of the whole program"]["value"] > 50
    assert found["figures"]["start of the program to its first grade"]["value"] > 0
