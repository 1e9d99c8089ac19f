"""Heads that rest, have rested, or seem to leave: the track is held at home, put back, or given a new home.

Where home clearly shows its looks the head is there (``held``). A track that is elsewhere has three ways out
(``judge_home``): back, where home fits better than the place it is at; a new home, where the looks of home have gone
along with it, or home is seen to be empty; and doubt until one of the two can be seen, for whatever passes hides home.
This module knows selected heads and who is near; it judges no state.
"""

from tracker.heads.head import Head
from tracker.heads.home import Home, Sighting, core, distance, fit, sightings
from tracker.matching.lazy_image import Floats
from tracker.matching.local_energy import local_energy
from tracker.matching.matcher import Matcher
from tracker.matching.prepared_frame import PreparedFrame, keep


def held(heads: list[Head], prepared: PreparedFrame, matcher: Matcher) -> dict[int, Sighting]:
    """Return what is to be seen at the homes that count, by index of the head."""
    params = prepared.params.home
    homes = [(k, h.home) for k, h in enumerate(heads) if h.home is not None and h.home.counts(params)]
    found = sightings([home for _, home in homes], prepared, matcher)
    return {k: one for (k, _), one in zip(homes, found, strict=True)}


def judge_home(
    head: Head, home: Home, seen: Sighting | None, heads: list[Head], prepared: PreparedFrame, matcher: Matcher
) -> None:
    """Say whether a head that was just moved is at home, put its track back, or give it a new home.

    ``seen`` None: home does not count yet. ``heads``: all that are followed.
    """
    params, interval_s, size = prepared.params.home, prepared.interval_s, prepared.head_px
    away_px = distance(home, head.x, head.y)
    head.at_home = seen is not None and seen.present and home.rested_s >= params.rest_s
    if away_px <= params.apart_heads * size:
        home.rested_s += interval_s
        home.away_s = 0.0
        return
    if seen is None:
        if away_px > params.stay_heads * size:
            move_home(head, prepared)
        else:
            home.rested_s += interval_s
        return
    here = fit(home.template, head.x, head.y, prepared, matcher)
    if seen.present and seen.peak.ncc >= here:
        head.go_home(home, seen.x, seen.y, local_energy(prepared, seen.x, seen.y))
        home.away_s = 0.0
        return
    near = [distance(home, h.x, h.y) for h in heads if h is not head]
    close_px = prepared.params.crossing.close_heads * size
    in_sight = min(near, default=close_px) >= close_px or min([away_px, *near]) >= params.hide_heads * size
    usual = head.energy <= params.most_energy * max(home.energy, prepared.floor)
    went_along = here >= params.gone_ncc and here > seen.peak.ncc and (in_sight or usual or here >= params.sure_ncc)
    empty = seen.peak.ncc < params.empty_ncc and in_sight
    home.empty_s = home.empty_s + interval_s if empty else 0.0
    gone = went_along or home.empty_s > params.empty_s
    home.away_s = 0.0 if gone else home.away_s + interval_s
    if away_px > params.stay_heads * size and (gone or home.away_s > params.forget_s):
        head.mistakable = head.mistakable or not gone  # nothing showed whose track it is: it is never vouched for
        move_home(head, prepared)


def move_home(head: Head, prepared: PreparedFrame) -> None:
    """Let a head be at home where its track is."""
    head.home = Home(head.x, head.y, core(head.template, prepared), head.energy, first=False)


def learn_home(head: Head, crop: Floats, prepared: PreparedFrame) -> None:
    """Learn the looks of home from the head's present ones (t, t), while it is there."""
    params = prepared.params.home
    if not head.selected:
        head.home = None
    elif head.home is None:  # it was exchanged with a neighbour in this frame
        move_home(head, prepared)
    elif distance(head.home, head.x, head.y) <= params.learn_heads * prepared.head_px:
        head.home.learn(core(crop, prepared), head.energy, keep(params.template_keep, prepared.interval_s))
