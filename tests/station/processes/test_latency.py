"""Percentiles in constant memory, against numpy on the values themselves."""

import numpy as np
import pytest

from station.processes.latency import RECENT, LatencyRecorder


@pytest.mark.parametrize("scale_ms", [0.01, 1.0, 100.0, 20_000.0])
def test_percentiles_are_right_within_one_percent(scale_ms: float) -> None:
    values = np.random.default_rng(3).lognormal(0, 1, 5000) * scale_ms
    recorder = LatencyRecorder()
    for value in values:
        recorder.add(float(value))
    total = recorder.total()
    expected = np.percentile(values, [50, 95, 99], method="inverted_cdf")
    assert np.allclose([total.p50, total.p95, total.p99], expected, rtol=0.01)
    assert (total.count, total.max) == (5000, values.max())
    recent = recorder.recent()
    assert recent.count == RECENT
    assert recent.p50 == pytest.approx(np.percentile(values[-RECENT:], 50))


def test_nothing_added_is_zero() -> None:
    assert LatencyRecorder().total().count == LatencyRecorder().recent().count == 0


@pytest.mark.parametrize(("value", "p50"), [(0.0, 0.0), (-5.0, 0.0), (1e9, 1e9)])
def test_values_outside_the_range_are_kept(value: float, p50: float) -> None:
    recorder = LatencyRecorder()
    recorder.add(value)
    total = recorder.total()
    assert total.max == p50
    assert total.p50 <= p50
    assert total.count == 1
