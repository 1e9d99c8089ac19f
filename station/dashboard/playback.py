"""A replay that can be paused: where it is, in words, and the moment by which ages are told.

While it is paused time stands still on the screens too: a grade does not grow old because somebody looks at it.
"""

from collections.abc import Mapping

from station.clock import now_ns
from station.transport.control_messages import PlaybackInfo, ProcessName, ProcessStatus


def shown_ns(statuses: Mapping[ProcessName, ProcessStatus]) -> int:
    """Return the moment that the screens show (station clock): now, or when a replay was paused."""
    capture = statuses.get(ProcessName.CAPTURE)
    playback = capture.playback if capture is not None else None
    return now_ns() if playback is None or playback.paused_ns is None else playback.paused_ns


def playback_text(found: PlaybackInfo) -> str:
    """Return where a replay is, in a few words."""
    what = "playing" if found.pace == 1 else f"playing at {found.pace:g} of its pace"
    if found.paused_ns is not None:
        what = "paused"
    if found.going_to_s is not None:
        what = f"going to {found.going_to_s:.1f} s"
    return f"{what}, {found.position_s:.1f} of {found.length_s:.1f} s"


def share_played(found: PlaybackInfo) -> float:
    """Return how much of it has been played, from 0 to 1."""
    return min(1.0, max(0.0, found.position_s / found.length_s)) if found.length_s > 0 else 0.0
