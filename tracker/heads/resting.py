"""Heads that rest, have rested, or seem to leave: the track is held at home, put back, or given a new home.

Where home clearly shows its looks the head is there (``held``). A track that is elsewhere has three ways out
(``judge_home``): back, where home fits better than the place it is at; a new home, where the looks of home have gone
along with it, or home is seen to be empty; and doubt until one of the two can be seen, for whatever passes hides home.
Heads look alike: once another has come close, what looks right elsewhere proves nothing, and only an empty home does.
For the same reason the looks of home are learnt only while nothing else is close. This module knows selected heads and
who is near; it judges no state.
"""

from tracker.heads.head import Head
from tracker.heads.home import Home, Sighting, core, distance, fit, sightings
from tracker.matching.lazy_image import Floats
from tracker.matching.local_energy import energy_peaks, is_ghost, local_energy
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
    if home.supposed and seen is not None:
        _settle(head, home, seen, heads, prepared, matcher)
        return
    present = seen is not None and seen.present
    head.at_home = present and home.rested_s >= params.rest_s
    others = _close_to(home, head, heads, prepared)
    home.confirmed = present and not others
    if away_px <= params.apart_heads * size:
        home.disturbed = _disturbed(home, others, prepared)
        if home.away_s > 0 and seen is not None and seen.present:
            # The track was another's, which has none of its own yet and may come back.
            head.go_home(home, seen.x, seen.y, local_energy(prepared, seen.x, seen.y))
            home.disturbed = True
        home.rested_s += interval_s
        home.away_s = home.empty_s = home.unlike_s = 0.0
        return
    if seen is None:
        if away_px > params.stay_heads * size:
            move_home(head, prepared)
        else:
            home.rested_s += interval_s
        return
    here = fit(home.template, head.x, head.y, prepared, matcher)
    nearest_px = min([away_px, *(distance(home, h.x, h.y) for h in others)])
    in_sight = not others or nearest_px >= params.hide_heads * size
    gone = _is_empty(home, seen.peak.ncc, here, in_sight, prepared)
    if not home.disturbed and here >= params.gone_ncc and here > seen.peak.ncc:
        usual = head.energy <= params.most_energy * max(home.energy, prepared.floor)
        gone = gone or in_sight or usual or here >= params.sure_ncc
    home.away_s = 0.0 if gone else home.away_s + interval_s
    if away_px > params.stay_heads * size and (gone or home.away_s > params.forget_s):
        head.mistakable = head.mistakable or not gone  # nothing showed whose track it is: it is never vouched for
        move_home(head, prepared)


def _settle(
    head: Head, home: Home, seen: Sighting, heads: list[Head], prepared: PreparedFrame, matcher: Matcher
) -> None:
    """Say, once it can be seen, what was selected: what moves, or a still head that only the background showed.

    Home empty: what moves. Both there, and apart: nobody knows, the sperm stays in doubt. Nothing has parted: what is
    there is the head.
    """
    params, size = prepared.params.home, prepared.head_px
    away_px = distance(home, head.x, head.y)
    nearest_px = min([away_px, *(distance(home, h.x, h.y) for h in _close_to(home, head, heads, prepared))])
    in_sight = nearest_px >= params.hide_heads * size
    here = fit(home.template, head.x, head.y, prepared, matcher)
    stays = away_px <= params.apart_heads * size
    home.away_s += prepared.interval_s
    home.rested_s = home.rested_s + prepared.interval_s if stays else 0.0
    if _is_empty(home, seen.peak.ncc, here, in_sight, prepared) or home.rested_s >= params.rest_s:
        move_home(head, prepared)
    elif (seen.present and not stays) or home.away_s > params.forget_s:
        head.mistakable = True
        move_home(head, prepared)


def _close_to(home: Home, head: Head, heads: list[Head], prepared: PreparedFrame) -> list[Head]:
    """Return the heads other than ``head`` itself that are close to home."""
    close_px = prepared.params.crossing.close_heads * prepared.head_px
    return [
        h for h in heads if h is not head and distance(home, h.x, h.y) < close_px and not is_ghost(prepared, h.x, h.y)
    ]


def _disturbed(home: Home, others: list[Head], prepared: PreparedFrame) -> bool:
    """Return whether, with the track at home, it might be another's from now on."""
    least = prepared.params.home.disturb_share * max(home.energy, prepared.floor)
    if any(h.energy >= least for h in others):
        return True
    return home.disturbed and (not home.confirmed or touched(home, prepared))


def touched(home: Home, prepared: PreparedFrame) -> bool:
    """Return whether something else that moves is so close to home that it may not have a track of its own."""
    params, size = prepared.params.home, prepared.head_px
    own = float(prepared.energy.cut(round(home.x), round(home.y), 0)[0, 0])
    least = max(params.disturb_floors * prepared.floor, params.disturb_share * own)
    return any(
        distance(home, x, y) > params.disturb_heads * size and not is_ghost(prepared, x, y)
        for x, y in energy_peaks(prepared, home.x, home.y, prepared.params.crossing.close_heads * size, least)
    )


def _is_empty(home: Home, there: float, here: float, in_sight: bool, prepared: PreparedFrame) -> bool:
    """Return whether the head has left home, by how well its looks fit ``there``, and ``here`` where the track is."""
    params, interval_s = prepared.params.home, prepared.interval_s
    least = params.disturbed_empty_ncc if home.disturbed else params.empty_ncc
    home.empty_s = home.empty_s + interval_s if there < least else 0.0
    home.unlike_s = home.unlike_s + interval_s if in_sight and there < min(here, params.unlike_ncc) else 0.0
    return home.empty_s > (params.empty_s if in_sight else params.hidden_s) or home.unlike_s > params.hidden_s


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
    elif head.home.counts(params) and not head.home.confirmed:
        pass  # another head may be in the picture
    elif distance(head.home, head.x, head.y) <= params.learn_heads * prepared.head_px:
        head.home.learn(core(crop, prepared), head.energy, keep(params.template_keep, prepared.interval_s))
