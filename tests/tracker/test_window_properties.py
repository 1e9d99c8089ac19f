"""Whatever frames, losses, doubts and exposures come: a window is T frames at the stride, with none missing between."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.validity import evidence_of, validity_of
from station.transport.messages import Validity, WindowInfo
from tests.support.properties import few
from tracker.window import RollingWindow, WindowShape

SIZE = 4
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("frames"), st.integers(1, 12)),
        st.tuples(st.just("lost"), st.integers(1, 3)),
        st.tuples(st.just("doubt"), st.integers(1, 2)),
        st.tuples(st.just("exposure"), st.just(1)),
    ),
    max_size=14,
)


def shown(seq: int) -> np.ndarray:
    """A frame that says its number in every pixel."""
    return np.full((8, 8), seq % 251, np.uint8)


@few(120)
@given(STEPS, st.integers(2, 6), st.integers(1, 4), st.one_of(st.none(), st.integers(0, 3)))
def test_a_window_never_spans_a_hole(steps: list[tuple[str, int]], frames: int, stride: int, phase: int | None) -> None:
    phase = None if phase is None else phase % stride
    window = RollingWindow(WindowShape(frames=frames, size=SIZE, stride=stride), phase)
    seq = exposure_id = 0
    unbroken_since = 0
    complete = 0
    for kind, count in steps:
        if kind == "lost":
            seq += count
            unbroken_since = seq
        elif kind == "exposure":
            exposure_id += 1
            unbroken_since = seq
        for _ in range(count if kind in ("frames", "doubt") else 0):
            if kind == "doubt":
                window.clear()
                unbroken_since = seq + 1
            elif window.add(
                shown(seq), 4.0, 4.0, frame_seq=seq, t_source_ns=seq * 1_000, exposure_id=exposure_id
            ):  # fmt: skip
                complete += 1
                seqs = window.frame_seqs
                assert seqs == tuple(range(seqs[0], seq + 1, stride))
                assert len(seqs) == frames
                assert seqs[0] >= unbroken_since
                assert window.pixels[:, 0, 0].tolist() == [number % 251 for number in seqs]
                assert window.t_source_ns == tuple(number * 1_000 for number in seqs)
                info = WindowInfo(
                    sperm_id=1, x=4.0, y=4.0, frame_seqs=list(seqs), t_source_ns=list(window.t_source_ns), padded=False
                )
                assert validity_of(info, evidence_of(info, []), None) is Validity.VALID
            assert window.filled <= frames
            seq += 1
    if steps == [("frames", 12)] and frames * stride <= 12 - stride:
        assert complete > 0
