"""Hard cases on the simulated microscope, and how a run through one is scored against the truth.

Each case is a function of a seed that returns a scenario; the sperm to follow are its cast, in order, and each is one
trial. The gate is 0.76 head boxes, as 16 px are of the hand-made boxes of 21 px. Heads here are 17 px long.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capture.simulator.background import Debris, paint_debris
from capture.simulator.microscope import SimulatedMicroscope
from capture.simulator.motion import Arc, Path, Swimmer, Timeline, Waypoints
from capture.simulator.scenario import Scenario
from capture.simulator.sperm import Sperm, sample_sperm
from station.config import SimulatedSettings, TrackerSettings
from station.transport.messages import TrackState
from tracker.tracker import Tracker
from tracker.window import WindowShape

Array = NDArray[Any]
WIDTH, HEIGHT, FPS, UM_PER_PX = 640, 560, 49.0, 0.25
START_S = 0.4
"""The field is watched for so long before anything is selected."""
BOX_PX = 30.0
GATE_PX = 0.76 * BOX_PX
SPEED = 150.0

Case = Callable[[int], Scenario]


@dataclass(frozen=True, slots=True)
class Followed:
    """One sperm over one run, frame by frame from the one after its selection."""

    error_px: Array
    """(T,), NaN where the head was out of sight."""
    locked: Array
    """(T,)"""
    lost: Array
    """(T,)"""
    visible: Array
    """(T,)"""

    @property
    def off(self) -> Array:
        """(T,) off target, or out of sight."""
        return ~(self.error_px <= GATE_PX)

    @property
    def survived(self) -> bool:
        """No eight frames in a row off target while it could be seen."""
        return longest_run(self.off & self.visible) < 8

    @property
    def right_at_the_end(self) -> bool:
        """On target in the last ten frames."""
        return bool(not self.off[-10:].any())

    @property
    def wrong_lock(self) -> float:
        """Share of frames that are locked and off target."""
        return float((self.locked & self.off).mean())

    @property
    def longest_wrong_lock_s(self) -> float:
        """How long it was locked and off target at a stretch."""
        return longest_run(self.locked & self.off) / FPS


def longest_run(flags: Array) -> int:
    """Return the length of the longest run of True."""
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest


def a_sperm(rng: np.random.Generator) -> Sperm:
    """Return a normal swimmer that rolls."""
    return dataclasses.replace(sample_sperm(rng, 0.1), tail_coil=0.0, roll_hz=float(rng.uniform(0, 3)), beat_hz=10.0)


def swimmer(
    rng: np.random.Generator, path: Path, *, rolls: Timeline = (), defocus: Timeline = (), depth_um: float = 0.0
) -> Swimmer:
    """Put a sperm on a path, in any phase of its beat and roll."""
    return Swimmer(
        sperm=a_sperm(rng),
        path=path,
        um_per_px=UM_PER_PX,
        beat0_rad=float(rng.uniform(0, 6)),
        roll0_rad=float(rng.uniform(0, 6)),
        depth_um=depth_um,
        rolls=rolls,
        defocus=defocus,
    )


def through(x: float, y: float, heading_deg: float, at_s: float, speed: float = SPEED) -> Arc:
    """Return a straight path that passes (x, y) at a time."""
    return Arc(x=x, y=y, heading_rad=math.radians(heading_deg), speed_px_s=speed, t0_s=at_s)


def play(
    scenario: Scenario,
    seed: int,
    *,
    followed: int | None = None,
    seconds: float = 2.6,
    sperm: int = 0,
    debris: int = 40,
) -> list[Followed]:
    """Run the tracker through a scenario and score each of its cast, or the first few of it."""
    count = len(scenario.cast) if followed is None else followed
    settings = SimulatedSettings(
        width=WIDTH, height=HEIGHT, fps=FPS, sperm=sperm, debris=debris, seed=seed, um_per_px=UM_PER_PX
    )
    microscope = SimulatedMicroscope(settings, scenario)
    tracker = Tracker(TrackerSettings(), WindowShape(4, 64, 1), HEIGHT, WIDTH)
    table: list[list[tuple[float, bool, bool, bool]]] = [[] for _ in range(count)]
    ids: list[int] = []
    seq = 0
    while True:
        frame = microscope.read()
        truth = {s.sperm_id: s for s in microscope.truth().sperm}
        t_s = frame.t_source_ns / 1e9
        if t_s > seconds:
            break
        begin = not ids and t_s >= START_S
        if begin:
            ids = [tracker.select(truth[k].x, truth[k].y) for k in range(count)]
        result = tracker.update(
            frame.pixels,
            frame_seq=seq,
            t_source_ns=frame.t_source_ns,
            lost_before=frame.lost_before,
            exposure_id=frame.exposure_id,
        )
        seq += 1
        for k, track in enumerate(result.tracks if ids and not begin else ()):
            true = truth[k]
            error = math.hypot(track.x - true.x, track.y - true.y) if true.visible else math.nan
            table[k].append((error, track.state is TrackState.LOCKED, track.state is TrackState.LOST, true.visible))
    columns = [np.array(rows) for rows in table]
    return [Followed(c[:, 0], c[:, 1].astype(bool), c[:, 2].astype(bool), c[:, 3].astype(bool)) for c in columns]


def crossing(angle_deg: float) -> Case:
    """Return the case of two sperm whose paths meet at an angle, at the same time."""

    def case(seed: int) -> Scenario:
        rng = np.random.default_rng((seed, 1))
        aside = float(rng.uniform(-4, 4))
        return Scenario(
            cast=(
                swimmer(rng, through(320, 280, 0, 1.4)),
                swimmer(rng, through(320 + aside, 280 + aside, angle_deg, 1.4, SPEED * float(rng.uniform(0.8, 1.2)))),
            )
        )

    return case


def side_by_side(seed: int) -> Scenario:
    """Two sperm swim in parallel, 26 px apart."""
    rng = np.random.default_rng((seed, 2))
    one, two = (Waypoints(((0.0, 80.0, 280.0 + s), (2.6, 470.0, 280.0 + s))) for s in (-13.0, 13.0))
    return Scenario(cast=(swimmer(rng, one), swimmer(rng, two)))


def roll_flashes(seed: int) -> Scenario:
    """A head turns by a quarter every 0.18 s."""
    rng = np.random.default_rng((seed, 3))
    rolls = tuple((t, math.pi / 2 * k) for k, t in enumerate(np.arange(0.0, 3.0, 0.18).tolist()))
    return Scenario(cast=(swimmer(rng, through(320, 280, float(rng.uniform(0, 360)), 1.4), rolls=rolls),))


def defocus_and_return(seed: int) -> Scenario:
    """A sperm goes 5 um out of focus and comes back."""
    rng = np.random.default_rng((seed, 4))
    defocus = ((0.0, 0.0), (0.9, 0.0), (1.4, 5.0), (1.7, 5.0), (2.2, 0.0))
    return Scenario(cast=(swimmer(rng, through(320, 280, float(rng.uniform(0, 360)), 1.4), defocus=defocus),))


def over_clumps(seed: int) -> Scenario:
    """A sperm swims over four clumps of debris."""
    rng = np.random.default_rng((seed, 5))
    clumps = tuple(
        Debris(240.0 + 80 * k, 280.0 + float(rng.uniform(-12, 12)), paint_debris("clump", rng, UM_PER_PX))
        for k in range(4)
    )
    return Scenario(cast=(swimmer(rng, through(320, 280, 0, 1.4)),), debris=clumps)


def four(rng: np.random.Generator) -> tuple[Swimmer, ...]:
    """Four sperm that stay in sight while the stage moves."""
    return tuple(
        swimmer(
            rng,
            Arc(
                x=x,
                y=y,
                heading_rad=float(rng.uniform(0, 6.3)),
                speed_px_s=float(rng.uniform(60, 140)),
                turn_rad_s=float(rng.choice([-2.5, 2.5])),
            ),
        )
        for x, y in ((230.0, 190.0), (430.0, 200.0), (240.0, 370.0), (420.0, 360.0))
    )


def still_stage(seed: int) -> Scenario:
    """Four sperm in circles, for comparison."""
    return Scenario(cast=four(np.random.default_rng((seed, 6))))


def moving_stage(seed: int) -> Scenario:
    """Four sperm in circles while the stage goes 200 px/s to one side, rests, and comes back."""
    rng = np.random.default_rng((seed, 6))
    angle = float(np.random.default_rng(seed).uniform(0, 6.3))
    line = ((0.0, 0.0), (0.8, 0.0), (1.3, 100.0), (1.5, 100.0), (2.0, 0.0))
    return Scenario(
        cast=four(rng),
        stage_x=tuple((t, v * math.cos(angle)) for t, v in line),
        stage_y=tuple((t, v * math.sin(angle)) for t, v in line),
    )


def stage_jump(seed: int) -> Scenario:
    """Four sperm in circles; the stage jumps 300 px between two frames."""
    rng = np.random.default_rng((seed, 6))
    sign = 1.0 if seed % 2 else -1.0
    return Scenario(cast=four(rng), stage_x=((0.0, 0.0), (1.4, 0.0), (1.4, 300.0 * sign)))


def dropped_frames(seed: int) -> Scenario:
    """15 % of the frames are lost."""
    rng = np.random.default_rng((seed, 7))
    lost = frozenset(np.flatnonzero(rng.random(200) < 0.15).tolist()) - {0, 1, 2}
    return Scenario(cast=four(rng), lost_frames=lost)


def leaves_and_returns(seed: int) -> Scenario:
    """A sperm leaves the frame and comes back half a second later."""
    rng = np.random.default_rng((seed, 8))
    y = float(rng.uniform(150, 330))
    path = Waypoints(((0.0, 460.0, y), (1.3, 655.0, y), (1.6, 655.0, y + 40), (2.9, 480.0, y + 60)))
    return Scenario(cast=(swimmer(rng, path),))


def exposure_change(seed: int) -> Scenario:
    """The exposure is raised by 30 %."""
    return Scenario(cast=four(np.random.default_rng((seed, 9))), exposure=((1.2, 1.3),))


def refocus(seed: int) -> Scenario:
    """The operator moves the focus by 2.5 um."""
    rng = np.random.default_rng((seed, 10))
    return Scenario(cast=four(rng), focus_um=((0.0, 0.0), (1.0, 0.0), (1.3, 2.5), (2.0, 2.5)))


def still_head(swimmers: int, *, depth_um: float = 0.0, at_start: bool = False) -> Case:
    """Return the case of a head that lies still while ``swimmers`` pass it, each at its own distance.

    They pass between 0 and 1.5 head boxes off, from any side, at 60 to 200 px/s; ``depth_um``: the still one is out of
    focus by so much; ``at_start``: the first passes just as it is selected. Only the still one is followed.
    """

    def case(seed: int) -> Scenario:
        rng = np.random.default_rng((seed, 11, swimmers, round(10 * depth_um), at_start))
        x, y = 320 + float(rng.uniform(-4, 4)), 280 + float(rng.uniform(-4, 4))
        lies = Arc(x=x, y=y, heading_rad=float(rng.uniform(0, 6.3)), speed_px_s=0.0)
        still = dataclasses.replace(swimmer(rng, lies, depth_um=depth_um), rolls=((0.0, 0.0),))
        still = dataclasses.replace(
            still, sperm=dataclasses.replace(still.sperm, roll_hz=0.0, beat_hz=0.0, sway_um=0.0)
        )
        passers = []
        for k in range(swimmers):
            heading = float(rng.uniform(0, 360))
            aside = float(rng.uniform(0, 1.5 * BOX_PX)) * float(rng.choice([-1, 1]))
            side = math.radians(heading + 90)
            at_s = START_S + (float(rng.uniform(0.0, 0.2)) if at_start and k == 0 else float(rng.uniform(0.3, 1.8)))
            speed = float(rng.uniform(60, 200))
            where = (x + aside * math.cos(side), y + aside * math.sin(side))
            passers.append(swimmer(rng, through(*where, heading, at_s, speed)))
        return Scenario(cast=(still, *passers))

    return case


STILL_CASES: dict[str, Case] = {
    "still head, 1 passes": still_head(1),
    "still head, 2 pass": still_head(2),
    "still head, 5 pass": still_head(5),
    "still head out of focus, 1 passes": still_head(1, depth_um=2.5),
    "still head out of focus, 5 pass": still_head(5, depth_um=2.5),
    "still head, 1 passes at the start": still_head(1, at_start=True),
    "still head, 2 pass, 1 at the start": still_head(2, at_start=True),
}
"""By name; of each only the first of the cast is followed."""

CASES: dict[str, Case] = {
    **{f"crossing at {angle} deg": crossing(angle) for angle in (30, 60, 90, 120, 150, 180)},
    "side by side": side_by_side,
    "roll flashes": roll_flashes,
    "defocus and return": defocus_and_return,
    "over clumps": over_clumps,
    "still stage": still_stage,
    "stage moves 200 px/s": moving_stage,
    "stage jumps 300 px": stage_jump,
    "dropped frames": dropped_frames,
    "leaves and returns": leaves_and_returns,
    "exposure change": exposure_change,
    "focus change": refocus,
}
"""By name."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What came out of all trials of one case."""

    trials: int
    survived: float
    """Share of trials without eight frames in a row off target while the head could be seen."""
    lost_or_right: float
    """Share of trials that end lost or on target."""
    wrong_lock: float
    longest_wrong_lock_s: float
    locked: float


def rate(name: str, seeds: range) -> Rate:
    """Play a case with several seeds."""
    case, followed = (STILL_CASES[name], 1) if name in STILL_CASES else (CASES[name], None)
    trials = [one for seed in seeds for one in play(case(seed), seed, followed=followed)]
    return Rate(
        trials=len(trials),
        survived=float(np.mean([t.survived for t in trials])),
        lost_or_right=float(np.mean([t.lost[-1] or t.right_at_the_end for t in trials])),
        wrong_lock=float(np.mean([t.wrong_lock for t in trials])),
        longest_wrong_lock_s=max(t.longest_wrong_lock_s for t in trials),
        locked=float(np.mean([t.locked.mean() for t in trials])),
    )
