"""Everything that one sperm is: its shape, how it swims, how strongly it shows.

This module knows criteria in micrometres and seconds, with their normal ranges, and draws sperm from populations of a
chosen abnormality. It deliberately does not know how a sperm moves through a field or how it looks in pixels
(``capture.simulator.motion``, ``capture.simulator.rendering``), nor what anybody would grade it.

Sources of the ranges: WHO laboratory manual for the examination and processing of human semen, sixth edition (2021),
its chapters on sperm morphology (head 3.7-4.7 um by 2.5-3.2 um, medians 4.1 and 2.8, ratio 1.3-1.8; acrosome 40-70 % of
the head; at most two small vacuoles, under 20 % of the head; midpiece as long as the head, regular and slender, 3.3-5.2
um by 0.5-0.7 um; residual cytoplasm at most a third of the head; tail about 45 um, without sharp angle) and
motility (rapidly progressive: 25 um/s or more; slowly: 5-25 um/s). Beat: Gaffney et al., "Mammalian sperm motility:
observation and theory", Annual Review of Fluid Mechanics 43 (2011), 501-528 (about 10-20 Hz, a travelling wave whose
amplitude grows along the tail).
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np


@dataclass(frozen=True, slots=True)
class Sperm:
    """One sperm. Every field but ``contrast`` is a criterion by which somebody could grade it."""

    head_length_um: float
    """Along the long axis. Normal 3.7-4.7."""
    head_width_um: float
    """Across it, at the widest place. Normal 2.5-3.2; length / width 1.3-1.8."""
    head_taper: float
    """How much narrower the rear is than the front: 0 oval, 0.5 tapered, 1 pear-shaped. Normal up to 0.2."""
    head_asymmetry: float
    """How far one side bulges more than the other, as a share of the half width: 0 symmetric. Normal up to 0.12."""
    acrosome_share: float
    """Share of the head's area under the acrosome. Normal 0.40-0.70; 0 none (a round-headed sperm)."""
    vacuoles: int
    """Number of vacuoles. Normal 0-2."""
    vacuole_share: float
    """Share of the head's area that they take up together. Normal up to 0.10; above 0.20 abnormal by WHO."""
    midpiece_length_um: float
    """Normal 3.3-5.2, about the head's length."""
    midpiece_width_um: float
    """Normal 0.5-0.8 (with its rim of cytoplasm); above 1 thick."""
    midpiece_angle_deg: float
    """Between the head's axis and the midpiece's, signed. Normal within 15 either way."""
    droplet_share: float
    """Residual cytoplasm at the neck, as a share of the head's area. Normal up to 0.33."""
    tail_length_um: float
    """Principal and end piece. Normal 38-52; below about 30 short."""
    tail_coil: float
    """Turns that the tail winds round itself over its length. Normal up to 0.1; 1 and more coiled."""
    tail_bend_deg: float
    """Sharp kink a third of the way along the tail, signed. Normal within 20; from 90 a hairpin."""
    speed_um_s: float
    """Along its mean path. Normal 25-80; 5-25 slow; below 5 not progressive, 0 immotile."""
    turn_deg_s: float
    """Mean turning of the path, signed: 0 straight, 90 and more circles. Normal within 20."""
    wander_deg: float
    """Random change of heading over one second, as a standard deviation. Normal up to 12."""
    sway_um: float
    """Amplitude (half the width) of the head's side-to-side movement. Normal 0.5-1.8; above it hyperactive."""
    beat_hz: float
    """Beat frequency of the tail. Normal 8-20; 0 still."""
    beat_amplitude_um: float
    """Sideways amplitude of the wave at the tail's end. Normal 4-10."""
    beat_wavelength_um: float
    """Of the wave that runs down the tail. Normal 22-45."""
    roll_hz: float
    """Turns per second about the long axis: the head flashes as its flat side turns. Normal 0.5-4 while swimming."""
    contrast: float
    """Optical contrast of the whole cell against the medium, 1 typical (0.7-1.3). No criterion of quality."""


NORMAL_RANGES: Final = MappingProxyType(
    {
        "head_length_um": (3.7, 4.7),
        "head_width_um": (2.5, 3.2),
        "head_taper": (0.0, 0.2),
        "head_asymmetry": (0.0, 0.12),
        "acrosome_share": (0.40, 0.70),
        "vacuoles": (0, 2),
        "vacuole_share": (0.0, 0.10),
        "midpiece_length_um": (3.3, 5.2),
        "midpiece_width_um": (0.5, 0.8),
        "midpiece_angle_deg": (-15.0, 15.0),
        "droplet_share": (0.0, 0.33),
        "tail_length_um": (38.0, 52.0),
        "tail_coil": (0.0, 0.1),
        "tail_bend_deg": (-20.0, 20.0),
        "speed_um_s": (25.0, 80.0),
        "turn_deg_s": (-20.0, 20.0),
        "wander_deg": (0.0, 12.0),
        "sway_um": (0.5, 1.8),
        "beat_hz": (8.0, 20.0),
        "beat_amplitude_um": (4.0, 10.0),
        "beat_wavelength_um": (22.0, 45.0),
        "roll_hz": (0.5, 4.0),
    }
)
"""Lowest and highest normal value of each criterion, by field name."""


def sample_sperm(rng: np.random.Generator, severity: float | None = None) -> Sperm:
    """Draw one sperm.

    ``severity`` (0..1) steers how abnormal it is overall: at 0 every criterion lies in or near its normal range; as it
    rises, more criteria are affected, and each more strongly, and the swimming gets weaker. Sperm of equal severity
    differ in what is wrong with them. None draws it from a population in which most are mildly abnormal, as in
    ordinary samples.
    """
    if severity is None:
        severity = float(rng.beta(1.2, 2.0))
    if not 0.0 <= severity <= 1.0:
        raise ValueError(f"severity must lie in 0..1, got {severity}")

    def defect() -> float:
        """Degree of one defect: 0 for most criteria of a good sperm, up to 1."""
        if rng.random() > 0.04 + 0.46 * severity:
            return 0.0
        return min(1.0, (0.15 + 0.85 * severity) * rng.uniform(0.5, 1.3))

    def near(low: float, high: float) -> float:
        """A normal value: bell-shaped, four standard deviations from ``low`` to ``high``."""
        return float(np.clip(rng.normal((low + high) / 2, (high - low) / 4), low, high))

    def sign() -> float:
        return 1.0 if rng.random() < 0.5 else -1.0

    # Head size and elongation vary together in life, so a head is drawn as a size and a ratio.
    size = 1.0 + sign() * 0.38 * defect()
    stretch = 1.0 + (0.30 if rng.random() < 0.6 else -0.20) * defect()
    length = near(3.75, 4.65) * size * stretch
    width = near(2.55, 3.15) * size / stretch

    acrosome_loss = defect()
    vacuolation = defect()
    vacuoles = int(rng.integers(0, 3)) + round(4 * vacuolation)
    vacuole_share = 0.0 if vacuoles == 0 else min(0.45, 0.02 * vacuoles + 0.30 * vacuolation * rng.uniform(0.6, 1.2))

    tail_loss, coil, bend = defect(), defect(), defect()
    if coil and rng.random() < 0.5:  # a coil and a stump on the same sperm are rare
        tail_loss = 0.0

    # Motility: one vigour for all of it, so that a weak sperm is slow, beats slowly and rolls little, plus own scatter.
    vigour = float(np.clip(1.0 - severity * rng.uniform(0.35, 1.25), 0.0, 1.0)) * (1.0 - 0.6 * min(coil, 1.0))
    erratic = defect()
    hyperactive = defect() * vigour
    speed = near(28.0, 75.0) * vigour**1.3 * (1.0 - 0.5 * hyperactive)
    return Sperm(
        head_length_um=length,
        head_width_um=width,
        head_taper=float(np.clip(abs(rng.normal(0, 0.08)) + 0.9 * defect(), 0, 1)),
        head_asymmetry=abs(float(rng.normal(0, 0.04))) + 0.45 * defect(),
        acrosome_share=near(0.42, 0.68) * (1.0 - 0.95 * acrosome_loss),
        vacuoles=vacuoles,
        vacuole_share=vacuole_share,
        midpiece_length_um=near(3.4, 5.1) * (1.0 - 0.4 * defect()),
        midpiece_width_um=near(0.5, 0.8) + 0.9 * defect(),
        midpiece_angle_deg=float(rng.normal(0, 4)) + sign() * 75.0 * defect(),
        droplet_share=near(0.0, 0.12) + 0.7 * defect(),
        tail_length_um=near(39.0, 51.0) * (1.0 - 0.75 * tail_loss),
        tail_coil=abs(float(rng.normal(0, 0.03))) + 1.8 * coil,
        tail_bend_deg=float(rng.normal(0, 5)) + sign() * 130.0 * bend,
        speed_um_s=speed if speed > 1.5 else 0.0,
        turn_deg_s=float(rng.normal(0, 6)) + sign() * 130.0 * erratic,
        wander_deg=near(2.0, 10.0) + 35.0 * erratic,
        sway_um=near(0.5, 1.7) * vigour + 2.2 * hyperactive,
        beat_hz=near(9.0, 19.0) * (0.25 + 0.75 * vigour) if vigour > 0.04 else 0.0,
        beat_amplitude_um=near(4.2, 9.5) * (0.3 + 0.7 * vigour) + 5.0 * hyperactive,
        beat_wavelength_um=near(23.0, 42.0),
        roll_hz=near(0.6, 3.8) * vigour,
        contrast=near(0.75, 1.25),
    )
