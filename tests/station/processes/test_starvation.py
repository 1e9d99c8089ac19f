"""What counts as starved of processor time."""

import os

from station.clock import NS_PER_S
from station.processes.starvation import Starvation, ThreadTimes, thread_times

RUNS = ThreadTimes(0, 0, ready=True)
SLEEPS = ThreadTimes(0, 0, ready=False)


def starved_s(before: ThreadTimes, after: ThreadTimes) -> float:
    starvation = Starvation()
    starvation.take_in({"1": SLEEPS, "2": before}, 10.0)
    starvation.take_in({"1": SLEEPS, "2": after, "3": RUNS}, 11.0)
    return starvation.seconds


def test_who_waits_for_a_processor_is_starved_and_who_hangs_is_not() -> None:
    assert starved_s(RUNS, RUNS) == 1.0, "ready all the time, and got nothing"
    assert starved_s(SLEEPS, ThreadTimes(NS_PER_S // 10, NS_PER_S * 9 // 10, ready=False)) == 1.0
    assert starved_s(RUNS, ThreadTimes(NS_PER_S, 0, ready=True)) == 0.0, "an endless loop"
    assert starved_s(SLEEPS, SLEEPS) == 0.0, "it waits for something else"
    starvation = Starvation()
    starvation.take_in({"1": RUNS}, 1.0)
    starvation.take_in({"1": RUNS}, 2.0)
    starvation.clear()
    starvation.take_in({"1": RUNS}, 9.0)
    assert starvation.seconds == 0.0, "what was before its progress does not count"


def test_the_system_says_so_of_this_process_and_nothing_of_one_that_is_gone() -> None:
    if os.path.isdir("/proc/self/task"):
        assert any(times.ready and times.ran_ns for times in thread_times(os.getpid()).values())
    assert thread_times(2**22 + 1) == {}
