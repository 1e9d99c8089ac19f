"""Batches that overlap in the network come out in order, with the bits that each has alone."""

import threading

import numpy as np
import pytest

from engine.artifact import Artifact
from engine.lanes import Lanes, lanes_of
from engine.onnx_runtime import OnnxSession
from station.build_info import ROOT

PATIENCE_S = 30.0


def test_batches_overlap_and_keep_their_order() -> None:
    second = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert second.wait(PATIENCE_S), "the second was not begun before the first was done"
        second.set()
        return number

    with Lanes(work, 2) as lanes:
        assert not lanes.busy
        lanes.put(0)
        assert lanes.busy
        assert not lanes.full
        lanes.put(1)
        assert lanes.full
        assert [lanes.take(), lanes.take()] == [0, 1]
        assert not lanes.busy


def test_one_lane_works_in_the_callers_thread() -> None:
    with Lanes(lambda _: threading.current_thread(), 1) as lanes:
        lanes.put(None)
        assert lanes.full
        assert lanes.take() is threading.current_thread()


@pytest.mark.parametrize("count", [1, 2])
def test_what_goes_wrong_is_raised(count: int) -> None:
    def put_and_take(lanes: Lanes[int, int]) -> None:
        lanes.put(0)
        lanes.take()

    with Lanes(lambda number: 1 // number, count) as lanes, pytest.raises(ZeroDivisionError):
        put_and_take(lanes)


def test_a_clip_has_the_same_grades_in_every_lane() -> None:
    artifact = Artifact.open(ROOT / "models" / "demo")
    rng = np.random.default_rng(4)
    size = artifact.manifest.inputs[0].shape[1:]
    clips = [rng.integers(0, 256, (1, *size), np.uint8) for _ in range(6)]
    with OnnxSession(artifact, threads=1) as runtime:
        alone = [runtime.infer(clip) for clip in clips]
        assert lanes_of(runtime, lossless=False) == 1
        assert lanes_of(runtime, lossless=True) >= 1
        with Lanes(runtime.infer, 3) as lanes:
            together = []
            for clip in clips:
                lanes.put(clip)
                if lanes.full:
                    together.append(lanes.take())
            together += [lanes.take() for _ in range(len(clips) - len(together))]
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one.grade, other.grade)
        assert np.array_equal(one.heads, other.heads)
        assert np.array_equal(one.attention, other.attention)
