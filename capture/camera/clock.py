"""The camera's clock on the station clock: a running straight-line fit to pairs of readings.

A camera stamps frames with its own counter, which starts anywhere and drifts by some parts per million. The pairs come
either from a latch command (the camera is asked for its time) or from the arrival of frames. Arrivals are late by the
transfer, never early, so only the earliest pair of each second counts: the line follows the lower edge of the cloud and
a busy host does not bend it. This module only knows numbers.
"""

from collections import deque

import numpy as np

from station.clock import NS_PER_MS, NS_PER_S

BIN_NS = NS_PER_S
BINS = 30
"""Seconds the line is fitted to: long compared with noise, short compared with temperature changes."""
LEAST_BINS = 3
"""Fewer give an offset only, no drift."""
MOST_DRIFT = 1e-3
"""A crystal is off by 1e-4 at most; more means wrong ticks, and a slope would extrapolate the error."""


class CameraClock:
    """Maps camera times to station times, both in ns."""

    def __init__(self) -> None:
        self._pairs: deque[tuple[int, int]] = deque(maxlen=BINS)
        """(camera time, station time minus camera time) of the earliest pair of each complete second."""
        self._open: tuple[int, int] | None = None
        self._open_since_ns = 0
        self._centre_ns = 0
        self._offset_ns = 0.0
        self._drift = 0.0
        self._error_ns: float | None = None

    @property
    def error_ms(self) -> float | None:
        """Largest distance of a second's earliest pair from the line, ms; None before three seconds are complete."""
        return None if self._error_ns is None else self._error_ns / NS_PER_MS

    def add(self, camera_ns: int, station_ns: int) -> None:
        """Add a reading: the camera's clock showed ``camera_ns`` at ``station_ns`` or slightly earlier."""
        pair = (camera_ns, station_ns - camera_ns)
        if self._open is None or camera_ns - self._open_since_ns >= BIN_NS:
            if self._open is not None:
                self._pairs.append(self._open)
                self._fit()
            self._open, self._open_since_ns = pair, camera_ns
        elif pair[1] < self._open[1]:
            self._open = pair
        if len(self._pairs) < LEAST_BINS:
            earliest = min((*self._pairs, self._open), key=lambda p: p[1])
            self._centre_ns, self._offset_ns = earliest[0], float(earliest[1])

    def station_ns(self, camera_ns: int) -> int:
        """Return the station time at which the camera's clock showed ``camera_ns``."""
        return camera_ns + round(self._offset_ns + self._drift * (camera_ns - self._centre_ns))

    def _fit(self) -> None:
        if len(self._pairs) < LEAST_BINS:
            return
        camera = np.array([p[0] for p in self._pairs], np.int64)
        offset = np.array([p[1] for p in self._pairs], np.int64)
        # Differences from the first pair are exact in float64; the counters themselves may not be.
        x, y = (camera - camera[0]).astype(float), (offset - offset[0]).astype(float)
        x_mean, y_mean = x.mean(), y.mean()
        drift = float(((x - x_mean) * (y - y_mean)).sum() / ((x - x_mean) ** 2).sum())
        self._drift = drift if abs(drift) <= MOST_DRIFT else 0.0
        self._centre_ns = int(camera[0]) + round(x_mean)
        self._offset_ns = float(int(offset[0])) + float(y_mean)
        self._error_ns = float(np.abs(y - y_mean - self._drift * (x - x_mean)).max())
