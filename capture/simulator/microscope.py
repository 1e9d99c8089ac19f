"""A simulated microscope: seeded frames of swimming sperm, with the ground truth of each.

A frame depends only on the settings, the scenario and its number: the same give the same bytes, in any order. The
microscope does not pace itself; it knows no clock but the frames' own time.
"""

import math
from collections.abc import Iterator
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.simulator import background
from capture.simulator.motion import Pose, Swimmer, at_time, random_swimmer
from capture.simulator.rendering import Canvas, Portrait
from capture.simulator.scenario import FrameTruth, Scenario, SpermTruth, wandering_stage
from capture.simulator.sperm import sample_sperm
from capture.source import Condition, Frame
from station.clock import NS_PER_S
from station.config import SimulatedSettings
from station.transport.control_messages import SourceInfo

MARGIN_UM: Final = 60.0
"""The random population lives on a torus that extends this far beyond the field on each side, so that heads and their
tails enter and leave out of sight."""
MOST_AROUND: Final = 1500
MOST_DEBRIS: Final = 5000
"""Limits for tiny fields, whose surroundings are many times larger than they are."""
NOISE_FIELDS: Final = 3
NOISE_SHIFTS: Final = 64
"""Each frame's noise is a random crop of one of a few fields, larger than the frame by this many px."""


class SimulatedMicroscope:
    """A Source (see ``capture.source``) that draws each frame into memory of its own."""

    def __init__(self, settings: SimulatedSettings, scenario: Scenario | None = None) -> None:
        self._settings = settings
        if scenario is None:
            x, y = wandering_stage(settings.stage_speed_px_s, settings.seed) if settings.stage_speed_px_s else ((), ())
            scenario = Scenario(stage_x=x, stage_y=y)
        self._scenario = scenario
        height, width = settings.height, settings.width
        self._margin = math.ceil(MARGIN_UM / settings.um_per_px)
        self._period = (width + 2 * self._margin, height + 2 * self._margin)
        rng = np.random.default_rng(settings.seed)
        self._light = background.illumination(height, width, rng)
        self._population = self._random_population(rng)
        self._portraits: dict[int, Portrait] = {}
        """Keyed by the sperm's ``id()``."""
        for sperm in self.truth(0).sperm:
            self._portraits.setdefault(id(sperm.sperm), Portrait(sperm.sperm, settings.um_per_px))
        self._moving, self._world = self._random_background(rng)
        self._rng: Final = rng
        """Of the noise, from here on."""
        self._noise: list[Canvas] = []
        self._empty: tuple[tuple[int, int], Canvas] | None = None
        self._canvas: Canvas = np.empty((height, width), np.int16)
        self._next = 0
        self._ahead: NDArray[np.uint8] | None = self.render(0)
        """Frame 0, until it is due: it takes longest, for nothing has been painted yet."""
        self.info: Final = SourceInfo(
            name="simulated microscope",
            height=height,
            width=width,
            fps=settings.fps,
            um_per_px=settings.um_per_px,
        )

    @property
    def condition(self) -> Condition:
        """Nothing to report."""
        return Condition()

    def read(self) -> Frame:
        """Return the next frame that is not lost; there is always one."""
        first = self._next
        while self._next in self._scenario.lost_frames:
            self._next += 1
        number = self._next
        self._next += 1
        ahead, self._ahead = self._ahead, None
        pixels = ahead if ahead is not None and number == 0 else self.render(number)
        pixels.flags.writeable = False
        return Frame(
            pixels=pixels,
            t_source_ns=round(number * NS_PER_S / self._settings.fps),
            lost_before=number - first,
            exposure_id=self._scenario.exposure_at(number / self._settings.fps)[0],
        )

    def skip_to(self, t_source_ns: int) -> int:
        """Go on with the first frame at or after that time; return how many are left out. Never goes back."""
        first = self._next
        while round(self._next * NS_PER_S / self._settings.fps) < t_source_ns:
            self._next += 1
        return self._next - first

    def render(self, number: int) -> NDArray[np.uint8]:
        """Return frame ``number``, (H, W) uint8 in memory of its own, without advancing."""
        pixels = np.empty((self._settings.height, self._settings.width), np.uint8)
        self._draw(number, pixels)
        return pixels

    def truth(self, number: int | None = None) -> FrameTruth:
        """Return the ground truth of frame ``number``, by default the last one read (before any: frame 0)."""
        if number is None:
            number = max(0, self._next - 1)
        t_s = number / self._settings.fps
        stage_x, stage_y = self._scenario.stage_at(t_s)
        sperm = [
            SpermTruth(
                sperm_id=sperm_id,
                sperm=swimmer.sperm,
                x=pose.x,
                y=pose.y,
                heading_rad=pose.heading_rad,
                roll_rad=pose.roll_rad,
                defocus_um=pose.defocus_um,
                visible=-0.5 <= pose.x < self._settings.width - 0.5 and -0.5 <= pose.y < self._settings.height - 0.5,
            )
            for sperm_id, swimmer, pose in self._poses(t_s)
        ]
        return FrameTruth(number=number, t_s=t_s, stage_x=stage_x, stage_y=stage_y, sperm=tuple(sperm))

    def close(self) -> None:
        """Do nothing: there is no resource to release."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close."""
        self.close()

    def _draw(self, number: int, out: NDArray[np.uint8]) -> None:
        settings, scenario = self._settings, self._scenario
        t_s = number / settings.fps
        rng = np.random.default_rng((settings.seed, number))
        field, i, j = (int(n) for n in rng.integers(0, (NOISE_FIELDS, NOISE_SHIFTS, NOISE_SHIFTS)))
        noise = self._noise_field(field)[i : i + settings.height, j : j + settings.width]
        canvas = self._canvas
        stage = scenario.stage_at(t_s)
        cv2.add(self._empty_field(stage), noise, dst=canvas)
        for piece in self._moving:
            x, y, _ = self._wrapped(*piece.at(t_s), stage)
            background.paste(canvas, piece.image, x, y)
        for piece in scenario.debris:
            x, y = piece.at(t_s)
            background.paste(canvas, piece.image, x - stage[0], y - stage[1])
        for _, swimmer, pose in self._poses(t_s):
            self._portraits[id(swimmer.sperm)].draw(canvas, pose)
        gain = scenario.exposure_at(t_s)[1]
        if gain != 1.0:
            np.multiply(canvas, np.float32(gain), out=canvas, casting="unsafe")
        np.clip(canvas, 0, 255, out=out, casting="unsafe")

    def _noise_field(self, number: int) -> Canvas:
        """Return one of the fields, made when it is needed: the first frame waits for no other."""
        shape = self._settings.height + NOISE_SHIFTS, self._settings.width + NOISE_SHIFTS
        while len(self._noise) <= number:
            self._noise.append(background.noise_field(*shape, self._settings.noise, self._rng))
        return self._noise[number]

    def _poses(self, t_s: float) -> Iterator[tuple[int, Swimmer, Pose]]:
        """Yield id, swimmer and pose in px of the frame, for all sperm."""
        stage = self._scenario.stage_at(t_s)
        refocus = self._scenario.focus_um
        cast = len(self._scenario.cast)
        for k, swimmer in enumerate((*self._scenario.cast, *self._population)):
            pose = swimmer.pose(t_s)
            x, y, sperm_id = pose.x - stage[0], pose.y - stage[1], k
            if k >= cast:
                x, y, lap = self._wrapped(pose.x, pose.y, stage)
                sperm_id = k + lap * len(self._population)
            defocus = pose.defocus_um
            if refocus:
                defocus += at_time(refocus, t_s)
            yield sperm_id, swimmer, Pose(x, y, pose.heading_rad, pose.roll_rad, pose.beat_rad, defocus)

    def _wrapped(self, x: float, y: float, stage: tuple[int, int]) -> tuple[float, float, int]:
        """Return where a thing on the torus is in the frame, and which of its laps that is (0: the first)."""
        lap_x, x = divmod(x - stage[0] + self._margin, self._period[0])
        lap_y, y = divmod(y - stage[1] + self._margin, self._period[1])
        return x - self._margin, y - self._margin, _pair(int(lap_x), int(lap_y))

    def _empty_field(self, stage: tuple[int, int]) -> Canvas:
        """Return the field with illumination and still debris; rebuilt only when the stage has moved."""
        if self._empty is None or self._empty[0] != stage:
            left, top = stage[0] % self._period[0], stage[1] % self._period[1]
            if top + self._settings.height > self._world.shape[0] or left + self._settings.width > self._world.shape[1]:
                # Once, so that any crop is complete.
                self._world = np.pad(self._world, ((0, self._settings.height), (0, self._settings.width)), mode="wrap")
            world = self._world[top : top + self._settings.height, left : left + self._settings.width]
            self._empty = (stage, np.rint(self._light + world).astype(np.int16))
        return self._empty[1]

    def _random_population(self, rng: np.random.Generator) -> tuple[Swimmer, ...]:
        """Return the population of the torus: the configured number in the field at time 0, as dense around it."""
        settings, margin = self._settings, self._margin
        inside = settings.width * settings.height
        outside = self._period[0] * self._period[1] - inside
        swimmers = []
        around = min(round(settings.sperm * outside / inside), MOST_AROUND)
        for k in range(settings.sperm + around):
            while True:
                x = float(rng.uniform(-margin, settings.width + margin))
                y = float(rng.uniform(-margin, settings.height + margin))
                if (k < settings.sperm) == (0 <= x < settings.width and 0 <= y < settings.height):
                    break
            swimmers.append(random_swimmer(rng, sample_sperm(rng), x, y, settings.um_per_px))
        return tuple(swimmers)

    def _random_background(self, rng: np.random.Generator) -> tuple[list[background.Debris], Canvas]:
        """Return the moving debris, and the torus with everything still."""
        settings, (width, height) = self._settings, self._period
        count = min(round(settings.debris * width * height / (settings.width * settings.height)), MOST_DEBRIS)
        pieces = background.random_debris(rng, count, width, height, settings.um_per_px)
        world = np.rint(background.texture(height, width, rng)).astype(np.int16)
        for piece in pieces:
            for x in (piece.x - width, piece.x, piece.x + width):
                for y in (piece.y - height, piece.y, piece.y + height):
                    if not piece.drift:
                        background.paste(world, piece.image, x, y)
        return [piece for piece in pieces if piece.drift], world


def _pair(a: int, b: int) -> int:
    """Return one number from 0 for each pair of whole numbers (Cantor's pairing over 0, -1, 1, -2, ...)."""
    a, b = (2 * n if n >= 0 else -2 * n - 1 for n in (a, b))
    return (a + b) * (a + b + 1) // 2 + b
