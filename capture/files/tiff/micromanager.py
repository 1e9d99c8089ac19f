"""Micro-Manager's notes at each page of a TIFF file (tag 51123, JSON): channel, time, scale, bits.

They are the only metadata if an acquisition was stopped before the program wrote its index, and in NDTiff. This module
knows notes and pages, no pixels.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

PAGE_NOTES: Final = 51123
MOST_FRAMES: Final = 2**20
AXES: Final = {
    "time": ("time", "t", "FrameIndex", "Frame"),
    "channel": ("channel", "c", "ChannelIndex", "Channel"),
    "z": ("z", "SliceIndex", "Slice"),
    "position": ("position", "p", "PositionIndex"),
}
"""What versions of the program call an axis: in "Axes" since 2.0, before that in the notes themselves."""
PLURALS: Final = {"channel": "channels", "z": "focal planes", "position": "positions"}

Notes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The pages of the first channel, focal plane and position, in the order of time."""

    places: tuple[Any, ...]
    """Pages; None for a time that is missing."""
    notices: tuple[str, ...]


def page_notes(page: Any) -> Notes | None:
    """Return the notes at a page (a TiffPage or TiffFrame); None without, or where they cannot be read."""
    try:
        tag = page.aspage().tags.get(PAGE_NOTES)
        value = tag.value if tag is not None else None
        notes = json.loads(value) if isinstance(value, str | bytes) else value
    except Exception:  # a page that cannot be read, or whose notes are no JSON
        return None
    return notes if isinstance(notes, Mapping) else None


def first_channel(pages: Sequence[Any]) -> Chosen | None:
    """Return which of the pages are frames; None where their notes do not say."""
    if not pages or pages[0] is None or (first := page_notes(pages[0])) is None:
        return None
    noted = [None if page is None else page_notes(page) for page in pages]
    places = _completed([{} if notes is None else place_of(notes) for notes in noted])
    if any("time" not in place and "channel" not in place for place in places):
        return None
    wanted = place_of(first)
    other = [axis for axis in PLURALS if len({str(place.get(axis)) for place in places}) > 1]
    time = "time"
    if len({str(place.get("time")) for place in places}) == 1 and other == ["z"]:
        time, other = "z", []  # slices saved as a film
    kept = [k for k, place in enumerate(places) if all(place.get(axis) == wanted.get(axis) for axis in other)]
    numbers: list[Any] = [places[k].get(time) for k in kept]
    left_out = [f"the first of {len({str(p.get(axis)) for p in places})} {PLURALS[axis]}" for axis in other]
    notices = (f"of this stack only {' and '.join(left_out)} is used",) if left_out else ()
    if not all(isinstance(n, int) and 0 <= n < MOST_FRAMES for n in numbers) or len(set(numbers)) < len(numbers):
        return Chosen(tuple(pages[k] for k in kept), notices)
    by_number = {n: pages[k] for n, k in zip(numbers, kept, strict=True)}
    return Chosen(tuple(by_number.get(n) for n in range(min(by_number), max(by_number) + 1)), notices)


def _completed(places: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the places with those of pages whose notes are broken, as the regular order of the others tells them."""
    first = {axis: place for axis, place in places[0].items() if axis != "time"}
    period = next((k for k, place in enumerate(places) if k and place and first.items() <= place.items()), len(places))
    start = places[0].get("time")
    if all(places) or not isinstance(start, int):
        return places
    return [place or {**places[k % period], "time": start + k // period} for k, place in enumerate(places)]


def place_of(notes: Notes) -> dict[str, Any]:
    """Return where along each axis a page lies."""
    axes = notes.get("Axes")
    listed = {**notes, **axes} if isinstance(axes, Mapping) else notes
    return {axis: listed[name] for axis, names in AXES.items() for name in reversed(names) if name in listed}
