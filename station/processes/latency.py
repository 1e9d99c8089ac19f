"""Percentiles of durations in constant memory: for a run of any length, and for its latest part.

Durations are sorted into buckets whose edges grow by 1 %, so a percentile is right within 1 %; count and maximum are
exact. This module knows numbers, not where they come from.
"""

import math
from collections import deque

import numpy as np

from station.transport.control_messages import Percentiles

FLOOR_MS = 0.001
GROWTH = 1.01
BUCKETS = 2 + math.ceil(math.log(3_600_000 / FLOOR_MS) / math.log(GROWTH))
"""From a microsecond to an hour; anything outside falls into the first or last bucket."""
RECENT = 256


class LatencyRecorder:
    """Collects durations in ms; negative ones (clocks can't do that, foreign messages can) count as zero."""

    def __init__(self) -> None:
        self._buckets = np.zeros(BUCKETS, np.int64)
        self._max_ms = 0.0
        self._recent: deque[float] = deque(maxlen=RECENT)

    def add(self, duration_ms: float) -> None:
        """Add one duration."""
        duration_ms = max(0.0, duration_ms)
        index = 0 if duration_ms <= FLOOR_MS else 1 + int(math.log(duration_ms / FLOOR_MS) / math.log(GROWTH))
        self._buckets[min(index, BUCKETS - 1)] += 1
        self._max_ms = max(self._max_ms, duration_ms)
        self._recent.append(duration_ms)

    def total(self) -> Percentiles:
        """Return the percentiles over everything added, each within 1 %."""
        count = int(self._buckets.sum())
        if count == 0:
            return Percentiles()
        cumulative = np.cumsum(self._buckets)

        def percentile(share: float) -> float:
            index = int(np.searchsorted(cumulative, math.ceil(share * count)))
            # The geometric middle of the bucket halves the largest possible error.
            middle = 0.0 if index == 0 else FLOOR_MS * GROWTH ** (index - 0.5)
            return min(middle, self._max_ms)

        return Percentiles(
            count=count, p50=percentile(0.5), p95=percentile(0.95), p99=percentile(0.99), max=self._max_ms
        )

    def recent(self) -> Percentiles:
        """Return the exact percentiles over the latest 256 values."""
        if not self._recent:
            return Percentiles()
        p50, p95, p99 = (float(p) for p in np.percentile(list(self._recent), [50, 95, 99]))
        return Percentiles(count=len(self._recent), p50=p50, p95=p95, p99=p99, max=max(self._recent))
