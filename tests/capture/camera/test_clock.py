"""The camera's clock mapped to the station clock: known offset and drift are found through one-sided delays."""

import numpy as np
import pytest

from capture.camera.clock import CameraClock

OFFSET_NS = 9_876_543_210_123


def run_clock(drift_ppm: float, seconds: float, delay_ms, fps: float = 60.0, start_ns: int = 5_000_000):
    """Feed a clock with frames; return it and the true station time of each camera time."""
    rng = np.random.default_rng(3)
    clock, truth = CameraClock(), {}
    for k in range(round(seconds * fps)):
        camera_ns = start_ns + round(k * 1e9 / fps)
        true_ns = OFFSET_NS + camera_ns + round((camera_ns - start_ns) * drift_ppm * 1e-6)
        truth[camera_ns] = true_ns
        clock.add(camera_ns, true_ns + round(delay_ms(rng) * 1e6))
    return clock, truth


@pytest.mark.parametrize("drift_ppm", [-80.0, 0.0, 35.0])
@pytest.mark.parametrize("start_ns", [0, 2**62], ids=["from zero", "large counter"])
def test_offset_and_drift_are_found_below_late_arrivals(drift_ppm, start_ns):
    """Two thirds of the frames arrive up to 30 ms late; the earliest of each second gives the time."""
    clock, truth = run_clock(
        drift_ppm, 40, lambda rng: 0.05 * rng.random() + 30 * max(0, rng.random() - 0.33), start_ns=start_ns
    )
    errors_ms = [(clock.station_ns(c) - t) / 1e6 for c, t in list(truth.items())[-300:]]
    assert max(map(abs, errors_ms)) < 0.1
    a_minute_ns = 60_000_000_000
    camera_ns, true_ns = list(truth.items())[-1]
    gained_ns = clock.station_ns(camera_ns + a_minute_ns) - true_ns - a_minute_ns
    assert gained_ns == pytest.approx(60_000 * drift_ppm, abs=60_000 * 5)
    assert clock.error_ms is not None
    assert clock.error_ms < 0.1


def test_the_first_seconds_go_by_the_soonest_arrival():
    clock, truth = run_clock(0, 1.5, lambda rng: 10 * rng.random())
    camera_ns, true_ns = list(truth.items())[-1]
    assert 0 <= clock.station_ns(camera_ns) - true_ns < 1_000_000
    assert clock.error_ms is None
    assert clock.station_ns(camera_ns + 10**9) - clock.station_ns(camera_ns) == 10**9, "no drift yet"


def test_the_error_shows_a_clock_that_jumps():
    clock = CameraClock()
    for k in range(1200):
        clock.add(round(k * 1e9 / 60), OFFSET_NS + round(k * 1e9 / 60) + (5_000_000 if k > 600 else 0))
    assert clock.error_ms > 1


def test_an_impossible_drift_is_not_carried_on():
    """Ticks of 8 ns taken for 1 ns: the line would diverge, so the offset stays at the newest seconds' mean."""
    clock, truth = run_clock(500_000, 10, lambda _: 0)
    camera_ns = list(truth)[-1]
    assert clock.station_ns(camera_ns + 10**9) - clock.station_ns(camera_ns) == 10**9
    assert clock.error_ms > 1000
