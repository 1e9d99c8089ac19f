"""Who sees which clip, and in what order: drawn once from the study's seed, later only added to.

Pure functions of numbers and names. What has been drawn is kept in the database, so a later change of this code, or a
later rater, changes nobody's order.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np

MIN_GAP: Final = 10
"""Clips between a clip and its repeat, where the order is long enough: nobody should remember the first answer."""


class Kind(StrEnum):
    """Why a rater sees a clip. Raters are told of calibration alone."""

    CALIBRATION = "calibration"
    CLIP = "clip"
    REPEAT = "repeat"


class Item(NamedTuple):
    """One place in a rater's order."""

    clip: str
    kind: Kind


def share_of(clips: int, raters: int, per_clip: int | None) -> int:
    """Return how many clips one rater grades, so that all together reach ``per_clip`` votes; None: all."""
    return clips if per_clip is None else min(clips, math.ceil(clips * min(per_clip, raters) / raters))


def choose(assigned: Mapping[str, int], count: int, rng: np.random.Generator) -> list[str]:
    """Return ``count`` clips for one more rater: those that fewest raters have, ties drawn.

    So that all clips keep within one vote of each other, and any two raters share some.
    """
    names = sorted(assigned)
    drawn = rng.permutation(len(names))
    return [names[k] for k in sorted(drawn, key=lambda k: assigned[names[k]])[:count]]


def spread_over(loads: Mapping[str, int], clips: Sequence[str], per_clip: int | None, rng: np.random.Generator) -> (
    dict[str, list[str]]
):  # fmt: skip
    """Return, by rater, which of some new clips each gets: those with the smallest load first, ties drawn."""
    loads = dict(loads)
    given: dict[str, list[str]] = {rater: [] for rater in loads}
    for clip in clips:
        raters = sorted(loads)
        drawn = rng.permutation(len(raters))
        takers = sorted(drawn, key=lambda k: loads[raters[k]])
        for k in takers if per_clip is None else takers[:per_clip]:
            given[raters[k]].append(clip)
            loads[raters[k]] += 1
    return given


def top_up(
    own: Mapping[str, AbstractSet[str]],
    votes: Mapping[str, int],
    share: int,
    per_clip: int | None,
    rng: np.random.Generator,
) -> dict[str, list[str]]:
    """Return, by rater, which clips more each gets, so that raters come up to a larger share of them.

    The clip with the fewest votes goes to the rater who is shortest of the share and has not got it, ties drawn; no
    clip goes beyond ``per_clip`` votes (None: no limit), and no rater gets one twice. To keep clips even, a rater may
    get a clip more than the share.

    Args:
        own: The clips of each rater.
        votes: How many raters each clip has, or will have.
        share: Clips that each rater should have.
        per_clip: Votes that a clip should get.
        rng: Draws.
    """
    given: dict[str, list[str]] = {rater: [] for rater in own}
    short = {rater: share - len(clips) for rater, clips in own.items()}
    left = sum(max(0, wanted) for wanted in short.values())
    clip_lots, rater_lots = (
        dict(zip(sorted(names), rng.permutation(len(names)).tolist(), strict=True)) for names in (votes, own)
    )
    waiting = [(count, clip_lots[clip], clip) for clip, count in votes.items()]
    heapq.heapify(waiting)
    while left > 0 and waiting:
        count, lot, clip = heapq.heappop(waiting)
        takers = [rater for rater, clips in own.items() if clip not in clips and clip not in given[rater]]
        if not takers or (per_clip is not None and count >= per_clip):
            continue
        taker = max(takers, key=lambda rater: (short[rater], rater_lots[rater]))
        given[taker].append(clip)
        short[taker] -= 1
        left -= 1
        heapq.heappush(waiting, (count + 1, lot, clip))
    return given


def order_of(clips: Sequence[str], repeats: float, rng: np.random.Generator) -> list[Item]:
    """Return clips in a random order, with hidden repeats among them.

    A repeat stands at least MIN_GAP places behind its clip, or as far as a short order allows.
    """
    shuffled = [clips[k] for k in rng.permutation(len(clips))]
    count = min(len(clips), round(repeats * len(clips)))
    if count == 0 and repeats > 0 and len(clips) >= MIN_GAP:
        count = 1
    items = [Item(clip, Kind.CLIP) for clip in shuffled]
    gap = min(MIN_GAP, len(clips) // 2)
    early = max(count, len(clips) - gap)
    again = [shuffled[k] for k in sorted(rng.choice(early, size=count, replace=False).tolist())]
    for clip in again:
        first = items.index(Item(clip, Kind.CLIP))
        place = int(rng.integers(min(first + gap + 1, len(items)), len(items) + 1))
        items.insert(place, Item(clip, Kind.REPEAT))
    return items
