"""The tracker's patience is measured where frames are large."""

import pytest

from station.config import TrackerSettings
from station.processes.control import PATIENCE_S
from tracker import patience
from tracker.patience import TIMES, measured_patience_s
from tracker.window import WindowShape


def test_large_frames_are_tried_and_small_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[int] = []
    settings, window = TrackerSettings(), WindowShape(frames=4, size=32)

    def measured() -> float:
        return measured_patience_s(settings, window, 480, 640, lambda: beats.append(1))

    assert measured() == PATIENCE_S
    assert beats == []
    monkeypatch.setattr(patience, "LARGE_PX", 1000)
    moments = iter([0.0, 0.1, 1.0, 3.0, 4.0, 4.2])
    monkeypatch.setattr(patience.time, "perf_counter", lambda: next(moments))
    assert measured() == pytest.approx(TIMES * 2.0)
    assert len(beats) == patience.TRIALS
