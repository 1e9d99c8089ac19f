"""The properties of one sperm: its shape, its swimming, its contrast.

This module knows criteria in micrometres and seconds, with their normal ranges, and samples sperm from populations of
chosen abnormality. It deliberately does not know how a sperm moves through a field or looks in pixels
(``capture.simulator.motion``, ``capture.simulator.rendering``), nor how it would be graded.

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
    """One sperm. Every field but ``contrast`` is a criterion that it could be graded by."""

    head_length_um: float
    """Along the long axis. Normal 3.7-4.7."""
    head_width_um: float
    """Across it, at the widest point. Normal 2.5-3.2; length / width 1.3-1.8."""
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
    """Turns that the tail coils over its length. Normal up to 0.1; coiled from 1."""
    tail_bend_deg: float
    """Sharp kink a third of the way along the tail, signed. Normal within 20; from 90 a hairpin."""
    speed_um_s: float
    """Along its mean path. Normal 25-80; 5-25 slow; below 5 not progressive, 0 immotile."""
    turn_deg_s: float
    """Mean turning of the path, signed: 0 straight, 90 and more circles. Normal within 20."""
    wander_deg: float
    """Standard deviation of the random change of heading over one second. Normal up to 12."""
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
    """Optical contrast of the cell against the medium, typically 1 (0.7-1.3). Not a criterion of quality."""


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

    ``severity`` (0..1) sets how abnormal it is overall: at 0 every criterion is in or near its normal range; as it
    rises, more criteria are affected, each more strongly, and swimming gets weaker. Sperm of equal severity differ in
    what is wrong with them. None draws the severity from a population in which most are mildly abnormal, as in ordinary
    samples.
    """
    if severity is None:
        severity = float(rng.beta(1.2, 2.0))
    if not 0.0 <= severity <= 1.0:
        raise ValueError(f"severity must lie in 0..1, got {severity}")
    draw = _Draw(rng, severity)
    head = _sample_head(draw)
    tail_loss, coil, bend = draw.defect(), draw.defect(), draw.defect()
    if coil and rng.random() < 0.5:  # a coil and a stump on the same sperm are rare
        tail_loss = 0.0
    motility = _sample_motility(draw, coil)
    # The order of the draws decides which sperm a seed gives: keep it.
    return Sperm(
        head_length_um=head.length_um,
        head_width_um=head.width_um,
        head_taper=float(np.clip(abs(rng.normal(0, 0.08)) + 0.9 * draw.defect(), 0, 1)),
        head_asymmetry=abs(float(rng.normal(0, 0.04))) + 0.45 * draw.defect(),
        acrosome_share=draw.near(0.42, 0.68) * (1.0 - 0.95 * head.acrosome_loss),
        vacuoles=head.vacuoles,
        vacuole_share=head.vacuole_share,
        midpiece_length_um=draw.near(3.4, 5.1) * (1.0 - 0.4 * draw.defect()),
        midpiece_width_um=draw.near(0.5, 0.8) + 0.9 * draw.defect(),
        midpiece_angle_deg=float(rng.normal(0, 4)) + draw.sign() * 75.0 * draw.defect(),
        droplet_share=draw.near(0.0, 0.12) + 0.7 * draw.defect(),
        tail_length_um=draw.near(39.0, 51.0) * (1.0 - 0.75 * tail_loss),
        tail_coil=abs(float(rng.normal(0, 0.03))) + 1.8 * coil,
        tail_bend_deg=float(rng.normal(0, 5)) + draw.sign() * 130.0 * bend,
        speed_um_s=motility.speed_um_s if motility.speed_um_s > 1.5 else 0.0,
        turn_deg_s=float(rng.normal(0, 6)) + draw.sign() * 130.0 * motility.erratic,
        wander_deg=draw.near(2.0, 10.0) + 35.0 * motility.erratic,
        sway_um=draw.near(0.5, 1.7) * motility.vigour + 2.2 * motility.hyperactive,
        beat_hz=draw.near(9.0, 19.0) * (0.25 + 0.75 * motility.vigour) if motility.vigour > 0.04 else 0.0,
        beat_amplitude_um=draw.near(4.2, 9.5) * (0.3 + 0.7 * motility.vigour) + 5.0 * motility.hyperactive,
        beat_wavelength_um=draw.near(23.0, 42.0),
        roll_hz=draw.near(0.6, 3.8) * motility.vigour,
        contrast=draw.near(0.75, 1.25),
    )


@dataclass(frozen=True, slots=True)
class _Draw:
    """The elementary random draws of one sperm."""

    rng: np.random.Generator
    severity: float

    def defect(self) -> float:
        """Return the degree of one defect: 0 for most criteria of a good sperm, up to 1."""
        if self.rng.random() > 0.04 + 0.46 * self.severity:
            return 0.0
        return min(1.0, (0.15 + 0.85 * self.severity) * self.rng.uniform(0.5, 1.3))

    def near(self, low: float, high: float) -> float:
        """Return a normal value: bell-shaped, four standard deviations from ``low`` to ``high``."""
        return float(np.clip(self.rng.normal((low + high) / 2, (high - low) / 4), low, high))

    def sign(self) -> float:
        """Return 1 or -1."""
        return 1.0 if self.rng.random() < 0.5 else -1.0


@dataclass(frozen=True, slots=True)
class _Head:
    length_um: float
    width_um: float
    acrosome_loss: float
    vacuoles: int
    vacuole_share: float


def _sample_head(draw: _Draw) -> _Head:
    """Draw the head's size, acrosome and vacuoles."""
    # Head size and elongation vary together in nature, so a head is drawn as a size and a ratio.
    size = 1.0 + draw.sign() * 0.38 * draw.defect()
    stretch = 1.0 + (0.30 if draw.rng.random() < 0.6 else -0.20) * draw.defect()
    length = draw.near(3.75, 4.65) * size * stretch
    width = draw.near(2.55, 3.15) * size / stretch
    acrosome_loss = draw.defect()
    vacuolation = draw.defect()
    vacuoles = int(draw.rng.integers(0, 3)) + round(4 * vacuolation)
    share = 0.0 if vacuoles == 0 else min(0.45, 0.02 * vacuoles + 0.30 * vacuolation * draw.rng.uniform(0.6, 1.2))
    return _Head(length, width, acrosome_loss, vacuoles, share)


@dataclass(frozen=True, slots=True)
class _Motility:
    vigour: float
    """0 (immotile) to 1, one value for all motility: a weak sperm is slow, beats slowly and rolls little."""
    erratic: float
    hyperactive: float
    speed_um_s: float


def _sample_motility(draw: _Draw, coil: float) -> _Motility:
    """Draw what the swimming criteria have in common; a coiled tail (``coil`` 0..1) weakens it."""
    weakness = draw.severity * draw.rng.uniform(0.35, 1.25)
    vigour = float(np.clip(1.0 - weakness, 0.0, 1.0)) * (1.0 - 0.6 * min(coil, 1.0))
    erratic = draw.defect()
    hyperactive = draw.defect() * vigour
    speed = draw.near(28.0, 75.0) * vigour**1.3 * (1.0 - 0.5 * hyperactive)
    return _Motility(vigour, erratic, hyperactive, speed)
