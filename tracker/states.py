"""How far a position can be vouched for: acquiring, locked, uncertain or lost, and why.

Only what is measured counts: correlation with the template, energy beside its own long-term value, distance from the
frame's edge and from other heads, and how a crossing ended. This module judges; it moves nothing.
"""

from dataclasses import dataclass

from station.messages import TrackState
from tracker.frame import FieldFrame
from tracker.heads import Head

ACQUIRE_S = 0.06
"""A new head is watched for so long before anything is vouched for."""
LOST_AFTER_S = 0.5
"""So long without support and the head is lost."""
BORDER = 0.29
"""Nearer than this to the frame's edge (in head sizes) a head may be cut off."""
LEAST_NCC = 0.6
LEAST_ALIVE = 0.5
"""Smoothed energy beside its long-term value: below, the head has faded or the track has slid off."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What can be said of a head in this frame."""

    state: TrackState
    score: float
    reason: str


def judge(head: Head, field: FieldFrame) -> Verdict:
    """Return the verdict on a head after it was followed into ``field``."""
    height, width = field.pixels.shape
    alive = 1.0
    if head.energy_long > field.floor:
        alive = head.energy / head.energy_long
    score = max(0.0, min(1.0, head.ncc)) * min(1.0, alive)
    edge = min(head.x, head.y, width - 1 - head.x, height - 1 - head.y)
    reason = ""
    if edge <= BORDER * field.head_px:
        reason = "near the border"
    elif head.ncc <= LEAST_NCC:
        reason = "looks different"
    elif alive <= LEAST_ALIVE:
        reason = "faded"
    elif head.swap_margin < 0:
        reason = "crossing"
    if edge < 0:
        return Verdict(TrackState.LOST, 0.0, "left the frame")
    head.unsupported_s = head.unsupported_s + field.interval_s if reason in ("looks different", "faded") else 0.0
    if head.unsupported_s > LOST_AFTER_S:
        return Verdict(TrackState.LOST, 0.0, reason)
    if reason:
        return Verdict(TrackState.UNCERTAIN, score, reason)
    if head.age_s < ACQUIRE_S:
        return Verdict(TrackState.ACQUIRING, score, "new")
    return Verdict(TrackState.LOCKED, score, "")
