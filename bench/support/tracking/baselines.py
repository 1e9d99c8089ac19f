"""What the tracker is measured beside: a plain fixed template, and OpenCV's own trackers where this OpenCV has them."""

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

TEMPLATE_PX, REACH_PX = 21, 12
BOX_PX = 24


class Baseline(Protocol):
    """Follows one head from a point. ``start`` makes a state, ``update`` changes it."""

    name: str
    quick: bool
    """Quick enough to follow every segment of a clip."""

    def start(self, pixels: NDArray[np.uint8], x: float, y: float) -> object:
        """Begin at (x, y) of a frame (H, W)."""
        ...

    def update(self, state: Any, pixels: NDArray[np.uint8]) -> tuple[float, float]:
        """Return the position in the next frame."""
        ...


@dataclass(slots=True)
class Place:
    """State of the fixed template."""

    template: NDArray[np.float32]
    x: float
    y: float


class FixedTemplate:
    """The first frame's patch, looked for near the last position by normalised cross-correlation."""

    name = "fixed template"
    quick = True

    def start(self, pixels: NDArray[np.uint8], x: float, y: float) -> Place:
        """See Baseline."""
        patch = cv2.getRectSubPix(pixels.astype(np.float32), (TEMPLATE_PX, TEMPLATE_PX), (x, y))
        return Place(np.asarray(patch, np.float32), x, y)

    def update(self, state: Place, pixels: NDArray[np.uint8]) -> tuple[float, float]:
        """See Baseline."""
        edge = TEMPLATE_PX + 2 * REACH_PX
        x, y = round(state.x), round(state.y)
        area = cv2.getRectSubPix(pixels, (edge, edge), (float(x), float(y))).astype(np.float32)
        fit = cv2.matchTemplate(area, state.template, cv2.TM_CCOEFF_NORMED)
        row, column = divmod(int(fit.argmax()), fit.shape[1])
        height, width = pixels.shape
        state.x = float(np.clip(x + column - REACH_PX, 0, width - 1))
        state.y = float(np.clip(y + row - REACH_PX, 0, height - 1))
        return state.x, state.y


class OpenCvTracker:
    """One of OpenCV's trackers that needs no network: CSRT where the contributed modules are there, MIL always."""

    quick = False

    def __init__(self, kind: str) -> None:
        """``kind``: "CSRT" or "MIL"."""
        self.name = f"OpenCV {kind}"
        self._kind = kind

    def start(self, pixels: NDArray[np.uint8], x: float, y: float) -> object:
        """See Baseline."""
        tracker = getattr(cv2, f"Tracker{self._kind}").create()
        height, width = pixels.shape
        left, top = (int(np.clip(v - BOX_PX / 2, 0, n - BOX_PX)) for v, n in ((x, width), (y, height)))
        tracker.init(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR), (left, top, BOX_PX, BOX_PX))
        return [tracker, (x, y)]

    def update(self, state: Any, pixels: NDArray[np.uint8]) -> tuple[float, float]:
        """See Baseline."""
        found, box = state[0].update(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))
        if found:
            state[1] = (box[0] + box[2] / 2, box[1] + box[3] / 2)
        x, y = state[1]
        return float(x), float(y)


def baselines() -> list[Baseline]:
    """Return the baselines that this OpenCV has."""
    return [FixedTemplate(), *(OpenCvTracker(kind) for kind in ("CSRT", "MIL") if hasattr(cv2, f"Tracker{kind}"))]
