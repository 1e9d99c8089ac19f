"""Heads that come close: who takes which peak, and who is who once they are apart again.

While predictions lie close, their peaks are assigned jointly, with a penalty for two heads on one peak. When two heads
met and parted, kept and swapped identities are compared by how well each continues its own motion and looks, and
swapped only with a clear margin. This module knows heads and peaks, not how the maps were made.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracker.heads.head import Head
from tracker.matching.lazy_image import Floats
from tracker.matching.matcher import Peak
from tracker.matching.prepared_frame import PreparedFrame
from tracker.params import CrossingParams


def close_pairs(points: list[tuple[float, float]], reach: float) -> list[tuple[int, int]]:
    """Return the pairs of points that are nearer to each other than ``reach``."""
    # Points are few: a loop is several times faster than array arithmetic on a handful.
    return [
        (a, b)
        for a, (x, y) in enumerate(points)
        for b in range(a + 1, len(points))
        if abs(points[b][0] - x) < reach and math.hypot(points[b][0] - x, points[b][1] - y) < reach
    ]


def groups(points: list[tuple[float, float]], reach: float) -> list[list[int]]:
    """Return the sets of points that hang together by distances below ``reach``; single ones left out."""
    label = list(range(len(points)))
    for a, b in close_pairs(points, reach):
        old, new = label[b], label[a]
        if old != new:
            label = [new if v == old else v for v in label]
    shared = sorted({v for v in label if label.count(v) > 1})
    return [[k for k, v in enumerate(label) if v == one] for one in shared]


def assign_peaks(options: list[list[tuple[float, float, Peak]]], head_px: float, params: CrossingParams) -> list[int]:
    """Return for each head which of its options (x, y, peak) it takes, so that the sum of scores less sharing is best.

    Up to three heads are tried in all combinations, more in turn, the best supported first.
    """
    reach = params.share_heads * head_px

    def clash(a: tuple[float, float, Peak], b: tuple[float, float, Peak]) -> float:
        return params.share_penalty * max(0.0, 1 - math.hypot(a[0] - b[0], a[1] - b[1]) / reach)

    if len(options) <= 3:
        best, choice = -np.inf, [0] * len(options)
        pairs = list(itertools.combinations(range(len(options)), 2))
        clashes = {(a, b): [[clash(p, q) for q in options[b]] for p in options[a]] for a, b in pairs}
        for picks in itertools.product(*(range(len(o)) for o in options)):
            total = sum(o[p][2].score for o, p in zip(options, picks, strict=True))
            total -= sum(clashes[a, b][picks[a]][picks[b]] for a, b in pairs)
            if total > best:
                best, choice = total, list(picks)
        return choice
    order = sorted(range(len(options)), key=lambda k: -options[k][0][2].score)
    choice = [0] * len(options)
    done: list[tuple[float, float, Peak]] = []
    for k in order:
        values = [o[2].score - sum(clash(o, d) for d in done) for o in options[k]]
        choice[k] = int(np.argmax(values))
        done.append(options[k][choice[k]])
    return choice


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two heads just before they met: times by each head's own age, positions, steady velocities, templates."""

    ages_s: tuple[float, float]
    places: NDArray[np.float64]
    """(2, 2)"""
    velocities: NDArray[np.float64]
    """(2, 2) px/s"""
    templates: tuple[Floats, Floats]


class Crossings:
    """Remembers who met whom and judges the identities after they part."""

    def __init__(self) -> None:
        """No meetings yet."""
        self._meetings: dict[tuple[int, int], Meeting] = {}

    def carry(self, shift: tuple[float, float]) -> None:
        """Move along with the stage."""
        if shift != (0.0, 0.0):
            for meeting in self._meetings.values():
                meeting.places[:] += shift

    def resolve(self, heads: list[Head], crops: Floats, prepared: PreparedFrame) -> None:
        """Note who meets, judge who parts. ``crops`` (K, t, t): the looks of ``heads`` where they are now."""
        params, head_px = prepared.params.crossing, prepared.head_px
        places = [(h.x, h.y) for h in heads]
        index = {h.key: k for k, h in enumerate(heads)}
        for pair in list(self._meetings):
            if pair[0] not in index or pair[1] not in index:
                del self._meetings[pair]
                continue
            a, b = index[pair[0]], index[pair[1]]
            meeting = self._meetings[pair]
            apart = math.dist(places[a], places[b])
            elapsed = heads[a].age_s - meeting.ages_s[0]
            if apart > params.part_heads * head_px:
                if elapsed < params.forget_s:
                    self._judge(heads[a], heads[b], meeting, crops[a], crops[b], prepared)
                del self._meetings[pair]
        for a, b in close_pairs(places, params.meet_heads * head_px):
            one, two = heads[a], heads[b]
            pair = (one.key, two.key)
            if pair not in self._meetings:
                self._meetings[pair] = Meeting(
                    ages_s=(one.age_s, two.age_s),
                    places=np.array([places[a], places[b]]),
                    velocities=np.array(
                        [one.steady_velocity(prepared.params.head), two.steady_velocity(prepared.params.head)]
                    ),
                    templates=(one.template, two.template),
                )

    def _judge(
        self, one: Head, two: Head, meeting: Meeting, crop_one: Floats, crop_two: Floats, prepared: PreparedFrame
    ) -> None:
        """Compare kept and swapped identities; swap where swapping is better by the margin."""
        params = prepared.params.crossing
        elapsed = one.age_s - meeting.ages_s[0]
        expected = meeting.places + meeting.velocities * elapsed
        now = np.array([[one.x, one.y], [two.x, two.y]])
        kept = np.hypot(*(now - expected).T).sum()
        swapped = np.hypot(*(now[::-1] - expected).T).sum()
        first, second = meeting.templates
        alike = correlation(first, crop_one) + correlation(second, crop_two)
        unlike = correlation(first, crop_two) + correlation(second, crop_one)
        margin = (swapped - kept) / (params.meet_heads * prepared.head_px) + (alike - unlike)
        one.swap_margin = two.swap_margin = margin
        if min(meeting.ages_s) < params.unknown_s and abs(margin) < params.swap_margin:
            one.swap_margin = two.swap_margin = -abs(margin)
        if margin < -params.swap_margin:
            one.swap_margin = two.swap_margin = -margin
            one.key, two.key = two.key, one.key
            one.sperm_id, two.sperm_id = two.sperm_id, one.sperm_id
            one.displaced = two.displaced = True
            one.mistakable, two.mistakable = two.mistakable, one.mistakable
            one.first_looks, two.first_looks = two.first_looks, one.first_looks
            one.home, two.home = two.home, one.home


def correlation(a: Floats, b: Floats) -> float:
    """Return the normalised cross-correlation of two patches of one shape, 0 where one is flat."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 1e-6 else 0.0
