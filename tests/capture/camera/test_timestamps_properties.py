"""From camera times to the station's, whatever the clock's offset, drift, wrap-around and a busy host do."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.camera.clock import CameraClock
from capture.camera.device import Grab
from capture.camera.timestamps import Timeline
from station.clock import NS_PER_S
from station.transport.control_messages import SourceInfo
from tests.support.properties import few

FPS = 50.0
INTERVAL_NS = round(NS_PER_S / FPS)
SHORTEST_NS, LONGEST_NS = 300_000, 40_000_000
"""A transfer takes so long, on a host that is busy now and then."""

BEFORE_NS = 1_000_000
"""By what the fit of a drifting clock may be wrong."""


class Camera:
    """As much of a device as a timeline needs; without a latch."""

    info = SourceInfo(name="camera", height=4, width=4, fps=FPS)
    exposure_ns = 1_000_000

    def latch(self) -> None:
        return None


def frames(
    count: int, drift: float, first_ns: int, wraps_at_ns: int | None, seed: int
) -> tuple[list[Grab], list[int], list[int]]:
    """Return buffers, their arrivals and the true ends of exposure, both on the station clock."""
    rng = np.random.default_rng(seed)
    grabs, arrivals, exposed = [], [], []
    free_ns = 0
    for k in range(count):
        true_ns = 10 * NS_PER_S + k * INTERVAL_NS
        camera_ns = first_ns + round(k * INTERVAL_NS * (1 + drift))
        camera_ns = camera_ns % wraps_at_ns if wraps_at_ns else camera_ns
        busy = rng.random() < 0.2
        free_ns = max(free_ns, true_ns + SHORTEST_NS + (int(rng.integers(0, LONGEST_NS)) if busy else 0))
        grabs.append(Grab(np.zeros((4, 4), np.uint8), frame_id=k, camera_ns=camera_ns))
        arrivals.append(free_ns)
        exposed.append(true_ns)
        free_ns += 1
    return grabs, arrivals, exposed


@few(40)
@given(
    st.floats(-1e-4, 1e-4),
    st.integers(0, 1 << 62),
    st.one_of(st.none(), st.integers(2, 8)),
    st.integers(0, 1000),
)
def test_times_are_rising_and_right_within_a_transfer(
    drift: float, first_ns: int, wraps_after_s: int | None, seed: int
) -> None:
    wraps_at_ns = None if wraps_after_s is None else first_ns + wraps_after_s * NS_PER_S
    timeline = Timeline(Camera())  # type: ignore[arg-type]
    grabs, arrivals, exposed = frames(500, drift, first_ns, wraps_at_ns, seed)
    placed = [timeline.place(grab, arrival) for grab, arrival in zip(grabs, arrivals, strict=True)]
    found = [frame for frame in placed if frame is not None]
    assert len(found) == len(grabs)
    for before, after in itertools.pairwise(found):
        assert after.t_source_ns > before.t_source_ns
        assert after.t_exposure_ns is not None
        assert before.t_exposure_ns is not None
        assert after.t_exposure_ns > before.t_exposure_ns
        assert after.lost_before == 0
    for frame, true_ns, arrival_ns in zip(found, exposed, arrivals, strict=True):
        assert frame.t_exposure_ns is not None
        assert frame.t_exposure_ns <= arrival_ns, "no frame is exposed after it came"
        assert frame.t_exposure_ns >= true_ns - BEFORE_NS, "nor before it was"
    worst_ns = max(abs(f.t_source_ns - k * INTERVAL_NS) for k, f in enumerate(found))
    latest_ns = max(arrival - true_ns for arrival, true_ns in zip(arrivals, exposed, strict=True))
    wraps = sum(later.camera_ns < earlier.camera_ns for earlier, later in itertools.pairwise(grabs))  # type: ignore[operator]
    assert worst_ns <= BEFORE_NS + wraps * latest_ns


@few(5)
@given(st.integers(1, 5))
def test_a_frame_number_that_begins_anew_counts_what_the_times_say(missing: int) -> None:
    timeline = Timeline(Camera())  # type: ignore[arg-type]

    def place(frame_id: int, k: int) -> int:
        t_ns = 10 * NS_PER_S + k * INTERVAL_NS
        frame = timeline.place(Grab(np.zeros((4, 4), np.uint8), frame_id=frame_id, camera_ns=t_ns), t_ns + 1)
        assert frame is not None
        return frame.lost_before

    assert [place(65533 + k, k) for k in range(3)] == [0, 0, 0]
    assert place(1, 3) == 0
    assert place(2 + missing, 4 + missing) == missing
    assert place(missing, 5 + 2 * missing) == missing, "counted from 1 again, and some are missing"


@few(60)
@given(st.lists(st.tuples(st.integers(0, 1 << 63), st.integers(0, 1 << 62)), max_size=60))
def test_no_reading_makes_the_clock_fail(readings: list[tuple[int, int]]) -> None:
    clock = CameraClock()
    for camera_ns, station_ns in readings:
        clock.add(camera_ns, station_ns)
        assert isinstance(clock.station_ns(camera_ns), int)
    assert clock.error_ms is None or clock.error_ms >= 0


def test_a_clock_without_readings_changes_nothing() -> None:
    assert CameraClock().station_ns(5) == 5
    assert CameraClock().error_ms == pytest.approx(None)
