"""Sperm in pixels, as positive phase contrast shows them.

A head seen flat is bright over its nucleus, grey under the acrosome, with a dark outline and a bright halo; seen edge
on it is a narrow flash. Midpiece and tail are dark on the grey medium. Drawing adds grey levels to an int16 canvas:
``Portrait`` keeps the rigid part (head and midpiece) of one sperm as one image per roll angle and places the nearest
one, rotated and moved by fractions of a px. This module knows neither noise nor background.
"""

import math
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from capture.simulator.flagellum import Flagellum, neck
from capture.simulator.motion import Pose
from capture.simulator.sperm import Sperm

Canvas: TypeAlias = NDArray[np.int16]
"""(H, W) int16, grey levels before the camera clips them to 8 bits."""

ROLLS = 24
"""Images per full roll, a multiple of 4."""
OVERSAMPLING = 2
"""Image px per frame px."""
HEAD_THICKNESS = 0.48
"""Of a head seen edge on, as a share of its width."""
HALO_UM = 1.6
POINT_SPREAD_UM = 0.17
"""Standard deviation of the optics' blur in focus."""
DEFOCUS_BLUR = 0.22
"""Standard deviation of the blur per unit of distance from the focal plane."""

# Grey levels added to the medium at contrast 1.
NUCLEUS, NUCLEUS_EDGE_ON = 62.0, 150.0
ACROSOME, ACROSOME_EDGE_ON = -38.0, 150.0
OUTLINE = -90.0
HALO, HALO_EDGE_ON = 165.0, 110.0
VACUOLE = -95.0
MIDPIECE = -58.0
DROPLET = -56.0
TAIL_NEAR, TAIL_FAR = 46.0, 9.0
TAIL_PIECES = 6
"""Number of steps in which the tail fades."""

SUBPIXEL_BITS = 4
SUBPIXEL = 1 << SUBPIXEL_BITS
"""Subpixel positions of tail points per px."""


class Portrait:
    """One sperm, ready to be drawn many times at one scale. Its images are painted on first use."""

    def __init__(self, sperm: Sperm, um_per_px: float) -> None:
        self.sperm = sperm
        self.um_per_px = um_per_px
        self._images: dict[int, NDArray[np.float32]] = {}
        self._px_um = um_per_px / OVERSAMPLING
        front = sperm.head_length_um / 2 + 2 * HALO_UM
        back = sperm.head_length_um / 2 + max(sperm.midpiece_length_um, 3.0) + 1.7 * HALO_UM
        bend = abs(sperm.midpiece_length_um * math.sin(math.radians(sperm.midpiece_angle_deg)))
        side = max(0.75 * sperm.head_width_um + 2 * HALO_UM, bend + 1.7 * HALO_UM)
        self._u = (np.arange(-math.ceil(back / self._px_um), math.ceil(front / self._px_um)) * self._px_um).astype("f4")
        half = math.ceil(side / self._px_um)
        self._v = (np.arange(-half, half + 1) * self._px_um).astype("f4")
        self._span_u = (float(self._u[0]) / um_per_px, float(self._u[-1]) / um_per_px)
        self._span_v = (float(self._v[0]) / um_per_px, float(self._v[-1]) / um_per_px)
        self._flagellum = Flagellum(sperm)
        # A disc that contains all of it: around the middle of a straight tail, larger if the tail bends away.
        length = back + sperm.tail_length_um
        astray = abs(sperm.midpiece_angle_deg) + abs(sperm.tail_bend_deg) + 360 * sperm.tail_coil
        self._middle_px = length / 2 / um_per_px
        self._reach_px = (length * math.sqrt(1.25 - math.cos(math.radians(min(astray, 180.0)))) + 8.0) / um_per_px
        self._tail_width = max(1, round(0.3 / um_per_px))
        last = len(self._flagellum.centreline(0.0, 0.0)) - 1
        cuts = [round(last * i / TAIL_PIECES) for i in range(TAIL_PIECES + 1)]
        greys = [
            sperm.contrast * (TAIL_NEAR + (TAIL_FAR - TAIL_NEAR) * i / (TAIL_PIECES - 1)) for i in range(TAIL_PIECES)
        ]
        self._tail_pieces = list(zip(cuts, cuts[1:], greys, strict=False))[::-1]
        """From the tip: first and last point, grey levels to subtract."""

    def draw(self, canvas: Canvas, pose: Pose, *, origin: tuple[int, int] = (0, 0)) -> None:
        """Add the sperm to ``canvas``, whose top left px is at ``origin`` (x, y) in the pose's frame."""
        at = complex(pose.x - origin[0], pose.y - origin[1])
        heading = complex(math.cos(pose.heading_rad), math.sin(pose.heading_rad))
        middle = at - heading * self._middle_px
        if not (-self._reach_px < middle.real < canvas.shape[1] + self._reach_px):
            return
        if not (-self._reach_px < middle.imag < canvas.shape[0] + self._reach_px):
            return
        blur_px = DEFOCUS_BLUR * abs(pose.defocus_um) / self.um_per_px
        roll = round(pose.roll_rad / (2 * math.pi) * ROLLS) % ROLLS
        # The tail uses the image's roll, so that they meet at the neck.
        line = self._flagellum.centreline(pose.beat_rad, 2 * math.pi * roll / ROLLS)
        self._draw_tail(canvas, line * (heading / self.um_per_px) + at, blur_px)
        self._draw_head(canvas, self._image(roll), at, heading, blur_px)

    def _draw_head(
        self, canvas: Canvas, image: NDArray[np.float32], at: complex, heading: complex, blur_px: float
    ) -> None:
        cos, sin = heading.real, heading.imag
        (u0, u1), (v0, v1) = self._span_u, self._span_v
        middle = at + heading * complex(u0 + u1, v0 + v1) / 2
        half_x = (abs(cos) * (u1 - u0) + abs(sin) * (v1 - v0)) / 2
        half_y = (abs(sin) * (u1 - u0) + abs(cos) * (v1 - v0)) / 2
        margin = 3 * blur_px
        x, y = middle.real, middle.imag
        box = _box(canvas, x - half_x, y - half_y, x + half_x, y + half_y, margin)
        if box is None:
            return
        left, top, right, bottom = box
        # From patch px to image px: into the head's frame, then to the image's grid.
        dx, dy = left - at.real, top - at.imag
        k = OVERSAMPLING
        matrix = np.array(
            [
                [k * cos, k * sin, k * (cos * dx + sin * dy - u0)],
                [-k * sin, k * cos, k * (-sin * dx + cos * dy - v0)],
            ]
        )
        patch = cv2.warpAffine(
            image, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        if blur_px > 0.4:
            patch = cv2.GaussianBlur(patch, (0, 0), blur_px)
        region = canvas[top:bottom, left:right]
        cv2.add(region, patch, dst=region, dtype=cv2.CV_16S)

    def _draw_tail(self, canvas: Canvas, line: NDArray[np.complex128], blur_px: float) -> None:
        points = np.rint(line.view(np.float64) * SUBPIXEL).astype(np.int32).reshape(-1, 2)
        x, y, width, height = (n / SUBPIXEL for n in cv2.boundingRect(points))
        box = _box(canvas, x, y, x + width, y + height, 3 + 3 * blur_px)
        if box is None:
            return
        left, top, right, bottom = box
        points -= (left * SUBPIXEL, top * SUBPIXEL)
        layer = np.zeros((bottom - top, right - left), np.uint8)
        for first, last, grey in self._tail_pieces:
            cv2.polylines(layer, [points[first : last + 1]], False, grey, self._tail_width, cv2.LINE_AA, SUBPIXEL_BITS)
        spread = math.hypot(POINT_SPREAD_UM / self.um_per_px, blur_px)
        blurred = cv2.GaussianBlur(layer, (3, 3) if spread < 0.8 else (0, 0), spread)
        region = canvas[top:bottom, left:right]
        np.subtract(region, blurred, out=region)

    def _image(self, roll: int) -> NDArray[np.float32]:
        """Return the image of a roll step (0..ROLLS - 1); a quarter is painted, the rest mirrored."""
        roll = min(roll, ROLLS - roll)
        image = self._images.get(roll)
        if image is None:
            if roll > ROLLS // 4:
                image = np.ascontiguousarray(self._image(ROLLS // 2 - roll)[::-1])
            else:
                image = paint(self.sperm, 2 * math.pi * roll / ROLLS, self._u, self._v)
            self._images[roll] = image
        return image


def paint(sperm: Sperm, roll_rad: float, u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return head and midpiece at one roll, (len(v), len(u)) float32 grey levels to add, in the frame of the head.

    ``u`` (forwards) and ``v`` (to the right) are the image's coordinates in um, evenly spaced. Rolls of r and -r look
    the same; pi - r is the mirror image in v.
    """
    px_um = float(u[1] - u[0])
    u_row, v_col = u[None, :], v[:, None]
    facing, edge = math.cos(roll_rad), math.sin(roll_rad) ** 2

    # Outline: an ellipse whose half width varies along its axis (taper) and between its sides (asymmetry).
    half_length = sperm.head_length_um / 2
    half_width = sperm.head_width_um / 2 * math.hypot(facing, HEAD_THICKNESS * math.sin(roll_rad))
    along = u_row / half_length
    narrowing = np.clip(1 + 0.8 * sperm.head_taper * (along - 0.35), 0.15, 1.3)
    sided = 1 + np.sign(v_col) * (sperm.head_asymmetry * facing)
    radius = np.sqrt(along**2 + (v_col / (half_width * sided * narrowing)) ** 2)
    depth_um = (1 - radius) * min(half_length, half_width)  # roughly the distance inwards from the outline
    head = _soft(depth_um, 0.12)
    inner = _soft(depth_um - min(0.38, 0.3 * half_width), 0.15)

    acrosome_end = half_length * (1 - 2 * sperm.acrosome_share)
    front = _soft(u_row - acrosome_end, 0.2) * (1.0 if sperm.acrosome_share > 0.03 else 0.0)
    nucleus_grey = NUCLEUS + NUCLEUS_EDGE_ON * edge
    acrosome_grey = ACROSOME + ACROSOME_EDGE_ON * edge
    image = inner * (nucleus_grey + (acrosome_grey - nucleus_grey) * front)
    image += (head - inner) * OUTLINE * (1 - 0.9 * edge)
    for u0, v0, radius_um in vacuoles(sperm):
        hole = _soft(radius_um - np.hypot(u_row - u0, v_col - v0 * facing), 0.12)
        image += inner * hole * VACUOLE * (1 - 0.6 * edge)

    # Midpiece: distance to its axis; droplet: a blob on the neck.
    back = neck(sperm, roll_rad)[2]
    s: NDArray[np.float32] = (u_row + half_length) * math.cos(back) + v_col * math.sin(back)
    s = np.clip(s, 0, sperm.midpiece_length_um)
    off = np.hypot(u_row + half_length - s * math.cos(back), v_col - s * math.sin(back))
    thick = sperm.midpiece_width_um * (0.65 - 0.35 / sperm.midpiece_length_um * s)
    behind = (1 - head) * _soft(thick - off, 0.12)
    image += behind * MIDPIECE
    if sperm.droplet_share > 0.01:
        area = sperm.droplet_share * math.pi / 4 * sperm.head_length_um * sperm.head_width_um
        blob_radius = math.sqrt(area / math.pi)
        u0 = -half_length + 0.9 * blob_radius * math.cos(back)
        v0 = 0.9 * blob_radius * math.sin(back) + 0.35 * blob_radius * facing
        blob = (1 - head) * _soft(blob_radius - np.hypot((u_row - u0) / 1.25, v_col - v0), 0.2)
        image += blob * DROPLET
        behind = np.maximum(behind, blob)

    halo = (HALO + HALO_EDGE_ON * edge) * (head + 0.25 * behind)
    image += cv2.GaussianBlur(halo, (0, 0), HALO_UM / px_um)
    sharp = np.float32(sperm.contrast) * image.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(sharp, (0, 0), POINT_SPREAD_UM / px_um), np.float32)


def vacuoles(sperm: Sperm) -> list[tuple[float, float, float]]:
    """Return (u, v, radius) in um of each vacuole: spread over the head in a fixed pattern, the front one first."""
    if sperm.vacuoles == 0 or sperm.vacuole_share <= 0:
        return []
    area = math.pi / 4 * sperm.head_length_um * sperm.head_width_um * sperm.vacuole_share / sperm.vacuoles
    places = []
    for i in range(sperm.vacuoles):
        distance, angle = 0.55 * math.sqrt((i + 0.5) / sperm.vacuoles), 0.6 + 2.4 * i  # a sunflower's pattern
        u = sperm.head_length_um / 2 * distance * math.cos(angle)
        v = sperm.head_width_um / 2 * distance * math.sin(angle)
        places.append((u, v, math.sqrt(area / math.pi)))
    return places


def _soft(distance: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """Return 0 outside to 1 inside, with a linear edge of ``width`` on either side of distance 0."""
    inside: NDArray[np.float32] = np.clip(distance * np.float32(0.5 / width) + np.float32(0.5), 0.0, 1.0)
    return inside


def _box(
    canvas: Canvas, left: float, top: float, right: float, bottom: float, margin: float
) -> tuple[int, int, int, int] | None:
    """Return the px box of the given extent plus margin, clipped to the canvas; None if it is empty."""
    x0, y0 = max(0, math.floor(left - margin)), max(0, math.floor(top - margin))
    x1 = min(canvas.shape[1], math.ceil(right + margin) + 1)
    y1 = min(canvas.shape[0], math.ceil(bottom + margin) + 1)
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
