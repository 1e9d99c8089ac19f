"""Squares around a position, and images computed only where they are read."""

import numpy as np
import pytest

from tracker.matching.lazy_image import TILE_PX, LazyImage, cut

HEIGHT, WIDTH = 2 * TILE_PX + 40, 3 * TILE_PX + 7


class Maker:
    """Makes a known image, and counts the pixels it made."""

    def __init__(self) -> None:
        self.image = np.random.default_rng(0).random((HEIGHT, WIDTH), np.float32)
        self.made = self.calls = 0

    def __call__(self, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        part = self.image[top:bottom, left:right]
        self.made += part.size
        self.calls += 1
        return part


def lazy(maker: Maker, *, whole: bool = False) -> LazyImage:
    return LazyImage(np.full((HEIGHT, WIDTH), np.nan, np.float32), maker, whole=whole)


def test_only_what_is_looked_at_is_made_and_only_once() -> None:
    maker = Maker()
    image = lazy(maker)
    for _ in range(2):
        np.testing.assert_array_equal(image.area(10, 20, 3, 25), maker.image[10:20, 3:25])
        assert maker.made == TILE_PX**2
    image.area(TILE_PX - 1, TILE_PX + 1, 5, 6)
    assert maker.made == 2 * TILE_PX**2
    image.area(0, TILE_PX + 1, TILE_PX - 1, TILE_PX + 1)
    assert (maker.made, maker.calls) == (4 * TILE_PX**2, 3), "what is missing side by side is made in one go"
    np.testing.assert_array_equal(image.whole(), maker.image)


@pytest.mark.parametrize("x", [-40, 0, 5, TILE_PX, WIDTH - 1, WIDTH + 30])
@pytest.mark.parametrize("y", [-40, 0, 2 * TILE_PX, HEIGHT - 1, HEIGHT + 30])
@pytest.mark.parametrize("whole", [False, True])
def test_squares_are_those_of_the_whole_image(x: int, y: int, whole: bool) -> None:
    maker = Maker()
    np.testing.assert_array_equal(lazy(maker, whole=whole).cut(x, y, 17), cut(maker.image, x, y, 17))


def test_an_image_that_exists_is_handed_out_as_it_is() -> None:
    image = Maker().image
    assert np.shares_memory(LazyImage.of(image).whole(), image)
    np.testing.assert_array_equal(LazyImage.of(image).cut(50, 60, 3), image[57:64, 47:54])


def test_cut_repeats_the_edge() -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert cut(image, 0, 0, 1).tolist() == [[0, 0, 1], [0, 0, 1], [4, 4, 5]]
    assert cut(image, 9, 9, 1).tolist() == [[11.0] * 3] * 3
