import pytest

from station.dashboard.spread import heads_apart, heads_in_words, spread, spread_in_words


@pytest.mark.parametrize(
    ("grade", "steps", "word"),
    [
        ((0, 0, 1, 0, 0), 0.0, "agreed"),
        ((0.5, 0.5, 0, 0, 0), 0.5, "agreed"),
        ((0, 1 / 3, 1 / 3, 1 / 3, 0), 0.816, "mixed"),
        ((0.2,) * 5, 1.414, "split"),
        ((0.5, 0, 0, 0, 0.5), 2.0, "split"),
    ],
)
def test_spread_says_how_far_the_experts_are_expected_to_differ(
    grade: tuple[float, ...], steps: float, word: str
) -> None:
    assert spread(grade) == pytest.approx(steps, abs=1e-3)
    assert spread_in_words(spread(grade)) == word


def test_heads_are_apart_by_the_two_that_differ_most() -> None:
    a, b, e = (1.0, 0, 0, 0, 0), (0, 1.0, 0, 0, 0), (0, 0, 0, 0, 1.0)
    assert heads_apart([a, a, a]) == 0
    assert heads_apart([a, b, a]) == pytest.approx(1)
    assert heads_apart([a, b, e]) == pytest.approx(4)
    assert heads_in_words(0.2) == "heads agree"
    assert heads_in_words(1.0) == "heads disagree"
    assert heads_in_words(None) == "no heads to compare"
