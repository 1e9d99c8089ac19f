"""The simulated microscope: pure frames, exact truth, scripted hard cases."""

import math
from dataclasses import replace

import numpy as np
import pytest

from capture.simulator.background import Debris, paint_debris
from capture.simulator.microscope import SimulatedMicroscope
from capture.simulator.motion import Arc, Swimmer, Waypoints
from capture.simulator.scenario import Scenario
from capture.simulator.sperm import sample_sperm
from station.config import SimulatedSettings

SMALL = SimulatedSettings(width=400, height=300, sperm=6, debris=12, seed=3)
EMPTY = SimulatedSettings(width=400, height=300, sperm=0, debris=0, seed=3, noise=0.0)
SOUND = replace(sample_sperm(np.random.default_rng(1), 0.0), sway_um=0.0, contrast=1.0)


def swimmer(path, **options) -> Swimmer:
    return Swimmer(SOUND, path, EMPTY.um_per_px, **options)


def test_frames_depend_on_settings_and_number_alone():
    read = SimulatedMicroscope(SMALL)
    frames = [read.read().pixels.copy() for _ in range(5)]
    other = SimulatedMicroscope(SMALL)
    for number in (4, 0, 2):
        assert np.array_equal(other.render(number), frames[number])
    assert not np.array_equal(frames[0], frames[1])
    assert not np.array_equal(SimulatedMicroscope(SMALL.model_copy(update={"seed": 4})).render(0), frames[0])


def test_what_a_frame_is():
    microscope = SimulatedMicroscope(SMALL.model_copy(update={"fps": 60.0}))
    info = microscope.info
    assert (info.name, info.width, info.height, info.fps, info.um_per_px) == (
        "simulated microscope",
        400,
        300,
        60.0,
        0.25,
    )
    frames = [microscope.read() for _ in range(4)]
    assert [f.t_source_ns for f in frames] == [0, 16_666_667, 33_333_333, 50_000_000]
    assert all(f.lost_before == 0 and f.exposure_id == 0 and f.t_exposure_ns is None for f in frames)
    pixels = frames[-1].pixels
    assert pixels.shape == (300, 400)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert not pixels.flags.writeable


def test_a_frame_stays_valid_until_the_second_next_read():
    microscope, other = SimulatedMicroscope(SMALL), SimulatedMicroscope(SMALL)
    before = microscope.read()
    for number in range(5):
        frame = microscope.read()
        assert np.array_equal(before.pixels, other.render(number))
        before = frame


def test_as_many_sperm_in_the_field_as_asked_for():
    microscope = SimulatedMicroscope(SimulatedSettings(sperm=20, seed=9))
    counts = [sum(s.visible for s in microscope.truth(n).sperm) for n in range(0, 900, 30)]
    assert counts[0] == 20
    assert 13 <= np.mean(counts) <= 27


def test_heads_are_where_the_truth_says():
    """Each visible head that is in focus stands out at its true place, and not beside it."""
    microscope = SimulatedMicroscope(SimulatedSettings(sperm=20, debris=0, noise=0.0, seed=2))
    checked = 0
    for number in (0, 7, 31):
        frame = microscope.render(number).astype(float)
        for sperm in microscope.truth(number).sperm:
            x, y = round(sperm.x), round(sperm.y)
            if not (40 <= x < 1352 and 40 <= y < 936) or abs(sperm.defocus_um) > 2:
                continue
            ring = [(x + dx, y + dy) for dx, dy in ((32, 0), (-32, 0), (0, 32), (0, -32))]
            here, *around = (np.abs(frame[v - 5 : v + 6, u - 5 : u + 6] - 77).mean() for u, v in [(x, y), *ring])
            assert here > 2 * np.median(around)
            assert here > 15
            checked += 1
    assert checked > 30


def test_identities_are_unique_and_move_steadily_and_newcomers_are_new():
    microscope = SimulatedMicroscope(SimulatedSettings(width=300, height=300, sperm=12, debris=0, seed=5, fps=15))
    before, seen_first = {}, {s.sperm_id for s in microscope.truth(0).sperm}
    newcomers = set()
    for number in range(600):
        truth = microscope.truth(number)
        now = {s.sperm_id: s for s in truth.sperm}
        assert len(now) == len(truth.sperm)
        for sperm_id, sperm in now.items():
            if sperm_id in before:
                old = before[sperm_id]
                step = math.dist((sperm.x, sperm.y), (old.x, old.y)) * 0.25
                assert step <= sperm.sperm.speed_um_s * 1.6 / 15 + 2 * sperm.sperm.sway_um + 0.5
                assert sperm.sperm is old.sperm
            elif number:
                assert not sperm.visible  # comes in from outside, not out of nothing
        newcomers |= {i for i, s in now.items() if s.visible and i not in seen_first}
        before = now
    assert newcomers


def test_a_scripted_crossing_happens_where_and_when_it_is_told():
    cast = (
        swimmer(Arc(200, 150, math.radians(20), 120.0, t0_s=1.0)),
        swimmer(Arc(200, 150, math.radians(110), 90.0, t0_s=1.0)),
    )
    microscope = SimulatedMicroscope(EMPTY, Scenario(cast=cast))
    a, b = microscope.truth(15).sperm
    assert (a.sperm_id, b.sperm_id) == (0, 1)
    assert (a.x, a.y) == pytest.approx((200, 150)) == (b.x, b.y)
    a, b = microscope.truth(30).sperm
    assert math.dist((a.x, a.y), (b.x, b.y)) == pytest.approx(math.hypot(120, 90))
    assert microscope.truth(15).sperm[0].visible


def test_a_scripted_sperm_leaves_and_comes_back_with_its_identity():
    path = Waypoints(((0, 350, 150), (1, 460, 150), (2, 460, 150.1), (3, 350, 150)))
    microscope = SimulatedMicroscope(EMPTY, Scenario(cast=(swimmer(path),)))
    visible = [microscope.truth(n).sperm[0].visible for n in (0, 15, 30, 45)]
    assert visible == [True, False, False, True]
    assert microscope.render(15).std() < microscope.render(45).std()


@pytest.mark.parametrize(
    ("number", "offset"),
    [
        pytest.param(0, (0, 0), id="at rest"),
        pytest.param(15, (30, -20), id="on the way"),
        pytest.param(29, (58, -39), id="just before the jump"),
        pytest.param(30, (200, -40), id="after the jump"),
    ],
)
def test_the_stage_moves_the_field_and_the_truth_together(number, offset):
    clump = Debris(250.0, 150.0, paint_debris("cell", np.random.default_rng(0), 0.25))
    scenario = Scenario(
        cast=(swimmer(Waypoints(((0, 220, 130), (9, 220.001, 130)))),),
        debris=(clump,),
        stage_x=((0, 0), (2, 60), (2, 200)),
        stage_y=((0, 0), (2, -40)),
    )
    microscope = SimulatedMicroscope(EMPTY, scenario)
    truth = microscope.truth(number)
    assert (truth.stage_x, truth.stage_y) == offset
    (sperm,) = truth.sperm
    assert (sperm.x, sperm.y) == pytest.approx((220 - offset[0], 130 - offset[1]), abs=1e-2)
    frame = microscope.render(number).astype(float)
    y, x = round(150 - offset[1]), round(250 - offset[0])
    assert frame[y - 8 : y + 9, x - 8 : x + 9].std() > 5  # the clump went along


def test_still_debris_moves_with_the_stage():
    settings = EMPTY.model_copy(update={"debris": 40})
    scenario = Scenario(stage_x=((0, 0), (1, 0), (1, 37)), stage_y=((0, 0), (1, 0), (1, -21)))
    microscope = SimulatedMicroscope(settings, scenario)
    before, after = (microscope.render(n).astype(float) for n in (0, 15))
    shifted = before[0:-21, 37:]  # what was at (x + 37, y - 21) is now at (x, y)
    now = after[21:, 0:-37]
    assert np.corrcoef(shifted.ravel(), now.ravel())[0, 1] > 0.8
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] < 0.5


def test_the_stage_wanders_where_a_speed_is_set():
    microscope = SimulatedMicroscope(SMALL.model_copy(update={"stage_speed_px_s": 90.0}))
    rest, moved = microscope.truth(44), microscope.truth(61)
    assert (rest.stage_x, rest.stage_y) == (0, 0)
    assert math.hypot(moved.stage_x, moved.stage_y) == pytest.approx(90, abs=1)
    still = SimulatedMicroscope(SMALL).truth(900)
    assert (still.stage_x, still.stage_y) == (0, 0)


def test_lost_frames_are_counted_and_time_goes_on():
    microscope = SimulatedMicroscope(SMALL, Scenario(lost_frames=frozenset({2, 3, 5})))
    frames = [microscope.read() for _ in range(4)]
    assert [f.lost_before for f in frames] == [0, 0, 2, 1]
    assert [round(f.t_source_ns * 15e-9) for f in frames] == [0, 1, 4, 6]
    assert microscope.truth().number == 6


def test_the_frame_that_was_drawn_ahead_is_shown_in_its_own_place_alone():
    whole = SimulatedMicroscope(SMALL)
    late = SimulatedMicroscope(SMALL)
    assert late.skip_to(1) == 1
    without_first = SimulatedMicroscope(SMALL, Scenario(lost_frames=frozenset({0})))
    first, second = whole.read().pixels, whole.read().pixels
    assert np.array_equal(first, whole.render(0))
    for microscope in (late, without_first):
        assert np.array_equal(microscope.read().pixels, second)
        assert not np.array_equal(microscope.read().pixels, first)


def test_exposure_changes_are_marked_and_seen():
    microscope = SimulatedMicroscope(EMPTY, Scenario(exposure=((0.2, 1.5), (0.4, 1.0))))
    frames = [(f.exposure_id, float(np.median(f.pixels))) for f in (microscope.read() for _ in range(8))]
    assert [i for i, _ in frames] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert frames[4][1] == pytest.approx(1.5 * frames[0][1], abs=2)
    assert frames[7][1] == pytest.approx(frames[0][1], abs=1)


def test_focus_goes_and_returns():
    scenario = Scenario(
        cast=(swimmer(Waypoints(((0, 200, 150), (9, 200.001, 150)))),), focus_um=((0, 0), (1, 14), (2, 0))
    )
    microscope = SimulatedMicroscope(EMPTY, scenario)
    peaks = [int(microscope.render(n).max()) - 78 for n in (0, 15, 30)]
    assert peaks[1] < 0.6 * min(peaks[0], peaks[2])
    assert microscope.truth(15).sperm[0].defocus_um == 14


def test_a_roll_flash_goes_from_dark_to_bright():
    still = replace(SOUND, beat_hz=0.0, acrosome_share=0.65)
    path = Waypoints(((0, 200, 150), (9, 200.001, 150)))
    scenario = Scenario(cast=(Swimmer(still, path, 0.25, rolls=((0, 0.0), (1, math.pi / 2))),))
    microscope = SimulatedMicroscope(EMPTY, scenario)
    head = [microscope.render(n)[144:157, 192:209].astype(float) for n in (0, 15)]
    assert head[1].max() > head[0].max() + 25
    assert head[1].min() > head[0].min() + 15  # the dark outline of the flat head is gone


def test_closing_twice_is_fine():
    with SimulatedMicroscope(EMPTY) as microscope:
        microscope.close()
    microscope.close()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"width": 64, "height": 64, "um_per_px": 2.0}, id="tiny and coarse"),
        pytest.param({"um_per_px": 0.08, "sperm": 1}, id="very fine"),
        pytest.param({"fps": 500.0, "noise": 50.0}, id="fast and noisy"),
        pytest.param({"sperm": 0, "debris": 0}, id="empty"),
        pytest.param({"sperm": 60}, id="crowded"),
    ],
)
def test_all_settings_give_frames(changes):
    settings = SMALL.model_copy(update=changes)
    frame = SimulatedMicroscope(settings).render(3)
    assert frame.shape == (settings.height, settings.width)
    assert 50 < np.median(frame) < 110
