"""The grades of the last minute."""

import gc
import weakref

from station.clock import NS_PER_S
from station.dashboard.history import GradeHistory
from station.transport.messages import GradeInfo, Trace, Validity


def grade(sperm_id: int, t_s: float) -> GradeInfo:
    t_ns = round(t_s * NS_PER_S)
    return GradeInfo(
        sperm_id=sperm_id, frame_seq=0, x=0.0, y=0.0, grade=[0.2] * 5, heads=[[0.2] * 5] * 3, validity=Validity.VALID,
        trace=Trace(t_exposure_ns=t_ns, t_sent_ns=t_ns),
    )  # fmt: skip


def test_a_minute_is_kept_sperm_by_sperm() -> None:
    history = GradeHistory()
    history.add([grade(1, t_s) for t_s in range(100)])
    history.add([grade(2, 99.0)])
    kept = history.of(1, 100 * NS_PER_S)
    assert [found.trace.t_exposure_ns // NS_PER_S for found in kept] == list(range(40, 100))
    assert len(history.of(2, 100 * NS_PER_S)) == 1
    assert history.of(None, 0) == history.of(3, 0) == ()


def test_grades_of_sperm_that_nobody_looks_at_go_with_their_minute() -> None:
    history = GradeHistory()
    lost = [grade(1, t_s) for t_s in range(10)]
    kept = [weakref.ref(one) for one in lost]
    history.add(lost)
    del lost
    history.add([grade(2, 65.0)])
    gc.collect()
    assert [one() is not None for one in kept] == [False] * 5 + [True] * 5
    history.add([grade(2, 75.0)])
    gc.collect()
    assert all(one() is None for one in kept)
