"""Work is done at idle priority, and by the caller where that is too slow."""

import os
import threading
import time
from collections.abc import Callable

import pytest

from station.session.scheduling import work_in_spare_time

STEPS = 5


def steps(where: list[int], *, last: int = STEPS) -> Callable[[], bool]:
    def step() -> bool:
        where.append(threading.get_ident())
        time.sleep(0.01)
        return len(where) < last

    return step


def test_unless_it_is_pressing_another_thread_does_the_work_to_its_end() -> None:
    where: list[int] = []
    work_in_spare_time(steps(where), lambda: False)
    assert len(where) == STEPS
    assert len(set(where)) == 1
    assert threading.get_ident() not in where


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="this system has no such class")
def test_that_thread_gets_only_what_is_left_and_the_caller_stays_as_it_was() -> None:
    seen: list[int] = []
    before = os.sched_getscheduler(0)

    def step() -> bool:
        seen.append(os.sched_getscheduler(0))
        return False

    work_in_spare_time(step, lambda: False)
    assert seen == [os.SCHED_IDLE]
    assert os.sched_getscheduler(0) == before


def test_while_it_is_pressing_the_caller_does_it_and_never_both_at_once() -> None:
    where: list[int] = []
    inside = threading.Lock()

    def step() -> bool:
        assert inside.acquire(blocking=False), "two threads at once"
        where.append(threading.get_ident())
        time.sleep(0.01)
        inside.release()
        return len(where) < 120

    asked: list[None] = []

    def pressing() -> bool:
        asked.append(None)
        return 2 <= len(asked) < 20

    work_in_spare_time(step, pressing)
    caller = threading.get_ident()
    assert 10 <= where.count(caller) < 20
    assert where[0] != caller
    assert where[-1] != caller, "it stood back again"


def test_while_a_step_hangs_the_caller_goes_on_looking() -> None:
    seen = threading.Event()
    looks: list[None] = []

    def pressing() -> bool:
        looks.append(None)
        if len(looks) == 3:
            seen.set()
        return True

    def step() -> bool:
        assert seen.wait(20), "nobody looked"
        return False

    work_in_spare_time(step, pressing)


@pytest.mark.parametrize("pressing", [False, True])
def test_an_error_reaches_the_caller(pressing: bool) -> None:
    def fail() -> bool:
        raise OSError(28, "no space left")

    with pytest.raises(OSError, match="no space left"):
        work_in_spare_time(fail, lambda: pressing)
