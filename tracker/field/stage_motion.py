"""How far the operator's stage has moved the picture: many small patches of the background, looked for in the frame.

Frame against frame would follow the swimming heads; the background does not swim. Each patch votes with the offset at
which it fits best, and only an agreement of several counts. A move beyond the patches' search is looked for once over
the whole field by phase correlation, and has to be confirmed by the patches. This module measures; others move.
"""

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.matching.matcher import vertex
from tracker.params import StageParams


@dataclass(frozen=True, slots=True)
class Shift:
    """A measured move of the picture in px."""

    dx: float
    dy: float
    known: bool
    """False where the patches do not agree: nothing is known, and (dx, dy) is (0, 0)."""
    votes: int


class StageMotion:
    """Measures the picture's move against a background that it keeps for a while."""

    def __init__(self, head_px: float, params: StageParams) -> None:
        """``head_px`` sets how far the picture is shrunk."""
        self._params = params
        self._factor = max(1.0, head_px / params.working_head_px)
        self._still: NDArray[np.float32] | None = None
        self._places: list[tuple[int, int]] = []
        self._moved = np.zeros(2)
        self._last = np.zeros(2)
        self._uses = 0

    def forget(self) -> None:
        """Take the next background afresh."""
        self._still = None

    def measure(self, background: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> Shift:
        """Return how far the picture moved since the frame before, to ``pixels`` (H, W).

        ``background`` (H, W) is as the frame before saw it.
        """
        params = self._params
        if (
            self._still is None
            or self._uses >= params.renew_frames
            or np.hypot(*self._moved) > params.renew_px * self._factor
        ):
            self._still = self._shrink(background)
            self._places = _textured(self._still, params)
            self._moved[:] = 0.0
            self._uses = 0
        self._uses += 1
        now = self._shrink(pixels)
        total, votes = self._vote(self._still, now, self._moved + self._last)
        if total is None:
            self._last[:] = 0.0
            return Shift(0.0, 0.0, False, votes)
        step = total - self._moved
        if np.hypot(*step) < params.still_px:
            step = np.zeros(2)
        return self._accept(step, votes)

    def search(self, background: NDArray[np.uint8], pixels: NDArray[np.uint8]) -> Shift:
        """Return a move of any size, found over the whole field and confirmed by the patches."""
        still, now = self._shrink(background), self._shrink(pixels)
        smooth = [image - cv2.GaussianBlur(image, (0, 0), 5) for image in (still, now)]
        (dx, dy), response = cv2.phaseCorrelate(smooth[0], smooth[1])
        if response < self._params.jump_response:
            return Shift(0.0, 0.0, False, 0)
        self._still, self._places, self._uses = still, _textured(still, self._params), 1
        self._moved[:] = 0.0
        total, votes = self._vote(still, now, np.array([dx, dy]) * self._factor)
        if total is None:
            return Shift(0.0, 0.0, False, votes)
        found = self._accept(total, votes)
        self._last[:] = 0.0
        return found

    def _accept(self, step: NDArray[np.float64], votes: int) -> Shift:
        self._moved += step
        self._last[:] = step
        return Shift(float(step[0]), float(step[1]), True, votes)

    def _shrink(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the picture at working size: the upper left part that whole shrunk pixels cover."""
        if self._factor == 1.0:
            return image.astype(np.float32)
        size = (max(1, int(image.shape[1] / self._factor)), max(1, int(image.shape[0] / self._factor)))
        shrink = np.array([[self._factor, 0.0, (self._factor - 1) / 2], [0.0, self._factor, (self._factor - 1) / 2]])
        edge = max(1, round(self._factor))
        soft = cv2.blur(image, (edge, edge))
        return cv2.warpAffine(
            soft, shrink, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        ).astype(np.float32)

    def _vote(
        self, still: NDArray[np.float32], now: NDArray[np.float32], guess_px: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64] | None, int]:
        """Return the move of ``now`` against ``still`` in px that the patches agree on, and how many do."""
        params = self._params
        patch_px, search_px = params.patch_px, params.search_px
        gx, gy = np.rint(guess_px / self._factor).astype(int).tolist()
        votes = []
        tried = 0
        for x, y in self._places:
            area, patch = (
                _inside(now, x + gx, y + gy, patch_px + search_px),
                _inside(still, x, y, patch_px),
            )
            if area is None or patch is None:
                continue
            tried += 1
            fit = np.asarray(cv2.matchTemplate(area, patch, cv2.TM_CCOEFF_NORMED), np.float32)
            row, column = divmod(int(fit.argmax()), fit.shape[1])
            if params.least_fit <= fit[row, column] <= 1.001 and 0 < row < 2 * search_px and 0 < column < 2 * search_px:
                dx, dy = column + vertex(fit[row], column), row + vertex(fit[:, column], row)
                votes.append((gx - search_px + dx, gy - search_px + dy))
        if len(votes) < params.least_votes:
            return None, len(votes)
        table = np.array(votes)
        agreeing = table[np.hypot(*(table - np.median(table, axis=0)).T) <= params.agree_px]
        if len(agreeing) < max(params.least_votes, params.least_share * tried):
            return None, len(agreeing)
        return np.median(agreeing, axis=0) * self._factor, len(agreeing)


def _textured(still: NDArray[np.float32], params: StageParams) -> list[tuple[int, int]]:
    """Return the middle (x, y) of the most textured patch of each cell of the grid."""
    patch_px = params.patch_px
    edges = cv2.Sobel(still, cv2.CV_32F, 1, 0) ** 2 + cv2.Sobel(still, cv2.CV_32F, 0, 1) ** 2
    texture = cv2.boxFilter(edges, -1, (2 * patch_px + 1, 2 * patch_px + 1))
    height, width = still.shape
    found = []
    rows = np.linspace(patch_px, height - 1 - patch_px, params.grid[0] + 1).astype(int)
    columns = np.linspace(patch_px, width - 1 - patch_px, params.grid[1] + 1).astype(int)
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            cell = texture[top:bottom, left:right]
            if cell.size and float(cell.max()) > 0:
                row, column = divmod(int(cell.argmax()), cell.shape[1])
                found.append((int(left + column), int(top + row)))
    return found


def _inside(image: NDArray[np.float32], x: int, y: int, reach: int) -> NDArray[np.float32] | None:
    """Return the square of edge 2 reach + 1 round a pixel, None where it is not all inside."""
    if x < reach or y < reach or x + reach >= image.shape[1] or y + reach >= image.shape[0]:
        return None
    return image[y - reach : y + reach + 1, x - reach : x + reach + 1]
