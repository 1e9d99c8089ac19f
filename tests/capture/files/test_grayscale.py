"""The rules by which depth and colour become 8-bit grey."""

import numpy as np
import pytest

from capture.files.grayscale import expand_limited, luma, upper_8


@pytest.mark.parametrize(
    ("values", "bits", "grey"),
    [
        pytest.param(np.array([0, 77, 255], np.uint8), 8, [0, 77, 255], id="8 bits stay"),
        pytest.param(np.array([0, 1023, 512], np.uint16), 10, [0, 255, 128], id="10 bits"),
        pytest.param(np.array([15, 16, 4095, 5000], np.uint16), 12, [0, 1, 255, 255], id="12 bits, and beyond them"),
        pytest.param(np.array([255, 256, 65535], np.uint16), 16, [0, 1, 255], id="16 bits"),
    ],
)
def test_the_upper_8_bits(values, bits, grey):
    result = upper_8(values, bits)
    assert (result.tolist(), result.dtype) == (grey, np.uint8)
    assert not np.shares_memory(result, values)


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535)])
def test_colour_becomes_luma_at_full_depth(dtype, full):
    image = np.zeros((1, 4, 3), dtype)
    image[0, 0, 0] = image[0, 1, 1] = image[0, 2, 2] = full
    image[0, 3] = full
    assert (luma(image)[0] / full).tolist() == pytest.approx([0.299, 0.587, 0.114, 1.0], abs=0.003)
    assert (luma(image, bgr=True)[0] / full).tolist() == pytest.approx([0.114, 0.587, 0.299, 1.0], abs=0.003)
    assert luma(image).dtype == dtype


def test_transparency_is_ignored():
    image = np.full((2, 2, 4), 9, np.uint8)
    image[:, :, 3] = 0
    assert np.all(luma(image) == 9)
    assert np.all(luma(image[:, :, 2:]) == 9)


def test_limited_range_is_stretched_by_the_standard():
    assert expand_limited(np.array([[0, 16, 126, 235, 255]], np.uint8)).tolist() == [[0, 0, 128, 255, 255]]
