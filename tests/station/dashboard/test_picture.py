"""A picture in a terminal: half blocks with the right greys, signs where there is no colour."""

import numpy as np
import pytest
from rich.color import Color
from rich.text import Text

from station.dashboard.picture import RAMP, picture_lines
from station.dashboard.text import ASCII, UTF8


def shades(line: Text) -> list[tuple[int, int]]:
    """Upper and lower grey of each cell."""
    found: list[tuple[int, int]] = []
    for span in line.spans:
        style = span.style
        assert not isinstance(style, str)
        for colour in (style.color, style.bgcolor):
            assert isinstance(colour, Color)
            assert colour.triplet is not None
        pair = (style.color.triplet.red, style.bgcolor.triplet.red)  # type: ignore[union-attr]
        found += [pair] * (span.end - span.start)
    return found


def quarters() -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Black, white over white, black."""
    picture = np.zeros((150, 150), np.uint8)
    picture[:75, 75:] = picture[75:, :75] = 200
    return picture


def test_half_blocks_show_two_pixels_a_cell() -> None:
    lines = picture_lines(quarters(), 2, UTF8, colour=True)
    assert [line.plain for line in lines] == ["▀▀▀▀"] * 2
    assert shades(lines[0]) == [(0, 0), (0, 0), (255, 255), (255, 255)]
    assert shades(lines[1]) == [(255, 255), (255, 255), (0, 0), (0, 0)]
    (line,) = picture_lines(quarters(), 1, UTF8, colour=True)
    assert shades(line) == [(0, 255), (255, 0)]


@pytest.mark.parametrize(("glyphs", "colour"), [(UTF8, False), (ASCII, True)])
def test_without_colour_there_are_signs(glyphs: object, colour: bool) -> None:
    lines = picture_lines(quarters(), 2, glyphs, colour=colour)  # type: ignore[arg-type]
    assert [line.plain for line in lines] == ["  @@", "@@  "]
    assert RAMP[0] == " "


def test_an_even_picture_is_not_stretched_to_noise() -> None:
    rng = np.random.default_rng(1)
    noise = (90 + rng.integers(0, 2, (150, 150))).astype(np.uint8)
    greys = [grey for line in picture_lines(noise, 10, UTF8, colour=True) for pair in shades(line) for grey in pair]
    assert max(greys) < 64


@pytest.mark.parametrize("rows", [3, 7, 12, 25])
def test_size(rows: int) -> None:
    lines = picture_lines(quarters(), rows, UTF8, colour=False)
    assert {len(line.plain) for line in lines} == {2 * rows}
    assert len(lines) == rows
