"""``bench transport``: what its ways deliver, what it says of them, and that a torn picture would be noticed."""

import json
import os
import sys
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from bench import transport as bench
from bench.__main__ import main
from bench.support.frame_code import draw_code, read_code
from bench.support.report import Report
from bench.support.transport import ways
from bench.support.transport.cell import Cell, Measured
from bench.support.transport.ways import SLOTS, open_reader, open_sender
from station.clock import now_ns

FRAME = np.full((64, 272), 90, np.uint8)


def test_a_number_is_read_as_it_was_drawn() -> None:
    for number in (0, 1, 4711, 65535):
        pixels = FRAME.copy()
        draw_code(pixels, number)
        assert read_code(pixels) == number


def test_the_ring_keeps_the_newest_for_a_reader_that_is_late(tmp_path: Path) -> None:
    """All that was overwritten is missing, and nothing comes torn."""
    waker, wakes = os.pipe()
    with os.fdopen(wakes, "wb", buffering=0) as file:
        wakers: list[IO[bytes]] = [file]
        with open_sender("ring", tmp_path, (64, 272), wakers) as sender, open_reader(
            "ring", tmp_path, (64, 272), waker
        ) as reader:  # fmt: skip
            for number in range(SLOTS + 5):
                pixels = FRAME.copy()
                draw_code(pixels, number)
                sender.send(number, now_ns(), pixels)
            found = [reader.receive() for _ in range(SLOTS)]
    os.close(waker)
    assert [one.number for one in found if one is not None] == list(range(5, SLOTS + 5))
    assert all(read_code(one.pixels) == one.number for one in found if one is not None)


def measured(p99_ms: float, torn: int = 0, slow_mb: float = 0.0) -> Measured:
    return Measured([1.0] * 50 + [p99_ms] * 50, 0.0, 60.0, torn, 0.1, slow_mb)


def test_ratios_are_of_the_medians_of_the_turns() -> None:
    report = Report("transport", "a test", {})
    found = {
        Cell("station", 60.0, 1, 2): [measured(2), measured(3), measured(30)],
        Cell("ring", 60.0, 1, 2): [measured(2), measured(1), measured(2)],
        Cell("station", 60.0, 4, 2): [measured(4)],
        Cell("station", 60.0, 4, 2, slow=True): [measured(5, slow_mb=80)],
    }
    bench.describe(report, found)
    figures = {one.name: one.value for one in report.figures}
    assert figures["p99 at 60/s, readers: 1, over ring's"] == pytest.approx(1.5)
    assert "p99 at 60/s, readers: 1, over imagezmq's" not in figures
    assert figures["station: p99 of the others with a slow reader"] == pytest.approx(1.25)
    assert figures["station: memory of the slow reader"] == 80


def test_every_way_delivers_and_the_distributions_are_drawn(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("imagezmq")
    monkeypatch.setattr(bench, "READERS", (2,))
    monkeypatch.setattr(bench, "RATES", (60.0,))
    picture = tmp_path / "all.svg"
    options = ["--width", "320", "--height", "240", "--seconds", "0.4", "--quick", "--svg", str(picture)]
    assert main(["transport", *options]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    for way in ("station", "imagezmq", "ring"):
        steady = document["timings"][f"{way}, 60/s, 2 readers"]
        assert steady["count"] >= 2 * 20
        assert steady["p50"] > 0
        assert document["timings"][f"{way}, 60/s, 2 readers, one slow"]["count"] >= 20
    assert document["figures"]["pictures of another number than was announced"]["value"] == 0
    drawn = picture.read_text(encoding="utf-8")
    assert drawn.startswith("<svg")
    assert "ring, 60/s, 2 readers, one slow" in drawn


def test_without_imagezmq_the_others_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagezmq", None)
    assert ways.why_not("imagezmq") == "imagezmq is not installed; pip install '.[bench]'"
    assert ways.why_not("ring") == ways.why_not("station") == ""
