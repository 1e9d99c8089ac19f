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


def ms_between(start_ns: int, end_ns: int) -> float:
    """Return the milliseconds from ``start_ns`` to ``end_ns``."""
    return (end_ns - start_ns) / NS_PER_MS
