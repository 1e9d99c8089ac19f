"""Sperm in pixels: geometry of the drawing, and the looks that grading and tracking depend on."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from capture.simulator.motion import Pose
from capture.simulator.rendering import ROLLS, Portrait, paint, vacuoles
from capture.simulator.sperm import Sperm, sample_sperm

UM_PER_PX = 0.25
SOUND = replace(sample_sperm(np.random.default_rng(0), 0.0), contrast=1.0, vacuoles=0, vacuole_share=0.0)
AXIS = (np.arange(-60, 61) * 0.125).astype(np.float32)


def drawn(sperm: Sperm, pose: Pose, shape=(220, 220), origin=(0, 0)) -> np.ndarray:
    canvas = np.zeros(shape, np.int16)
    Portrait(sperm, UM_PER_PX).draw(canvas, pose, origin=origin)
    return canvas


def bright_centre(canvas: np.ndarray) -> tuple[float, float]:
    """Return the centre of mass (x, y) of what is bright."""
    weights = np.clip(canvas, 60, None) - 60.0
    ys, xs = np.indices(canvas.shape)
    return float((weights * xs).sum() / weights.sum()), float((weights * ys).sum() / weights.sum())


@pytest.mark.parametrize("heading_deg", [0, 37, 90, 200, 315])
@pytest.mark.parametrize(("x", "y"), [(110.0, 110.0), (110.4, 109.7)])
def test_the_head_lies_where_the_pose_says_to_a_fraction_of_a_pixel(heading_deg, x, y):
    round_head = replace(SOUND, acrosome_share=0.0, head_taper=0.0, head_asymmetry=0.0, droplet_share=0.0)
    canvas = drawn(round_head, Pose(x, y, math.radians(heading_deg), math.pi / 2, 0.0))
    assert bright_centre(canvas) == pytest.approx((x, y), abs=0.3)


def test_moving_by_whole_pixels_moves_the_image():
    a = drawn(SOUND, Pose(100.3, 110.6, 0.7, 0.4, 1.0, 1.5))
    b = drawn(SOUND, Pose(107.3, 106.6, 0.7, 0.4, 1.0, 1.5))
    difference = np.abs(np.roll(a, (-4, 7), axis=(0, 1)) - b)
    assert difference.max() <= 12  # OpenCV resamples on a grid of 1/32 px
    assert difference.mean() < 0.02 * np.abs(a).mean()


def test_turning_by_a_right_angle_turns_the_image():
    a = drawn(SOUND, Pose(110, 110, 0.0, 0.4, 1.0), shape=(221, 221))
    b = drawn(SOUND, Pose(110, 110, math.pi / 2, 0.4, 1.0), shape=(221, 221))
    difference = np.abs(np.rot90(a, -1) - b)
    assert np.percentile(difference, 99.9) <= 12
    assert difference.mean() < 0.1 * np.abs(a).mean()


@pytest.mark.parametrize("severity", [0.0, 0.5, 1.0])
def test_a_crop_shows_what_the_whole_canvas_shows(severity):
    """Nothing visible is culled, whatever the tail does."""
    rng = np.random.default_rng(12)
    for _ in range(40):
        sperm = sample_sperm(rng, severity)
        angles = rng.uniform(0, 2 * math.pi, 3)
        pose = Pose(*rng.uniform(250, 450, 2), *angles, float(rng.uniform(0, 4)))
        whole = drawn(sperm, pose, shape=(700, 700))
        left, top = (int(n) for n in rng.integers(100, 500, 2))
        crop = drawn(sperm, pose, shape=(120, 120), origin=(left, top))
        # Blurring at a cut edge differs by reflection, so the outermost pixels are not compared.
        inner = slice(12, -12)
        assert np.abs(crop[inner, inner] - whole[top : top + 120, left : left + 120][inner, inner]).max() <= 2


def test_a_head_on_edge_is_narrower_and_brighter_than_one_seen_flat():
    flat, edge = (paint(SOUND, roll, AXIS, AXIS) for roll in (0.0, math.pi / 2))
    assert edge.max() > flat.max() + 50
    assert edge[60, :].mean() > flat[60, :].mean()
    assert (edge > 150).sum(axis=0).max() < 2.2 / 0.125 < (np.abs(flat) > 20).sum(axis=0).max()


@pytest.mark.parametrize("roll", [0.3, 1.0, 1.5])
def test_mirrored_rolls_are_mirror_images(roll):
    """Portraits draw a quarter of a turn and mirror the rest; the result must equal drawing it all."""
    crooked = replace(
        SOUND,
        head_asymmetry=0.4,
        head_taper=0.5,
        midpiece_angle_deg=40.0,
        vacuoles=2,
        vacuole_share=0.2,
        droplet_share=0.4,
    )
    image = paint(crooked, roll, AXIS, AXIS)
    assert np.allclose(paint(crooked, -roll, AXIS, AXIS), image, atol=1e-3)
    assert np.allclose(paint(crooked, math.pi - roll, AXIS, AXIS), image[::-1], atol=1e-3)
    assert not np.allclose(image, image[::-1], atol=5)
    portrait = Portrait(crooked, UM_PER_PX)
    for k in range(ROLLS):
        direct = paint(crooked, 2 * math.pi * k / ROLLS, portrait._u, portrait._v)
        assert np.allclose(portrait._image(k), direct, atol=1e-2)


@pytest.mark.parametrize(
    ("changes", "minimum"),
    [
        pytest.param({"head_length_um": 6.0}, 400, id="long head"),
        pytest.param({"head_width_um": 4.5}, 400, id="wide head"),
        pytest.param({"head_taper": 0.8}, 250, id="tapered"),
        pytest.param({"head_asymmetry": 0.4}, 250, id="asymmetric"),
        pytest.param({"acrosome_share": 0.0}, 400, id="no acrosome"),
        pytest.param({"vacuoles": 4, "vacuole_share": 0.3}, 400, id="vacuoles"),
        pytest.param({"midpiece_angle_deg": 60.0}, 400, id="bent neck"),
        pytest.param({"midpiece_width_um": 1.5}, 250, id="thick midpiece"),
        pytest.param({"droplet_share": 0.7}, 400, id="droplet"),
        pytest.param({"tail_length_um": 12.0}, 400, id="short tail"),
        pytest.param({"tail_coil": 1.5}, 400, id="coiled tail"),
        pytest.param({"tail_bend_deg": 100.0}, 400, id="bent tail"),
    ],
)
def test_each_defect_shows(changes, minimum):
    """Each criterion changes the image by far more than camera noise: the sum over px that differ visibly."""
    base = replace(
        SOUND,
        head_taper=0.0,
        head_asymmetry=0.0,
        midpiece_angle_deg=0.0,
        droplet_share=0.0,
        tail_coil=0.0,
        tail_bend_deg=0.0,
    )
    pose = Pose(110, 110, 0.3, 0.2, 0.5)
    difference = np.abs(drawn(base, pose) - drawn(replace(base, **changes), pose))
    assert difference[difference > 7].sum() > minimum


def test_defocus_spreads_and_dims():
    peaks = [int(drawn(SOUND, Pose(110, 110, 0.3, 0.0, 0.5, depth)).max()) for depth in (0.0, 2.0, 6.0, 12.0)]
    assert all(a > b for a, b in itertools.pairwise(peaks))
    assert peaks[-1] < 0.6 * peaks[0]


def test_contrast_scales_everything():
    full, half = drawn(SOUND, Pose(110, 110, 0, 0, 0)), drawn(replace(SOUND, contrast=0.5), Pose(110, 110, 0, 0, 0))
    assert np.abs(full / 2 - half).max() <= 3


def test_vacuoles_take_their_share_of_the_head():
    sperm = replace(SOUND, vacuoles=3, vacuole_share=0.18)
    area = sum(math.pi * r**2 for _, _, r in vacuoles(sperm))
    assert area == pytest.approx(0.18 * math.pi / 4 * sperm.head_length_um * sperm.head_width_um)
    assert vacuoles(SOUND) == []


def test_a_sperm_far_outside_changes_nothing():
    assert not drawn(SOUND, Pose(2000, 110, 0.0, 0.0, 0.0)).any()
