"""Does a process that makes no progress get no processor time, for all its threads are ready to run?

On a loaded machine a healthy process may stand still for seconds, above all one that stands back behind the others; one
that hangs waits for something else, or uses the processor. It knows what Linux says about threads, and sees nothing of
that elsewhere; what follows from it is the supervisor's business.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from station.clock import NS_PER_S

LOOK_S: Final = 0.25
"""How often a silent process is looked at."""
SHARE: Final = 0.5
"""Of the time between two looks: so long a thread must have waited for a processor."""


@dataclass(frozen=True, slots=True)
class ThreadTimes:
    """What a thread has had so far."""

    ran_ns: int
    waited_ns: int
    """For a processor; a wait that goes on still is not in it."""
    ready: bool
    """It runs, or waits for a processor."""


def thread_times(pid: int) -> dict[str, ThreadTimes]:
    """Return the times of a process's threads by their numbers; empty where the system does not say."""
    times: dict[str, ThreadTimes] = {}
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError, ValueError):  # one may have ended meanwhile
                ran, waited, _ = (thread / "schedstat").read_text().split()
                state = (thread / "stat").read_bytes().rpartition(b") ")[2][:1]
                times[thread.name] = ThreadTimes(int(ran), int(waited), state == b"R")
    return times


class Starvation:
    """How long one process has had no processor time since it last made progress."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._looked_s: float | None = None
        self._before: dict[str, ThreadTimes] = {}

    def look(self, pid: int, now_s: float) -> None:
        """Look at a process that is silent; does nothing where it was looked at just now."""
        if self._looked_s is None or now_s - self._looked_s >= LOOK_S:
            self.take_in(thread_times(pid), now_s)

    def take_in(self, times: dict[str, ThreadTimes], now_s: float) -> None:
        """Count the time since the last look where a thread spent most of it waiting for a processor."""
        if self._looked_s is not None:
            span_ns = (now_s - self._looked_s) * NS_PER_S
            pairs = ((self._before[thread], now) for thread, now in times.items() if thread in self._before)
            if any(_starved(before, now, span_ns) for before, now in pairs):
                self.seconds += now_s - self._looked_s
        self._looked_s, self._before = now_s, times

    def clear(self) -> None:
        """Forget what was: the process has made progress."""
        self.seconds, self._looked_s, self._before = 0.0, None, {}


def _starved(before: ThreadTimes, now: ThreadTimes, span_ns: float) -> bool:
    if now.waited_ns - before.waited_ns >= SHARE * span_ns:
        return True
    return before.ready and now.ready and now.ran_ns - before.ran_ns < (1 - SHARE) * span_ns
