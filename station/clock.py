"""The one clock of a station: monotonic, in nanoseconds, the same in every process of the host.

It knows nothing of calendar time; wall time is only in file names and records.
"""

import sys
import time

if sys.platform == "win32":
    # time.monotonic ticks in 16 ms steps on older Windows versions; the performance counter does not, and it too is
    # counted from the start of the machine, so that processes can compare their readings.
    now_ns = time.perf_counter_ns
else:
    now_ns = time.monotonic_ns

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
SUSPENDED_S = 1.0
"""A loop that turns many times a second and has not for so long was suspended, or kept from running altogether."""


def ms_between(start_ns: int, end_ns: int) -> float:
    """Return the milliseconds from ``start_ns`` to ``end_ns``."""
    return (end_ns - start_ns) / NS_PER_MS


class AwakeClock:
    """Seconds that pass only while this process runs: not while it is suspended (Ctrl-Z, SIGSTOP, a closed lid).

    It must be read many times a second. Patience is measured by it, so that nobody is blamed for the time in between.
    """

    def __init__(self) -> None:
        self._seen_ns = now_ns()
        self._awake_ns = 0
        self._suspended_ns = 0

    def seconds(self) -> float:
        """Return the seconds since it was made, without those of suspensions."""
        passed_ns = now_ns() - self._seen_ns
        self._seen_ns += passed_ns
        if passed_ns > SUSPENDED_S * NS_PER_S:
            self._suspended_ns += passed_ns
        else:
            self._awake_ns += passed_ns
        return self._awake_ns / NS_PER_S

    @property
    def suspended_s(self) -> float:
        """Seconds of suspension, as of the last reading."""
        return self._suspended_ns / NS_PER_S
