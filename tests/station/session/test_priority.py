"""The recorder stands back, and comes forward where frames would be lost."""

import os
import threading

import pytest

from station.session.priority import BackSeat


def test_work_goes_to_another_thread_unless_it_is_in_a_hurry() -> None:
    where: list[int] = []
    with BackSeat() as seat:
        for hurry in (False, False, True):
            seat.run(lambda: where.append(threading.get_ident()), hurry=hurry)
    assert where[0] == where[1] != where[2] == threading.get_ident()


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="this system has no such class")
def test_that_thread_takes_only_what_is_left_and_the_caller_stays_as_it_was() -> None:
    seen: list[int] = []
    before = os.sched_getscheduler(0)
    with BackSeat() as seat:
        seat.run(lambda: seen.append(os.sched_getscheduler(0)), hurry=False)
    assert seen == [os.SCHED_IDLE]
    assert os.sched_getscheduler(0) == before


@pytest.mark.parametrize("hurry", [False, True])
def test_an_error_reaches_the_caller_and_the_next_piece_is_done(hurry: bool) -> None:
    done: list[bool] = []

    def fail() -> None:
        raise OSError(28, "no space left")

    with BackSeat() as seat:
        with pytest.raises(OSError, match="no space left"):
            seat.run(fail, hurry=hurry)
        seat.run(lambda: done.append(True), hurry=hurry)
    assert done == [True]
