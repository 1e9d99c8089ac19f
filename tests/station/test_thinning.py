"""When frames are left out evenly, and when more are tried again: by the moments at which frames were lost."""

from collections.abc import Callable

import pytest

from station.clock import NS_PER_S
from station.thinning import CALM_S, Thinning


def play(thinning: Thinning, until_s: float, loses: Callable[[float, int], bool], from_s: float = 0.0) -> list[int]:
    """Pass time in steps of 50 ms; ``loses`` says whether a frame is lost at a time, s, where one in so many is taken.

    Return every value that ``every`` has had, in turn.
    """
    had = [thinning.every]
    for step in range(round(from_s * 20), round(until_s * 20)):
        thinning.take()
        if loses(step / 20, thinning.every):
            thinning.lose(step * NS_PER_S // 20, 1)
        thinning.pass_time(step * NS_PER_S // 20)
        if thinning.every != had[-1]:
            had.append(thinning.every)
    return had


def seldom(period_s: float) -> Callable[[float, int], bool]:
    return lambda t_s, _every: t_s % period_s < 0.01


def test_a_hiccup_changes_nothing() -> None:
    assert play(Thinning(8), 60.0, lambda t_s, _every: 3.0 <= t_s < 3.4) == [1], "however many are lost at once"
    assert play(Thinning(8), 60.0, seldom(6.0)) == [1], "nor one now and then"


def test_what_is_needed_is_seen_from_what_is_lost() -> None:
    """Of 120 frames/s, one in four can be taken: 21 in 0.7 s, then 63 are missing."""
    thinning = Thinning(8)
    for spell in (1, 2):
        for _ in range(21):
            thinning.take()
        thinning.lose(spell * 7 * NS_PER_S // 10, 63)
    assert thinning.every == 4


def test_a_high_price_is_paid_for_many_losses_only() -> None:
    """Of 160 frames/s one in 11 enters a window; there is nothing between all of them and one in 11."""
    assert play(Thinning(11), 60.0, seldom(2.5)) == [1], "every second window is whole"
    assert play(Thinning(11), 60.0, lambda t_s, every: every == 1 and t_s % 1.0 < 0.01)[:2] == [1, 11], "none is"


@pytest.mark.parametrize(("stride", "had"), [(8, [1, 2, 4]), (6, [1, 2, 3, 6]), (3, [1, 3]), (1, [1])])
def test_a_source_that_stays_too_fast_is_thinned_until_it_is_carried(stride: int, had: list[int]) -> None:
    """The machine carries a quarter of the frames; only what divides the stride will do."""
    thinning = Thinning(stride)
    assert play(thinning, 9.0, lambda t_s, every: every < 4 and round(t_s * 20) % 14 == 0) == had
    assert thinning.every == had[-1]


def test_when_the_load_goes_all_frames_come_back_step_by_step() -> None:
    thinning = Thinning(8)
    play(thinning, 10.0, lambda t_s, every: every < 4 and round(t_s * 20) % 14 == 0)
    assert play(thinning, 10.0 + 2 * CALM_S + 3, lambda _t_s, _every: False, 10.0) == [4, 2, 1]


def test_attempts_that_fail_become_rare() -> None:
    """Each breaks all windows: of half an hour on a machine that carries every second frame few seconds go so."""
    thinning = Thinning(4)
    had = play(thinning, 1800.0, lambda t_s, every: every < 2 and round(t_s * 20) % 14 == 0)
    assert had.count(1) <= 10
    assert set(had) == {1, 2}


def test_an_attempt_that_held_counts_for_nothing_later() -> None:
    """Overload for ten seconds every two minutes: each time all frames are back soon after."""
    thinning = Thinning(2)
    had = play(thinning, 600.0, lambda t_s, every: every < 2 and t_s % 120 < 10 and round(t_s * 20) % 14 == 0)
    assert had == [1, 2] * 5 + [1]


def test_however_often_attempts_have_failed_a_load_that_has_gone_is_soon_forgotten() -> None:
    thinning = Thinning(12)
    play(thinning, 1200.0, lambda t_s, every: every < 12 and round(t_s * 20) % 14 == 0)
    assert thinning.every == 12
    hiccup = seldom(8.0)
    assert play(thinning, 1200.0 + 600.0, lambda t_s, every: every == 12 and hiccup(t_s, every), 1200.0)[-1] == 1


def test_a_long_stride_is_thinned_to_what_a_header_can_say() -> None:
    """1000 frames/s, and a model for 15: 67 is a prime, and 64 the most."""
    assert play(Thinning(67), 60.0, lambda _t_s, _every: True) == [1]
    assert play(Thinning(128), 60.0, lambda _t_s, _every: True)[-1] == 64


def test_another_stride_is_kept_to() -> None:
    thinning = Thinning(8)
    play(thinning, 9.0, lambda t_s, every: every < 4 and round(t_s * 20) % 14 == 0)
    thinning.limit(4)
    assert thinning.every == 4
    thinning.limit(2)
    assert thinning.every == 1
