"""Which windows go into the network next."""

import gc

import numpy as np

from engine.scheduler import EveryWindow, NewestPerSperm, PendingWindow
from station.transport.buffers import Received
from station.transport.messages import Trace, WindowInfo, WindowsHeader


def message(frame_seq: int, *sperm_ids: int, t_exposure_ns: int = 1) -> Received:
    windows = [
        WindowInfo(sperm_id=i, x=0.0, y=0.0, frame_seqs=[frame_seq], t_source_ns=[0], padded=False) for i in sperm_ids
    ]
    header = WindowsHeader(
        seq=0,
        frame_seq=frame_seq,
        trace=Trace(t_exposure_ns=t_exposure_ns, t_sent_ns=2),
        shape=[len(sperm_ids), 1, 2, 2],
        windows=windows,
    )
    pixels = np.stack([np.full((1, 2, 2), (frame_seq + i) % 256, np.uint8) for i in sperm_ids])
    return Received(header, pixels, t_received_ns=77)


def taken(buffer: NewestPerSperm | EveryWindow) -> list[tuple[int, int]] | None:
    batch = buffer.take()
    return batch and [(window.info.sperm_id, window.info.frame_seqs[0]) for window in batch]


def test_live_keeps_the_newest_of_each_sperm_and_counts_the_rest() -> None:
    buffer = NewestPerSperm()
    assert [buffer.put(message(seq, 1, 2)) for seq in (10, 11, 12)] == [0, 2, 2]
    batch = buffer.take()
    assert batch is not None
    assert [(w.info.sperm_id, w.info.frame_seqs[0], int(w.pixels[0, 0, 0])) for w in batch] == [
        (1, 12, 13),
        (2, 12, 14),
    ]
    assert batch[0].trace.t_engine_in_ns == 77
    assert buffer.take() is None


def test_live_serves_the_longest_unanswered_first() -> None:
    buffer = NewestPerSperm(limit=1)
    order = []
    for seq in range(6):
        buffer.put(message(seq, 1, 2, 3))
        order.append(taken(buffer))
    assert order == [[(1, 0)], [(2, 1)], [(3, 2)], [(1, 3)], [(2, 4)], [(3, 5)]]


def test_live_new_sperm_go_before_old_ones() -> None:
    buffer = NewestPerSperm(limit=1)
    buffer.put(message(0, 1))
    assert taken(buffer) == [(1, 0)]
    buffer.put(message(1, 1, 9))
    assert taken(buffer) == [(9, 1)]


def test_live_grades_no_sperm_more_often_than_asked_and_counts_only_windows_that_were_due() -> None:
    buffer = NewestPerSperm(grades_per_s=5.0)
    graded, replaced = [], 0
    for frame in range(16):  # of a camera at 15/s: every third frame
        replaced += buffer.put(message(frame, 1, t_exposure_ns=frame * 66_666_667))
        graded += taken(buffer) or []
    assert graded == [(1, 0), (1, 3), (1, 6), (1, 9), (1, 12), (1, 15)]
    assert replaced == 0
    buffer.put(message(18, 1, t_exposure_ns=18 * 66_666_667))
    assert buffer.put(message(19, 1, 2, t_exposure_ns=19 * 66_666_667)) == 1
    assert taken(buffer) == [(2, 19), (1, 19)]


def test_offline_keeps_everything_in_the_batches_of_the_messages() -> None:
    buffer = EveryWindow(limit=2)
    for seq in (5, 6):
        assert buffer.put(message(seq, 1, 2, 3)) == 0
    assert [taken(buffer) for _ in range(5)] == [[(1, 5), (2, 5)], [(3, 5)], [(1, 6), (2, 6)], [(3, 6)], None]


def test_live_forgets_sperm_that_are_gone() -> None:
    """A sperm that is lost just after a grade leaves a window that is not due and never will be."""
    buffer = NewestPerSperm(grades_per_s=5)
    for sperm_id in range(10_000):
        t_ns = sperm_id * 100_000_000
        buffer.put(message(0, sperm_id, t_exposure_ns=t_ns))
        assert taken(buffer) == [(sperm_id, 0)]
        buffer.put(message(1, sperm_id, t_exposure_ns=t_ns + 66_666_667))
        assert taken(buffer) is None
    # By type: isinstance() asks objects for their class, and one of torch's answers with a warning.
    assert sum(type(one) is PendingWindow for one in gc.get_objects()) < 100
