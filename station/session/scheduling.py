"""Lets the recorder stand back behind those that must not wait, and come forward where frames would be lost."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable

STEP = 10
"""Of niceness: enough that tracker and network come first, little enough that a busy machine still records."""
LOOK_S = 0.2
"""How often it is looked whether the work has become pressing."""


def lower_priority() -> None:
    """Run with lower priority than the other processes from now on, in this thread and those it starts."""
    if sys.platform == "win32":
        import ctypes

        below_normal = 0x4000
        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), below_normal)
    else:
        os.nice(STEP)
        if hasattr(os, "SCHED_BATCH"):  # Linux: waking up never interrupts another process
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def work_in_spare_time(step: Callable[[], bool], pressing: Callable[[], bool]) -> None:
    """Call ``step`` until it returns False, in time that no other process wants; in the caller's while ``pressing``.

    A thread of the system's lowest class gives way at once to any thread that wakes up, and may get nothing at all.
    Who is in that class cannot leave it without privilege, hence two threads, of which one at a time is in ``step``;
    ``pressing`` is called by the caller every LOOK_S at least, meanwhile too. Where there is no such class (Windows,
    macOS) the second thread has the caller's priority. Raises what ``step`` raises.
    """
    done, calm, turn = threading.Event(), threading.Event(), threading.Lock()
    failed: list[BaseException] = []

    def once() -> None:
        """Do one step; without one where the other thread is still in its own."""
        if not turn.acquire(timeout=LOOK_S):
            return
        try:
            if not done.is_set() and not step():
                done.set()
        except BaseException as error:  # raised again below, in the caller
            failed.append(error)
            done.set()
        finally:
            turn.release()

    def behind_all_others() -> None:
        if hasattr(os, "SCHED_IDLE"):
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        while not done.is_set():
            once()
            calm.wait()

    thread = threading.Thread(target=behind_all_others, name="spare time")
    calm.set()
    thread.start()
    try:
        while not done.wait(LOOK_S):
            if pressing():
                calm.clear()
                while not done.is_set() and pressing():
                    once()
                calm.set()
    finally:
        done.set()
        calm.set()
        thread.join()
    if failed:
        raise failed[0]
