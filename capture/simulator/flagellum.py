"""The shape of midpiece and tail at any phase of the beat, seen at any roll.

Geometry in micrometres in the frame of the head: u points to its front, v to its right, the origin is its centre. It
knows neither position nor pixels.
"""

import math

import numpy as np
from numpy.typing import NDArray

from capture.simulator.sperm import Sperm

STEP_UM = 1.0
"""Distance between points of the centreline."""
ROLLED_BEAT = 0.45
"""Share of the amplitude that still shows when the plane of beating is seen edge-on."""
NEAR_SHARE = 0.35
"""Amplitude at the neck as a share of that at the tip."""


class Flagellum:
    """The tail of one sperm, built from its tangent angle so that its length is preserved.

    The angle is that of a wave travelling to the tip with growing amplitude, plus the coil and the kink.
    """

    def __init__(self, sperm: Sperm) -> None:
        self._sperm = sperm
        s = np.arange(0.0, sperm.tail_length_um + STEP_UM / 2, STEP_UM)
        share = s / sperm.tail_length_um
        self._growth = NEAR_SHARE + (1 - NEAR_SHARE) * share
        self._phase = 2 * math.pi * s / sperm.beat_wavelength_um
        self._coil = 2 * math.pi * sperm.tail_coil * share**1.3
        self._kink = 1 / (1 + np.exp(-(s - sperm.tail_length_um / 3) / 0.6))
        self._steepness = 2 * math.pi * sperm.beat_amplitude_um / sperm.beat_wavelength_um

    def centreline(self, beat_rad: float, roll_rad: float) -> NDArray[np.complex128]:
        """Return (n,) u + iv in um, from the midpiece's end to the tip, at a phase of the beat and a roll."""
        u0, v0, back = neck(self._sperm, roll_rad)
        shown = math.hypot(math.cos(roll_rad), ROLLED_BEAT * math.sin(roll_rad))
        angle = np.arctan((self._steepness * shown) * self._growth) * np.cos(self._phase - beat_rad)
        angle += self.standing_turn(roll_rad) + back
        steps = STEP_UM * np.exp(1j * angle)
        line: NDArray[np.complex128] = np.cumsum(steps) + (complex(u0, v0) - steps[0])
        return line

    def standing_turn(self, roll_rad: float) -> NDArray[np.float64]:
        """Return (n,) rad by which coil and kink have turned the tail at each point."""
        turn: NDArray[np.float64] = self._coil + projected(self._sperm.tail_bend_deg, roll_rad) * self._kink
        return turn


def still_course(sperm: Sperm) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Return the tail without its beat, seen flat: (n,) points u + iv in um and (n,) how far it has turned, in degrees.

    The turn is that of coil and kink; the midpiece's own angle is not part of it.
    """
    flagellum = Flagellum(sperm)
    turn = flagellum.standing_turn(0.0)
    u0, v0, back = neck(sperm, 0.0)
    steps = STEP_UM * np.exp(1j * (turn + back))
    return np.cumsum(steps) + (complex(u0, v0) - steps[0]), np.degrees(turn)


def neck(sperm: Sperm, roll_rad: float) -> tuple[float, float, float]:
    """Return the midpiece's far end (u, v) in um and its direction in rad."""
    back = math.pi + projected(sperm.midpiece_angle_deg, roll_rad)
    length = sperm.midpiece_length_um
    return -sperm.head_length_um / 2 + length * math.cos(back), length * math.sin(back), back


def projected(angle_deg: float, roll_rad: float) -> float:
    """Return the angle in rad that is seen of one in the plane of the head's flat side, once it is rolled."""
    angle = math.radians(angle_deg)
    return math.atan2(math.sin(angle) * math.cos(roll_rad), math.cos(angle))
