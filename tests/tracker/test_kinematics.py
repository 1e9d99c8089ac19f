"""Kinematics against analytic truth: a line, a circle, a sine along a line, at several rates, with frames dropped."""

import gzip
import math
from pathlib import Path

import numpy as np
import pytest

from tracker.kinematics import Kinematics, Motility, Refusal, Trajectory, average_path, classify, kinematics

RATES = (15.0, 30.0, 49.0, 100.0, 200.0)


def times(rate_hz: float, drop: float, seconds: float = 2.0) -> np.ndarray:
    """Times of frames, a share of them dropped, the first and the last kept."""
    t = np.arange(0, seconds + 1e-9, 1 / rate_hz)
    keep = np.random.default_rng(3).random(len(t)) >= drop
    keep[[0, -1]] = True
    return t[keep]


def measured(t: np.ndarray, xy: np.ndarray, um_per_px: float = 0.5) -> Kinematics:
    found = kinematics(t, xy / um_per_px, um_per_px)
    assert isinstance(found, Kinematics), found
    return found


@pytest.mark.parametrize("drop", [0.0, 0.1])
@pytest.mark.parametrize("rate_hz", RATES)
def test_line(rate_hz: float, drop: float) -> None:
    t = times(rate_hz, drop)
    found = measured(t, np.c_[40 * t, 30 * t])
    assert found.vcl_um_s == pytest.approx(50)
    assert found.vsl_um_s == pytest.approx(50)
    assert found.vap_um_s == pytest.approx(50)
    assert (found.lin, found.str_, found.wob) == pytest.approx((1, 1, 1))
    assert found.mad_deg == pytest.approx(0, abs=1e-6)
    if rate_hz >= 30:
        assert (found.alh_max_um, found.alh_mean_um, found.bcf_hz) == (0, 0, 0)
    assert found.motility is Motility.RAPID


@pytest.mark.parametrize("drop", [0.0, 0.1])
@pytest.mark.parametrize("rate_hz", RATES)
def test_circle(rate_hz: float, drop: float) -> None:
    t = times(rate_hz, drop)
    radius, omega = 20.0, 3.0
    found = measured(t, radius * np.c_[np.cos(omega * t), np.sin(omega * t)])
    assert found.vcl_um_s == pytest.approx(radius * omega, rel=0.008)
    assert found.vap_um_s == pytest.approx(radius * omega, rel=0.03), "the mean cuts the corner a little"
    assert found.vsl_um_s == pytest.approx(
        2 * radius * math.sin(omega * found.duration_s / 2) / found.duration_s, rel=1e-6
    )
    if drop == 0:
        assert found.mad_deg == pytest.approx(math.degrees(omega / rate_hz), rel=1e-6)
    assert found.motility is Motility.NON_PROGRESSIVE, "round and round gets nowhere"


def sine(t: np.ndarray, beat_hz: float, amplitude: float = 3.0, speed: float = 60.0) -> np.ndarray:
    return np.c_[speed * t, amplitude * np.sin(2 * math.pi * beat_hz * t)]


@pytest.mark.parametrize("drop", [0.0, 0.05])
@pytest.mark.parametrize("rate_hz", [49.0, 100.0, 200.0])
def test_sine_along_a_line(rate_hz: float, drop: float) -> None:
    beat_hz, amplitude = 5.0, 3.0
    t = times(rate_hz, drop)
    found = measured(t, sine(t, beat_hz, amplitude))
    fine = times(20_000.0, 0.0)
    true_vcl = float(np.hypot(*np.diff(sine(fine, beat_hz, amplitude), axis=0).T).sum()) / fine[-1]
    assert found.vcl_um_s == pytest.approx(true_vcl, rel=0.05)
    assert found.vsl_um_s == pytest.approx(60, rel=0.01)
    assert found.vap_um_s == pytest.approx(60, rel=0.03), "0.2 s are one whole beat"
    assert found.bcf_hz == pytest.approx(2 * beat_hz, rel=0.07), "two crossings a beat"
    assert found.alh_mean_um == pytest.approx(2 * amplitude, rel=0.1)
    assert found.alh_max_um <= 2 * amplitude * 1.15


def test_vcl_falls_with_the_frame_rate() -> None:
    """The known dependence: fewer samples cut the corners of the head's swing, and nothing else changes."""
    values = [measured(times(r, 0.0), sine(times(r, 0.0), 10.0)).vcl_um_s for r in (200.0, 100.0, 50.0, 30.0, 15.0)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.65 * values[0]


def test_no_beat_is_reported_where_it_cannot_be_seen() -> None:
    found = measured(times(15.0, 0.0), sine(times(15.0, 0.0), 5.0))
    assert math.isnan(found.bcf_hz)
    assert math.isnan(found.alh_max_um)
    assert math.isnan(found.alh_mean_um)


def test_average_path_is_the_integral_mean() -> None:
    t = times(50.0, 0.2)
    path = average_path(t, np.c_[3 * t, t * 0])
    assert path == pytest.approx(np.c_[3 * t, t * 0]), "a straight line is its own mean however it is sampled"


@pytest.mark.parametrize(
    ("t", "um_per_px", "reason"),
    [
        pytest.param(np.arange(0, 2, 0.02), None, "um/px", id="no scale"),
        pytest.param(np.arange(0, 0.8, 0.02), 0.5, "less than", id="too short"),
        pytest.param(np.arange(0, 2, 0.25), 0.5, "less than", id="too few samples"),
        pytest.param(np.r_[np.arange(0, 1, 0.02), np.arange(1.5, 2, 0.02)], 0.5, "hole of 0.5", id="a hole"),
        pytest.param(np.zeros(0), 0.5, "less than", id="nothing"),
    ],
)
def test_refusals(t: np.ndarray, um_per_px: float | None, reason: str) -> None:
    found = kinematics(t, np.c_[50 * t, 0 * t], um_per_px)
    assert isinstance(found, Refusal)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("vap", "straightness", "motility"),
    [
        (60.0, 0.9, Motility.RAPID),
        (25.0, 0.9, Motility.RAPID),
        (24.9, 0.9, Motility.SLOW),
        (5.0, 0.9, Motility.SLOW),
        (4.9, 0.9, Motility.NON_PROGRESSIVE),
        (60.0, 0.2, Motility.NON_PROGRESSIVE),
        (1.0, 0.9, Motility.IMMOTILE),
    ],
)
def test_classes(vap: float, straightness: float, motility: Motility) -> None:
    assert classify(vap, straightness)[0] is motility


def test_confidence_falls_near_a_limit_and_with_missing_samples() -> None:
    t = times(50.0, 0.0)
    clear = measured(t, np.c_[60 * t, 0 * t]).confidence
    near = measured(t, np.c_[26 * t, 0 * t]).confidence
    sparse = times(50.0, 0.4)
    assert clear == pytest.approx(1.0)
    assert near < 0.3
    assert measured(sparse, np.c_[60 * sparse, 0 * sparse]).confidence < 0.75


def test_trajectory_keeps_its_seconds() -> None:
    trajectory = Trajectory(1.0)
    for k in range(200):
        trajectory.add(k * 20_000_000, float(k), 0.0)
    t, xy = trajectory.arrays()
    assert t[0] == 0
    assert t[-1] == pytest.approx(1.0)
    assert xy[-1, 0] == 199
    trajectory.clear()
    assert trajectory.arrays()[1].shape == (0, 2)


@pytest.mark.parametrize("participant", ["14", "21", "24", "47"])
def test_real_tracks_are_plausible(visem: Path, participant: str) -> None:
    """These clips state no scale: 0.3 um/px makes the heads 3 um wide and of plausible length."""
    with gzip.open(visem / "tracks_only" / f"{participant}.txt.gz", "rt") as file:
        rows = np.loadtxt(file, delimiter=",")
    tried = 0
    for ident in np.unique(rows[:, 1])[:60]:
        track = rows[rows[:, 1] == ident]
        track = track[np.argsort(track[:, 0])][:98]
        found = kinematics(track[:, 0] / 49.0, track[:, 2:4] + track[:, 4:6] / 2, 0.3)
        if isinstance(found, Refusal):
            continue
        tried += 1
        assert found.vcl_um_s >= found.vap_um_s * 0.95 - 1e-6, "smoothing does not lengthen a path"
        assert found.vcl_um_s >= found.vsl_um_s - 1e-9
        assert found.vcl_um_s < 500
        if found.vcl_um_s > 0:
            assert 0 <= found.lin <= 1 + 1e-9
            assert 0 <= found.str_ <= 1
        assert 0 <= found.bcf_hz <= 24.5
        assert 0 <= found.confidence <= 1
    assert tried >= 5
