"""Going back in a replay: the replay begins again, at an earlier place.

What is seen of a frame follows from all frames before it, so there is no other way back. Where the replay was paused,
it plays the last moments before the place at their own pace and pauses there: grades and their ages are then those of
that moment. It knows places and configurations; ``station.run`` begins again.
"""

from dataclasses import dataclass
from typing import Final

from station.config import Config
from station.transport.control_messages import PlaybackInfo

BACKWARD_S: Final = 10.0
RUN_UP_S: Final = 1.5
"""Longer than a grade is current (``STALE_S``), so that those which were on the screen are there again."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a replay is to be, and how."""

    t_s: float
    """Seconds from the session's first frame."""
    paused: bool
    pace: float


def one_frame_back(at: PlaybackInfo) -> Place | str:
    """Return the place one frame before, paused; or why there is none."""
    if at.going_to_s is not None:
        return f"the replay is going to {at.going_to_s:.1f} s; ask again when it is there"
    if at.before_s is None:
        return "this is its first frame"
    return Place(at.before_s, paused=True, pace=at.pace)


def seconds_back(at: PlaybackInfo, config: Config) -> Place:
    """Return the place some seconds before, or near the beginning; paused where it is, or is going to be.

    Paused, it is no earlier than a run-up: grades, and a view that has just been started, need one.
    """
    going = at.going_to_s is not None
    paused = at.paused_ns is not None or (going and config.replay.pause_s is not None)
    here_s = at.position_s if at.going_to_s is None else at.going_to_s
    earliest_s = min(here_s, RUN_UP_S) if paused else 0.0
    return Place(max(earliest_s, here_s - BACKWARD_S), paused, at.pace)


def begun_at(config: Config, place: Place) -> Config:
    """Return the configuration of the same replay, begun again at a place."""
    replay = {"pace": place.pace, "from_s": place.t_s, "pause_s": None}
    if place.paused:
        replay |= {"from_s": max(0.0, place.t_s - RUN_UP_S), "pause_s": place.t_s}
    return config.model_copy(update={"replay": config.replay.model_copy(update=replay)})
