"""The percentile from a histogram, and the median step, are NumPy's, to the last bit."""

import numpy as np
import pytest

from tracker.field.disturbances import level_step, percentile, thinned


@pytest.mark.parametrize("percent", [0.0, 5.0, 37.3, 50.0, 95.0, 99.0, 100.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 5), (61, 47)])
@pytest.mark.parametrize("levels", [1, 7, 256])
def test_percentile_is_numpys(percent: float, shape: tuple[int, int], levels: int) -> None:
    image = np.random.default_rng(levels).integers(0, levels, shape).astype(np.uint8)
    assert percentile(image, percent) == float(np.percentile(image, percent))
    assert percentile(image[::2, ::3], percent) == float(np.percentile(image[::2, ::3], percent))


@pytest.mark.parametrize("shape", [(240, 320), (480, 640), (7, 3), (1, 1), (2, 1)])
def test_the_step_of_the_levels_is_the_median(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    frame, still = rng.integers(0, 256, shape).astype(np.uint8), rng.integers(0, 9, shape).astype(np.uint8)
    assert level_step(frame, still) == float(np.median(thinned(frame).astype(float) - thinned(still)))
