"""Which peaks may be heads."""

import cv2
import numpy as np
import pytest

import tracker.matching.detection
from tracker.matching.detection import least_contrast, maxima


@pytest.mark.parametrize("edge", [5, 11, 17])
@pytest.mark.parametrize("plateaus", [False, True])
@pytest.mark.parametrize("many", [0, 3000])
def test_maxima_of_a_disc(edge: int, plateaus: bool, many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with searching the disc around every pixel, including plateaus and the image's edges."""
    monkeypatch.setattr(tracker.matching.detection, "MANY", many)
    noise = np.random.default_rng(3).normal(0, 30, (90, 120)).astype(np.float32)
    image = np.maximum(cv2.GaussianBlur(noise, (0, 0), 2.0), 0)
    if plateaus:
        image = np.rint(image)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (edge, edge))
    rows, columns = np.nonzero((image >= cv2.dilate(image, disc)) & (image > least_contrast(image)))
    found = maxima(image, edge)
    assert sorted(found) == sorted(zip(rows.tolist(), columns.tolist(), strict=True))
    assert len(found) > 10
    heights = [image[place] for place in found]
    assert heights == sorted(heights, reverse=True)
