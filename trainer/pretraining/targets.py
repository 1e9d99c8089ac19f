"""Dense targets: what every patch of a simulated frame shows, which patch tokens learn before the network grades.

Two kinds: where head and tail lie, on a grid of cells of :data:`CELL_PX`, and how the sperm in the middle is made and
turned (:data:`MIDDLE`). It knows films (``capture.simulator.clips``) and numpy; it knows neither votes nor torch.
"""

import math
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.simulator.clips import Film
from capture.simulator.flagellum import Flagellum
from capture.simulator.rendering import HEAD_THICKNESS
from trainer.data.raters import CRITERIA, defect_scores

CELL_PX: Final = 5
"""Edge of a cell; it divides every patch size in use."""

MIDDLE: Final = (
    "heading x",
    "heading y",
    "edge-on",
    "defocus",
    "length",
    "width",
    "shown width",
    "taper",
    "shown asymmetry",
    "acrosome",
    "vacuoles",
    "midpiece width",
    "shown midpiece angle",
    "droplet",
    *CRITERIA,
)
"""What is to be said of the sperm in the middle of a frame, in order; each about of mean 0 and spread 1."""


class DenseTargets(NamedTuple):
    """The targets of one film's frames T."""

    cells: NDArray[np.uint8]
    """(T, 2, H / CELL_PX, W / CELL_PX) 0 or 1: is any of the head, of midpiece and tail, in the cell."""
    middle: NDArray[np.float32]
    """(T, len(MIDDLE))."""


def dense_targets(film: Film, um_per_px: float) -> DenseTargets:
    """Return the targets of every frame of a film."""
    frames, height, width = film.clip.shape
    sperm = film.sperm
    tail = Flagellum(sperm)
    cells = np.zeros((frames, 2, height // CELL_PX, width // CELL_PX), np.uint8)
    middle = np.empty((frames, len(MIDDLE)), np.float32)
    judged = (defect_scores(sperm) - _DEFECT_MEAN) / _DEFECT_SPREAD
    for k, pose in enumerate(film.poses):
        turn = complex(math.cos(pose.heading_rad), math.sin(pose.heading_rad)) / um_per_px
        at = complex(pose.x, pose.y)
        shown_um = sperm.head_width_um * math.hypot(math.cos(pose.roll_rad), HEAD_THICKNESS * math.sin(pose.roll_rad))
        head = np.zeros((height, width), np.uint8)
        axes = (round(8 * sperm.head_length_um / um_per_px), round(8 * shown_um / um_per_px))
        centre = (round(16 * pose.x), round(16 * pose.y))
        cv2.ellipse(head, centre, axes, math.degrees(pose.heading_rad), 0, 360, 255, -1, cv2.LINE_8, 4)
        line = np.concatenate([[-sperm.head_length_um / 2], tail.centreline(pose.beat_rad, pose.roll_rad)]) * turn + at
        points = np.rint(np.stack([line.real, line.imag], axis=1) * 16).astype(np.int32)
        course = np.zeros((height, width), np.uint8)
        cv2.polylines(course, [points], False, 255, 1, cv2.LINE_8, 4)
        for place, mask in enumerate((head, course)):
            cells[k, place] = cv2.resize(mask, cells.shape[:1:-1], interpolation=cv2.INTER_AREA) > 0
        facing = math.cos(pose.roll_rad)
        # The signs of asymmetry and bend show only as seen from this side.
        middle[k] = (
            1.4 * math.cos(pose.heading_rad),
            1.4 * math.sin(pose.heading_rad),
            1.4 * math.cos(2 * pose.roll_rad),
            (abs(pose.defocus_um) - 0.8) / 0.6,
            (sperm.head_length_um - 4.2) / 0.7,
            (sperm.head_width_um - 2.8) / 0.45,
            (shown_um - 2.2) / 0.6,
            (sperm.head_taper - 0.2) / 0.25,
            3.0 * sperm.head_asymmetry * abs(facing),
            (sperm.acrosome_share - 0.5) / 0.15,
            (sperm.vacuole_share - 0.07) / 0.09,
            (sperm.midpiece_width_um - 0.75) / 0.25,
            abs(math.radians(sperm.midpiece_angle_deg) * facing) / 0.3,
            (sperm.droplet_share - 0.15) / 0.2,
            *judged,
        )
    return DenseTargets(cells, middle)


# Roughly those of the population of ``sample_sperm``: only their order of magnitude matters.
_DEFECT_MEAN: Final = 0.2
_DEFECT_SPREAD: Final = 0.25
