"""The rolling window: arithmetic by table, gaps, borders, and the cost of handing it out."""

import itertools

import numpy as np
import pytest

from station.errors import InputError
from tracker.window import RollingWindow, WindowShape, crop_into, free_phase


def frame(number: int, height: int = 40, width: int = 50) -> np.ndarray:
    return np.full((height, width), number % 256, np.uint8)


def feed(window: RollingWindow, events: str) -> list[int]:
    """Play a string: '.' a frame, '-' a lost frame, 'u' an unlocked one, 'e' a frame of another exposure setting.

    Return the frame numbers with which a window was complete.
    """
    complete, exposure = [], 0
    for number, event in enumerate(events):
        if event == "-":
            continue
        if event == "u":
            window.clear()
            continue
        exposure += event == "e"
        if window.add(frame(number), 25.0, 20.0, frame_seq=number, t_source_ns=1000 * number, exposure_id=exposure):
            complete.append(number)
    return complete


@pytest.mark.parametrize(
    ("frames", "stride", "events", "complete", "last"),
    [
        pytest.param(4, 1, "......", [3, 4, 5], (2, 3, 4, 5), id="fills, then every frame"),
        pytest.param(1, 1, "...", [0, 1, 2], (2,), id="one frame is a window"),
        pytest.param(4, 1, "..-....", [6], (3, 4, 5, 6), id="a lost frame begins again"),
        pytest.param(4, 1, "...u....", [7], (4, 5, 6, 7), id="an unlocked frame begins again"),
        pytest.param(4, 1, "..e....", [5, 6], (3, 4, 5, 6), id="another exposure begins again with its first frame"),
        pytest.param(4, 1, "...-...-...", [], (8, 9, 10), id="too many gaps never fill it"),
        pytest.param(3, 2, ".......", [4, 6], (2, 4, 6), id="stride 2: every second frame"),
        pytest.param(3, 2, "...-.....", [8], (4, 6, 8), id="stride 2: a frame between two taken ones is lost"),
        pytest.param(3, 3, "..u.......", [9], (3, 6, 9), id="stride 3: unlocked in between"),
        pytest.param(3, 3, "...u.......", [10], (4, 7, 10), id="stride 3: begins again with the first frame"),
        pytest.param(2, 1, "." * 50, list(range(1, 50)), (48, 49), id="runs on far beyond the buffer"),
    ],
)
def test_arithmetic(frames: int, stride: int, events: str, complete: list[int], last: tuple[int, ...]) -> None:
    window = RollingWindow(WindowShape(frames=frames, size=8, stride=stride))
    assert feed(window, events) == complete
    assert window.frame_seqs == last
    assert window.t_source_ns == tuple(1000 * n for n in last)
    assert [int(crop[0, 0]) for crop in window.pixels] == list(last), "the crops belong to the numbers"
    assert window.filled == len(last)


@pytest.mark.parametrize("phase", [None, 0, 1, 3])
@pytest.mark.parametrize(("every", "of_sent"), [(2, 1), (2, 2), (4, 2), (4, 4)])
def test_of_a_thinned_source_the_crops_are_as_far_apart_in_time(phase: int | None, every: int, of_sent: int) -> None:
    """All frames, then one in ``every`` of the source, whose numbers are ``of_sent`` apart; then all again."""
    window = RollingWindow(WindowShape(frames=4, size=8, stride=4), phase)
    complete, seq = [], 0
    for t in (*range(40), *range(40, 80, every), *range(80, 120)):
        thinned = 40 <= t < 80
        how = (every, of_sent) if thinned else (1, 1)
        if window.add(frame(t), 25.0, 20.0, frame_seq=seq, t_source_ns=t, exposure_id=0, every=how[0], of_sent=how[1]):
            complete.append(t)
            times = window.t_source_ns
            assert {b - a for a, b in itertools.pairwise(times)} == {4}
            assert [int(crop[0, 0]) for crop in window.pixels] == list(times)
            assert {40 <= t < 80 for t in times} == {thinned}, "none from both sides of the change"
        seq += how[1]
    assert [sum(a <= t < a + 40 for t in complete) for a in (0, 40, 80)] == [7, 7, 7]


def test_what_does_not_divide_the_stride_fills_no_window() -> None:
    window = RollingWindow(WindowShape(frames=2, size=8, stride=4))
    for n in range(30):
        assert not window.add(frame(n), 25.0, 20.0, frame_seq=n, t_source_ns=3 * n, exposure_id=0, every=3)
    assert window.filled == 0


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_crops_are_taken_in_the_windows_own_phase(phase: int) -> None:
    window = RollingWindow(WindowShape(frames=2, size=8, stride=3), phase)
    assert feed(window, "........") == [n for n in range(3, 8) if n % 3 == phase]
    feed(window, "u........")
    assert all(seq % 3 == phase for seq in window.frame_seqs)


@pytest.mark.parametrize(
    ("taken", "stride", "phase"),
    [([], 4, 0), ([0], 4, 1), ([0, 1, 3], 4, 2), ([0, 1, 2, 3], 4, 0), ([0, 0, 1], 2, 1), ([0, 0], 1, 0)],
)
def test_the_phase_that_the_fewest_have_is_free(taken: list[int], stride: int, phase: int) -> None:
    assert free_phase(taken, stride) == phase


@pytest.mark.parametrize(
    ("x", "y", "padded", "outside"),
    [
        pytest.param(25, 20, False, 0, id="inside"),
        pytest.param(4, 4, False, 0, id="touches the corner"),
        pytest.param(46, 36, False, 0, id="touches the other corner"),
        pytest.param(3, 20, True, 8, id="one column over the left edge"),
        pytest.param(25, 39, True, 3 * 8, id="over the lower edge"),
        pytest.param(0, 0, True, 64 - 16, id="centre on the corner"),
        pytest.param(-50, 20, True, 64, id="wholly outside"),
        pytest.param(4.49, 20.2, False, 0, id="rounds to the nearest pixel"),
    ],
)
def test_crop_at_the_border(x: float, y: float, padded: bool, outside: int) -> None:
    picture = np.full((40, 50), 100, np.uint8)
    out = np.zeros((8, 8), np.uint8)
    picture[:, ::2] = 200
    assert crop_into(out, picture, x, y) is padded
    assert np.count_nonzero(~np.isin(out, (100, 200))) in (outside, 0), "what is outside has one level"
    if not padded:
        left, top = round(x) - 4, round(y) - 4
        assert np.array_equal(out, picture[top : top + 8, left : left + 8])


def test_padding_is_the_mean_of_the_edge() -> None:
    picture = np.zeros((40, 50), np.uint8)
    picture[:, 0] = 77
    out = np.empty((8, 8), np.uint8)
    assert crop_into(out, picture, 1, 20)
    assert np.all(out[:, :3] == 77)
    assert np.array_equal(out[:, 3:], picture[16:24, :5])


def test_a_window_remembers_that_one_crop_was_padded_until_it_has_left() -> None:
    window = RollingWindow(WindowShape(frames=3, size=8))
    seen = []
    for number, x in enumerate((25, 1, 25, 25, 25)):
        window.add(frame(number), x, 20, frame_seq=number, t_source_ns=number, exposure_id=0)
        seen.append(window.padded)
    assert seen == [False, True, True, True, False]


def test_handing_out_copies_nothing() -> None:
    window = RollingWindow(WindowShape(frames=4, size=8))
    feed(window, "." * 11)
    assert np.shares_memory(window.pixels, window.pixels)
    assert window.pixels.flags.c_contiguous
    assert window.pixels.base is not None


@pytest.mark.parametrize("shape", [(0, 8, 1), (4, 0, 1), (4, 8, 0)])
def test_impossible_windows_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="at least 1"):
        WindowShape(*shape)
