from collections import Counter

import numpy as np
import pytest

from trainer.rating.orders import MIN_GAP, Item, Kind, choose, order_of, share_of, spread_over


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("count", [1, 2, 5, 40, 600])
@pytest.mark.parametrize("repeats", [0.0, 0.05, 0.5])
def test_every_clip_once_and_repeats_far_from_their_clip(count: int, repeats: float) -> None:
    clips = [f"c{k}" for k in range(count)]
    items = order_of(clips, repeats, rng())
    firsts = [item.clip for item in items if item.kind is Kind.CLIP]
    again = [item.clip for item in items if item.kind is Kind.REPEAT]
    assert sorted(firsts) == sorted(clips)
    assert len(again) == len(set(again)) == round(repeats * count) or (len(again), count, repeats) == (1, 5, 0.0)
    for clip in again:
        apart = items.index(Item(clip, Kind.REPEAT)) - items.index(Item(clip, Kind.CLIP))
        assert apart > min(MIN_GAP, count // 4)
    assert order_of(clips, repeats, rng()) == items
    if count > 5:
        assert order_of(clips, repeats, rng(2)) != items


def test_with_fewer_raters_a_clip_the_load_is_even_and_every_clip_gets_its_votes() -> None:
    assigned: Counter[str] = Counter({f"c{k}": 0 for k in range(101)})
    mine = share_of(101, 12, 5)
    for rater in range(12):
        taken = choose(assigned, mine, rng(rater))
        assert len(taken) == len(set(taken)) == mine
        assigned.update(taken)
    assert min(assigned.values()) >= 5
    assert max(assigned.values()) - min(assigned.values()) <= 1
    assert share_of(101, 12, None) == 101


def test_new_clips_go_to_those_with_the_least_to_do() -> None:
    given = spread_over({"a": 10, "b": 0, "c": 10}, [f"n{k}" for k in range(9)], 1, rng())
    assert len(given["b"]) == 9
    given = spread_over({"a": 0, "b": 0, "c": 0}, [f"n{k}" for k in range(9)], 2, rng())
    assert [len(clips) for clips in given.values()] == [6, 6, 6]
    assert all(
        len(clips) == 9 for clips in spread_over({"a": 0, "b": 5}, [f"n{k}" for k in range(9)], None, rng()).values()
    )
