"""Which windows are sent on."""

import numpy as np
import pytest

from station.clock import NS_PER_S
from tracker.results import WindowResult
from tracker.window_pace import WindowPace

PIXELS = np.zeros((2, 4, 4), np.uint8)


def window(sperm_id: int, frame_seq: int) -> WindowResult:
    return WindowResult(sperm_id, 0.0, 0.0, (frame_seq - 1, frame_seq), (0, 1), False, PIXELS)


def sent(pace: WindowPace, fps: float, jitter_ns: int = 0) -> list[list[int]]:
    """The sperm whose windows are sent, frame by frame over one second; sperm 2 has windows from 0.5 s on."""
    out = []
    for k in range(round(fps)):
        t_ns = round(k * NS_PER_S / fps) + (jitter_ns if k % 2 else 0)
        windows = [window(n, k) for n in (1, 2) if n == 1 or k >= fps / 2]
        out.append([w.sperm_id for w in pace.due(windows, t_ns)])
    return out


@pytest.mark.parametrize(("fps", "expected"), [(15.0, 15), (30.0, 30), (60.0, 30), (160.0, 32)])
def test_a_sperm_gets_thirty_windows_a_second_or_all(fps: float, expected: int) -> None:
    frames = sent(WindowPace(), fps)
    assert sum(1 in ids for ids in frames) == expected
    first = next(k for k, ids in enumerate(frames) if 2 in ids)
    assert first == round(fps / 2), "the first of a sperm goes at once"


def test_uneven_exposures_cost_no_window() -> None:
    assert sum(1 in ids for ids in sent(WindowPace(), 30.0, jitter_ns=3_000_000)) == 30


def test_offline_all_go() -> None:
    assert all(1 in ids for ids in sent(WindowPace(None), 160.0))
