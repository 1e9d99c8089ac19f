"""Paths, poses and timelines against lines, circles and sines."""

import math
from dataclasses import replace

import numpy as np
import pytest

from capture.simulator.motion import Arc, Swimmer, Waypoints, at_time, random_path, random_swimmer
from capture.simulator.sperm import sample_sperm

STILL = replace(
    sample_sperm(np.random.default_rng(0), 0.0), speed_um_s=0.0, sway_um=0.0, beat_hz=0.0, roll_hz=0.0, turn_deg_s=0.0
)
UM_PER_PX = 0.25


def test_a_path_that_does_not_turn_is_a_line():
    path = Arc(10, 20, math.radians(30), 40.0, t0_s=1.0)
    x, y, heading = path.at(3.0)
    assert (x, y) == pytest.approx((10 + 80 * math.cos(math.pi / 6), 20 + 80 * math.sin(math.pi / 6)))
    assert heading == pytest.approx(math.radians(30))


def test_a_path_that_turns_is_a_circle_of_radius_speed_over_turning():
    path = Arc(0, 0, 0.0, speed_px_s=60.0, turn_rad_s=2.0)
    centre = np.array([0.0, 30.0])
    for t in np.linspace(-3, 5, 40):
        x, y, heading = path.at(float(t))
        assert np.hypot(*(np.array([x, y]) - centre)) == pytest.approx(30.0)
        assert heading == pytest.approx(2.0 * t)
    assert path.at(math.pi)[:2] == pytest.approx((0, 0), abs=1e-9)


def test_heading_is_the_direction_of_travel_with_drift_too():
    path = Arc(0, 0, 0.7, speed_px_s=100.0, drift=((0.3, 2.0, 1.0), (0.2, 1.1, 4.0)))
    step = 1e-5
    for t in np.linspace(0, 6, 25):
        (x0, y0, heading), (x1, y1, _) = path.at(float(t)), path.at(float(t) + step)
        assert math.atan2(y1 - y0, x1 - x0) == pytest.approx(heading, abs=1e-3)


def test_wander_is_the_deviation_of_heading_over_one_second():
    sperm = replace(STILL, speed_um_s=40.0, wander_deg=9.0)
    rng = np.random.default_rng(2)
    turns = []
    for _ in range(1500):
        path = random_path(rng, sperm, 0, 0, UM_PER_PX)
        turns.append(path.at(1.0)[2] - path.at(0.0)[2])
    assert np.degrees(np.std(turns)) == pytest.approx(9.0, rel=0.1)


def test_speed_is_in_micrometres():
    sperm = replace(STILL, speed_um_s=50.0, wander_deg=0.0)
    path = random_path(np.random.default_rng(1), sperm, 5, 6, UM_PER_PX)
    assert math.dist(path.at(0.0)[:2], path.at(1.0)[:2]) == pytest.approx(50.0 / UM_PER_PX)


@pytest.mark.parametrize(
    ("t_s", "expected"),
    [
        pytest.param(0.5, (5, 0, 0.0), id="on the first piece"),
        pytest.param(1.0, (10, 0, math.pi / 2), id="at the corner, the next piece's heading"),
        pytest.param(2.0, (10, 10, math.pi / 2), id="on the second piece"),
        pytest.param(-1.0, (-10, 0, 0.0), id="before the first, straight on"),
        pytest.param(4.0, (10, 30, math.pi / 2), id="after the last, straight on"),
    ],
)
def test_waypoints(t_s, expected):
    assert Waypoints(((0, 0, 0), (1, 10, 0), (3, 10, 20))).at(t_s) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("t_s", "expected"),
    [
        pytest.param(-1, 5, id="before"),
        pytest.param(1, 10, id="between"),
        pytest.param(2.5, 17.5, id="on the second slope"),
        pytest.param(3, 40, id="a jump holds from its time on"),
        pytest.param(9, 40, id="after"),
    ],
)
def test_timeline(t_s, expected):
    assert at_time(((0, 5), (2, 15), (3, 20), (3, 40)), t_s) == pytest.approx(expected)


def test_the_head_sways_across_the_path_at_the_beat():
    sperm = replace(STILL, sway_um=2.0, beat_hz=5.0)
    swimmer = Swimmer(sperm, Arc(100, 100, 0.0, 0.0), UM_PER_PX)
    times = np.linspace(0, 1, 401)
    poses = [swimmer.pose(float(t)) for t in times]
    ys = np.array([pose.y for pose in poses]) - 100
    assert np.allclose([pose.x for pose in poses], 100)
    assert np.allclose(ys, 8.0 * np.sin(2 * np.pi * 5 * times), atol=1e-9)


def test_a_sperm_that_does_not_beat_lies_still():
    swimmer = Swimmer(replace(STILL, sway_um=2.0), Arc(100, 100, 0.3, 0.0), UM_PER_PX)
    assert swimmer.pose(0.0) == swimmer.pose(7.3)


def test_told_rolls_and_focus_override_the_free_ones():
    swimmer = Swimmer(
        replace(STILL, roll_hz=2.0),
        Arc(0, 0, 0, 0),
        UM_PER_PX,
        depth_um=1.0,
        rolls=((0, 0.0), (1, 3.0)),
        defocus=((0, 0.0), (1, 8.0)),
    )
    pose = swimmer.pose(0.5)
    assert (pose.roll_rad, pose.defocus_um) == (1.5, 4.0)


def test_random_swimmers_repeat_by_seed():
    assert random_swimmer(np.random.default_rng(1), STILL, 3, 4, UM_PER_PX) == random_swimmer(
        np.random.default_rng(1), STILL, 3, 4, UM_PER_PX
    )
