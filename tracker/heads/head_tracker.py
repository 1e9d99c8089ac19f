"""The selected sperm and their neighbours, followed from frame to frame.

``update`` is the algorithm. This module knows one prepared frame and the heads it follows; it knows neither frame
numbers nor windows.
"""

import math
from typing import Final

import numpy as np

from tracker.heads.crossings import Crossings, assign_peaks, groups
from tracker.heads.head import Head, Loss, LossReason
from tracker.heads.home import Home, core
from tracker.heads.neighbours import apart, newcomers, part_doubles, without_stale
from tracker.heads.pointed import still_head
from tracker.heads.reacquisition import seek
from tracker.heads.resting import held, judge_home, learn_home, touched
from tracker.heads.state import advance, lose
from tracker.heads.twins import judge_twins, note_birth
from tracker.matching.lazy_image import cut
from tracker.matching.local_energy import local_energy, spread
from tracker.matching.matcher import Matcher, peaks, scores
from tracker.matching.prepared_frame import PreparedFrame

MOVES_ON_PX: Final = 2
"""A head is mostly found within so much of where it was expected."""


class HeadTracker:
    """Follows heads from one prepared frame to the next."""

    def __init__(self, matcher: Matcher) -> None:
        """Nothing is followed yet."""
        self._matcher = matcher
        self._crossings = Crossings()
        self._keys = 0
        self._since_look_s = 0.0
        self.heads: list[Head] = []

    def start(
        self,
        prepared: PreparedFrame,
        x: float,
        y: float,
        sperm_id: int | None,
        *,
        point: tuple[float, float] | None = None,
    ) -> Head:
        """Begin to follow the head at (x, y) of this very frame; ``sperm_id`` None: as a neighbour.

        ``point``: where a person pointed; what lies still there is meant rather than what passes.
        """
        self._keys += 1
        still = still_head(prepared, point, template_px(prepared)) if point is not None else None
        if still is not None and still.seen:
            x, y, crop, local = still.x, still.y, still.looks, 0.0
        else:
            crop = self._matcher.crops(prepared, np.array([[x, y]]), template_px(prepared))[0]
            local = local_energy(prepared, x, y)
        on_one_px = prepared.params.neighbour.on_one_heads * prepared.head_px
        same = [h for h in self.heads if h.followed and math.hypot(h.x - x, h.y - y) < on_one_px]
        head = Head(self._keys, sperm_id, x, y, crop, local, anchor=(x, y))
        head.history.append((0.0, x, y))
        head.energy = head.energy_long = local
        if head.selected:
            if still is not None:
                home = Home(still.x, still.y, core(still.looks, prepared), 0.0, supposed=not still.seen, disturbed=True)
            else:
                home = Home(x, y, core(crop, prepared), local)
                home.disturbed = touched(home, prepared) or _over_another(head, home, prepared)
            head.home = home
            head.first_looks = core(crop, prepared)
            # Two tracks of one head would drive each other off it: a neighbour's gives way, a selected one's stays.
            self.heads = [h for h in self.heads if h.selected or h not in same]
            other = next((h for h in same if h.selected), None)
            if other is not None:
                lose(head, Loss(LossReason.ALREADY_FOLLOWED, other.sperm_id))
        if prepared.blank:
            lose(head, Loss(LossReason.NOTHING_TO_SEE))
        self.heads.append(head)
        return head

    def update(self, prepared: PreparedFrame) -> None:
        """Follow every head into this frame."""
        self._carry(prepared)
        if prepared.interval_s > prepared.params.state.lost_after_s:
            self._lose_sight()
        if prepared.frozen:
            return
        heads = [h for h in self.heads if h.followed]
        if heads and not prepared.blank:
            self._follow(heads, prepared)
            self.heads = without_stale(part_doubles(self.heads, prepared), prepared)
            self._look_for_neighbours(prepared)
            judge_twins([head for _, head in self.selected()], self.heads, prepared, self._matcher)
        for _, head in self.selected():
            advance(head, prepared)
        self._find_again(prepared)

    def _follow(self, heads: list[Head], prepared: PreparedFrame) -> None:
        """Find each head in its search area, assign the peaks where heads are close, learn from what was found."""
        params = prepared.params
        expected = [head.predicted(prepared.interval_s) for head in heads]
        predicted = np.array(expected)
        centres = np.rint(predicted).astype(np.int64)
        templates = np.stack([head.template for head in heads])
        around = round(params.head.ring_heads[1] * prepared.head_px) + MOVES_ON_PX
        for head, (x, y) in zip(heads, centres.tolist(), strict=True):
            if head.selected:
                prepared.energy.cut(x, y, around)  # made in one go, not bit by bit by all that look there from here on
        reach_px = params.matching.reach_heads * prepared.slack * prepared.head_px
        ncc, energy = self._matcher.maps(prepared, centres, templates, round(reach_px))
        references = np.array([max(head.energy_reference, prepared.floor) for head in heads])
        sigma = np.full(len(heads), params.matching.sigma_heads * prepared.head_px * prepared.slack)
        score = scores(ncc, energy, references, predicted - centres, sigma, params.matching)

        seen = held(heads, prepared, self._matcher)
        close = groups(expected, params.crossing.close_heads * prepared.head_px)
        crowded = {k for group in close for k in group}
        options = [
            [
                (float(centres[k, 0] + p.dx), float(centres[k, 1] + p.dy), p)
                for p in peaks(score[k], ncc[k], energy[k], params.crossing.peaks if k in crowded else 1)
            ]
            for k in range(len(heads))
        ]
        for k, one in seen.items():
            home = heads[k].home
            if one.present and home is not None and not home.supposed:
                options[k] = [(one.x, one.y, one.peak)]
        taken = [0] * len(heads)
        for group in close:
            picks = assign_peaks([options[k] for k in group], prepared.head_px, params.crossing)
            for k, pick in zip(group, picks, strict=True):
                taken[k] = pick
        for k, head in enumerate(heads):
            x, y, peak = options[k][taken[k]]
            head.move(x, y, peak, local_energy(prepared, x, y), prepared.interval_s, params.head)
            if (home := head.home) is not None:
                judge_home(head, home, seen.get(k), heads, prepared, self._matcher)

        crops = self._matcher.crops(prepared, np.array([(h.x, h.y) for h in heads]), template_px(prepared))
        self._crossings.resolve(heads, crops, prepared)
        for head, crop in zip(heads, crops, strict=True):
            head.learn(crop, prepared.interval_s, params.head)
            head.rest(params.head.still_heads * prepared.head_px, prepared.interval_s)
            learn_home(head, crop, prepared)
            if head.selected:
                head.note_spread(spread(prepared, head.x, head.y), prepared.interval_s, params.head)

    def _lose_sight(self) -> None:
        """So long without a frame is as long without support: what is at the expected place may be any cell."""
        self.heads = [h for h in self.heads if h.selected]
        for head in self.heads:
            if head.followed:
                lose(head, Loss(LossReason.FRAMES_MISSING))

    def _look_for_neighbours(self, prepared: PreparedFrame) -> None:
        """Take up heads that have come near a selected one, every now and then."""
        self._since_look_s += prepared.interval_s
        if self._since_look_s >= prepared.params.neighbour.look_s:
            self._since_look_s = 0.0
            for x, y in newcomers(self.heads, prepared):
                note_birth(self.start(prepared, x, y, None), [head for _, head in self.selected()], prepared)

    def look_around(self, prepared: PreparedFrame) -> None:
        """Take up what is near heads selected in this frame: what touches one later is then known from before."""
        for x, y in newcomers(self.heads, prepared, prepared.params.neighbour.near_first_heads):
            self.start(prepared, x, y, None)

    def _find_again(self, prepared: PreparedFrame) -> None:
        """Follow lost heads again that are clearly to be seen."""
        apart_px = prepared.params.reacquisition.apart_heads * prepared.head_px
        for head in [h for h in self.heads if not h.followed]:
            place = seek(head, self.heads, prepared, self._matcher)
            if place is not None:
                self.heads.remove(head)
                again = self.start(prepared, *place, head.sperm_id)
                near = [h for h in self.heads if not h.selected and apart(h, again) < apart_px]
                self.heads = [h for h in self.heads if h not in near]

    def selected(self) -> list[tuple[int, Head]]:
        """Return the selected sperm with their numbers, in the order of these."""
        return sorted(((h.sperm_id, h) for h in self.heads if h.sperm_id is not None), key=lambda pair: pair[0])

    def others_px(self, head: Head) -> dict[int, float]:
        """Return how far each other head is that is followed, centre to centre, by its key."""
        if not head.followed:
            return {}
        return {other.key: apart(head, other) for other in self.heads if other is not head and other.followed}

    def release(self, sperm_id: int) -> None:
        """Follow this sperm no longer."""
        self.heads = [h for h in self.heads if h.sperm_id != sperm_id]

    def _carry(self, prepared: PreparedFrame) -> None:
        """Move along with the stage; forget what a new background makes worthless."""
        if prepared.shift != (0.0, 0.0):
            for head in self.heads:
                head.carry(prepared.shift)
            self._crossings.carry(prepared.shift)
        if prepared.restarted:
            for head in self.heads:
                head.forget_energy()
        if prepared.replaced:
            self.heads = [h for h in self.heads if h.selected]


def _over_another(head: Head, home: Home, prepared: PreparedFrame) -> bool:
    """Return whether something still and something that moves lie one over the other where a head is selected.

    What is still is in the background, which is what the appearance has less of than the frame.
    """
    params = prepared.params
    if prepared.watched_s < params.detection.watch_s:
        return False  # the background still has every head where it was at first
    reach = home.template.shape[0] // 2
    pixels = cut(prepared.pixels, round(head.x), round(head.y), reach).astype(np.float32)
    still = (pixels - home.template) / params.matching.background_share
    moving = float(prepared.energy.cut(round(head.x), round(head.y), 0)[0, 0])
    return moving > params.home.disturb_floors * prepared.floor and bool(
        still.std() > params.home.still_contrast * pixels.std()
    )


def template_px(prepared: PreparedFrame) -> int:
    """Return the edge of a template, odd."""
    return round(prepared.params.matching.template_heads * prepared.head_px) | 1
