"""The tail's geometry."""

import math
from dataclasses import replace

import numpy as np
import pytest

from capture.simulator.flagellum import STEP_UM, Flagellum, neck, projected, still_course
from capture.simulator.sperm import sample_sperm

SOUND = replace(
    sample_sperm(np.random.default_rng(0), 0.0),
    midpiece_angle_deg=0.0,
    tail_bend_deg=0.0,
    tail_coil=0.0,
    tail_length_um=45.0,
    midpiece_length_um=4.0,
    head_length_um=4.2,
)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="sound"),
        pytest.param({"tail_coil": 2.0}, id="coiled"),
        pytest.param({"tail_bend_deg": 120.0}, id="kinked"),
        pytest.param({"tail_length_um": 9.0}, id="short"),
        pytest.param({"beat_amplitude_um": 12.0, "beat_wavelength_um": 20.0}, id="wild"),
    ],
)
def test_the_tail_keeps_its_length_and_starts_at_the_midpiece(changes):
    sperm = replace(SOUND, **changes)
    for beat, roll in ((0.0, 0.0), (2.0, 1.0), (5.0, 4.0)):
        line = Flagellum(sperm).centreline(beat, roll)
        assert np.allclose(np.abs(np.diff(line)), STEP_UM)
        assert STEP_UM * (len(line) - 1) == pytest.approx(sperm.tail_length_um, abs=STEP_UM)
        assert line[0] == pytest.approx(complex(*neck(sperm, roll)[:2]))


def test_a_still_straight_tail_lies_behind_the_head():
    line = Flagellum(replace(SOUND, beat_amplitude_um=0.0)).centreline(0.0, 0.0)
    assert np.allclose(line.imag, 0)
    assert line[0].real == pytest.approx(-2.1 - 4.0)
    assert np.all(np.diff(line.real) < 0)


def test_the_wave_runs_to_the_tip_and_grows():
    flagellum = Flagellum(replace(SOUND, beat_amplitude_um=5.0, beat_wavelength_um=30.0))
    lines = np.array([flagellum.centreline(beat, 0.0) for beat in np.linspace(0, 2 * math.pi, 24, endpoint=False)])
    swing = np.ptp(lines.imag, axis=0)
    assert swing[-1] > 1.5 * swing[8] > 0
    angles = np.angle(np.diff(lines, axis=1) * -1)
    first, later = np.argmax(angles[:, 3]), np.argmax(angles[:, 10])
    assert 0 < (later - first) % 24 < 12  # the same phase reaches a farther point later


@pytest.mark.parametrize(
    ("angle_deg", "roll_rad", "seen_deg"),
    [
        pytest.param(40, 0.0, 40, id="flat"),
        pytest.param(40, math.pi, -40, id="from behind"),
        pytest.param(40, math.pi / 2, 0, id="on edge"),
        pytest.param(-25, 0.0, -25, id="to the other side"),
    ],
)
def test_a_bend_shows_as_far_as_it_is_turned_to_the_viewer(angle_deg, roll_rad, seen_deg):
    assert math.degrees(projected(angle_deg, roll_rad)) == pytest.approx(seen_deg, abs=1e-9)
    _, v, _ = neck(replace(SOUND, midpiece_angle_deg=angle_deg), roll_rad)
    assert v == pytest.approx(-4.0 * math.sin(math.radians(seen_deg)), abs=1e-9)


def test_more_beat_shows_flat_than_on_edge():
    flagellum = Flagellum(SOUND)
    assert np.ptp(flagellum.centreline(0.0, 0.0).imag) > 1.5 * np.ptp(flagellum.centreline(0.0, math.pi / 2).imag) > 0


def test_the_still_course_of_a_sound_tail_is_straight_and_a_kink_turns_it_by_its_angle():
    course, turn = still_course(SOUND)
    assert np.allclose(course.imag, 0)
    assert course[-1].real == pytest.approx(-2.1 - 4.0 - 45.0)
    assert np.abs(turn).max() == pytest.approx(0)
    course, turn = still_course(replace(SOUND, tail_bend_deg=90.0))
    assert turn[-1] == pytest.approx(90.0, abs=0.1)
    assert abs(turn[5]) < 1
    assert course[-1].imag == pytest.approx(-30.0, abs=1.0)
