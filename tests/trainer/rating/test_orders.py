from collections import Counter

import numpy as np
import pytest

from trainer.rating.orders import MIN_GAP, Item, Kind, choose, order_of, share_of, spread_over, top_up


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


@pytest.mark.parametrize(("before", "after"), [(2, 5), (1, 12), (3, None)])
def test_a_larger_share_gives_every_clip_its_votes_and_nobody_a_clip_twice(before: int, after: int | None) -> None:
    votes: Counter[str] = Counter({f"c{k}": 0 for k in range(101)})
    own: dict[str, set[str]] = {}
    for rater in range(12):
        own[f"r{rater}"] = set(choose(votes, share_of(101, 12, before), rng(rater)))
        votes.update(own[f"r{rater}"])
    share = share_of(101, 12, after)
    given = top_up(own, votes, share, after, rng())
    for rater, clips in given.items():
        assert not own[rater] & set(clips)
        assert len(set(clips)) == len(clips)
        assert share - 1 <= len(own[rater]) + len(clips) <= share + 1
        votes.update(clips)
    # Some clips had one vote more than was wanted from the start.
    assert set(votes.values()) <= ({12} if after is None else {after, before + 1} | {after})
    assert top_up(own, votes, share, after, rng()) != given or not any(given.values())


def test_a_share_grows_by_what_is_planned_for_the_raters_who_are_there_already() -> None:
    votes = {f"c{k}": int(k < 10) for k in range(40)}
    given = top_up({"anna": {f"c{k}" for k in range(10)}}, votes, 20, 2, rng())
    assert len(given["anna"]) == 10  # three raters to come have their own shares
    assert not set(given["anna"]) & {f"c{k}" for k in range(10)}
