"""The percentile from a histogram is NumPy's, to the last bit."""

import numpy as np
import pytest

from tracker.field.disturbances import percentile


@pytest.mark.parametrize("percent", [0.0, 5.0, 37.3, 50.0, 95.0, 99.0, 100.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 5), (61, 47)])
@pytest.mark.parametrize("levels", [1, 7, 256])
def test_percentile_is_numpys(percent: float, shape: tuple[int, int], levels: int) -> None:
    image = np.random.default_rng(levels).integers(0, levels, shape).astype(np.uint8)
    assert percentile(image, percent) == float(np.percentile(image, percent))
    assert percentile(image[::2, ::3], percent) == float(np.percentile(image[::2, ::3], percent))
